"""Settings: frozen dataclasses, changed by `field=value` words, saved as JSON. A typo stops the run."""

import ast
import dataclasses
import typing
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, TypeVar

from vislang.core.errors import ConfigError, unknown_name

Config = TypeVar("Config")


class Options:
    """Base of the dataclasses of options: an unknown option is a ConfigError that names the nearest, no TypeError."""

    def __new__(cls, *values: Any, **options: Any) -> Any:
        """Refuse unknown options before the dataclass' own `__init__` does."""
        known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in options:
            if name not in known:
                raise unknown_name(f"option of {cls.__name__}", name, known)
        return super().__new__(cls)


def preset(configs: Mapping[str, Config], name: str) -> Config:
    """Look a preset up by name.

    Raises:
        ConfigError: no such preset; the message names the nearest.
    """
    if name not in configs:
        raise unknown_name("preset", name, configs)
    return configs[name]


def override(config: Config, settings: Iterable[str]) -> Config:
    """Return a copy of `config` with every `field=value` applied.

    Args:
        config: an instance of a frozen dataclass.
        settings: words such as "margin=0.1"; tuples are written "a,b".

    Raises:
        ConfigError: no '=', unknown field, or a value of the wrong type.
    """
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set got {setting!r}, expected field=value, such as --set margin=0.1")
        changes[name] = _parse(name, text, _field_types(config, name))
    return _replace(config, changes)


def to_json(config: Any) -> dict[str, Any]:
    """Turn a config into a dictionary of plain values."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(config).items()
    }


def from_json(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Rebuild a config that `to_json` wrote.

    Raises:
        ConfigError: a field that `kind` does not have, or a value of the wrong type.
    """
    default = kind()
    changes = {}
    for name, value in values.items():
        kinds = _field_types(default, name)
        value = tuple(value) if tuple in kinds and isinstance(value, list) else value
        if not _fits(value, kinds):
            raise ConfigError(f"setting {name} holds {value!r}, expected {_names(kinds)}")
        changes[name] = value
    return _replace(default, changes)


def _replace(config: Config, changes: dict[str, Any]) -> Config:
    try:
        return dataclasses.replace(config, **changes)  # type: ignore[type-var]
    except ValueError as error:  # raised by a config's own __post_init__ checks
        raise ConfigError(str(error)) from error


def _field_types(config: Any, name: str) -> tuple[type, ...]:
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise unknown_name(f"setting of {type(config).__name__}", name, hints)
    hint = hints[name]
    members = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(typing.get_origin(member) or member for member in members)


def _parse(name: str, text: str, kinds: tuple[type, ...]) -> Any:
    if tuple in kinds:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if str in kinds:
        return None if text == "None" and type(None) in kinds else text
    try:
        value = ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text.lower(), text))
    except (ValueError, SyntaxError):
        value = text
    if float in kinds and type(value) is int:
        value = float(value)
    if not _fits(value, kinds):
        raise ConfigError(f"setting {name} got {text!r}, expected {_names(kinds)}")
    return value


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    return type(value) in kinds or (float in kinds and type(value) is int)


def _names(kinds: tuple[type, ...]) -> str:
    return " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
