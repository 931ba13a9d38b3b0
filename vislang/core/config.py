"""Settings: frozen dataclasses of described fields, changed by `field=value` words and saved as JSON.

A field is declared as `beam: int = setting(7, at_least=1, help="beam width")`; the class calls `validate(self)` in its
`__post_init__`.
"""

import ast
import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from vislang.core.errors import ConfigError, look_up, unknown_name
from vislang.core.files import parse_json

Config = TypeVar("Config")

_METADATA = "setting"
_TYPE_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
_WIDEST = 40  # characters that a column of the table is aligned to
_LITERALS = {"true": "True", "false": "False", "none": "None"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a field means and which values it takes; of a tuple, each member."""

    help: str  # one line for `--list-settings`
    choices: tuple[str, ...] = ()  # the strings that it may be; empty: any
    at_least: float | None = None  # smallest value
    above: float | None = None  # value that it must exceed
    at_most: float | None = None  # largest value
    below: float | None = None  # value that it must stay below

    def allows(self, value: Any) -> bool:
        """Return whether a value of the right type is in the range; None is, and a tuple whose members are."""
        if value is None:
            return True
        if isinstance(value, tuple):
            return all(map(self.allows, value))
        if self.choices:
            return value in self.choices
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    @property
    def range(self) -> str:
        """The values in words, such as "0 to below 1"; "" where there is no limit."""
        if self.choices:
            return f"one of: {', '.join(self.choices)}"
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None and self.below is not None:
            return f"{self.at_least:g} to below {self.below:g}"
        words = []
        if self.at_least is not None:
            words.append(f"{self.at_least:g} or more")
        if self.above is not None:
            words.append(f"more than {self.above:g}")
        if self.at_most is not None:
            words.append(f"at most {self.at_most:g}")
        if self.below is not None:
            words.append(f"below {self.below:g}")
        return ", ".join(words)


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str,  # noqa: A002
    choices: Iterable[str] = (),
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare a field of a config; see `Setting` for the arguments. Without a default the field must be given."""
    limits = Setting(help, tuple(choices), at_least, above, at_most, below)
    return dataclasses.field(default=default, metadata={_METADATA: limits})


def setting_of(field: dataclasses.Field) -> Setting:
    """Return how a field was declared."""
    return field.metadata.get(_METADATA, Setting(""))


def validate(config: Any) -> None:
    """Check type and range of every field; meant for a config's `__post_init__`.

    Raises:
        ConfigError: the first value of a wrong type, outside its range or none of its choices, or an empty tuple.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        limits = setting_of(field)
        if not _fits(value, hints[field.name]):
            expected = _type_words(hints[field.name])
        elif value == ():
            expected = "one or more, separated by commas"
        elif not limits.allows(value):
            expected = limits.range
        else:
            continue
        got = _shown(value)
        if isinstance(value, str):
            got = repr(value)
        raise ConfigError(f"setting {field.name} got {got}, expected {expected}{_example(field)}")


class Options:
    """Base of the dataclasses of options: an unknown option is a ConfigError that names the nearest, no TypeError."""

    def __new__(cls, *values: Any, **options: Any) -> Any:
        """Refuse unknown options before the dataclass' own `__init__` does."""
        types = {field.name: field.type for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for name, value in options.items():
            if name not in types:
                raise unknown_name(f"option of {cls.__name__}", name, list(types))
            if isinstance(value, str) and typing.get_origin(types[name]) is tuple:  # not a list of its letters
                raise ConfigError(f"{name} got {value!r}, expected a tuple such as ({value!r},)")
        return super().__new__(cls)


def preset(configs: Mapping[str, Config], name: str) -> Config:
    """Return a preset by its name."""
    return look_up(configs, name, "preset")


def override(config: Config, settings: Iterable[str]) -> Config:
    """Return a copy of a frozen dataclass with every `field=value` applied.

    Args:
        config: the dataclass.
        settings: words such as "margin=0.1"; tuples are written "a,b", and tuples of dataclasses as JSON.

    Raises:
        ConfigError: no '=', unknown field, or a value of the wrong type or outside its range.
    """
    changes = {}
    for word in settings:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"--set got {word!r}, expected field=value, such as --set margin=0.1")
        changes[name] = _parse(name, text, _hint(type(config), name))
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def to_json(config: Any) -> dict[str, Any]:
    """Return a config as a dictionary of plain values."""
    values = dataclasses.asdict(config)
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = list(value)
    return values


def from_json(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Rebuild a config that `to_json` wrote; fields that are absent take their defaults.

    Raises:
        ConfigError: a field that `kind` does not have, one that it needs, or a value that does not fit.
    """
    changes = {name: _from_plain(value, _hint(kind, name)) for name, value in values.items()}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in changes:
            raise ConfigError(f"{kind.__name__} got no {field.name}, expected {_type_words(_hint(kind, field.name))}")
    return kind(**changes)


def settings_table(config: Any) -> str:
    """Return a line for each field: its name, value, range and meaning, in columns."""
    hints = typing.get_type_hints(type(config))
    rows = [["field", "default", "range", "help"]]
    for field in dataclasses.fields(config):
        limits = setting_of(field)
        allowed = limits.range or _type_words(hints[field.name])
        rows.append([field.name, _shown(getattr(config, field.name)), allowed.removeprefix("one of: "), limits.help])
    for column in range(3):
        width = min(_WIDEST, max(len(row[column]) for row in rows))
        for row in rows:
            row[column] = row[column].ljust(width)
    return "\n".join("  ".join(row).rstrip() for row in rows)


def _hint(kind: type, name: str) -> Any:
    hints = typing.get_type_hints(kind)
    return look_up(hints, name, "setting", "see --list-settings")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types of X | Y; of a plain type, itself."""
    return typing.get_args(hint) or (hint,)


def _member(hint: Any) -> Any:
    """Return the X of tuple[X, ...]; None for anything else."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0]
    return None


def _fits(value: Any, hint: Any) -> bool:
    member = _member(hint)
    if member is not None:
        return isinstance(value, tuple) and all(_fits(one, member) for one in value)
    kinds = _alternatives(hint)
    return type(value) in kinds or (float in kinds and type(value) is int)


def _parse(name: str, text: str, hint: Any) -> Any:
    member = _member(hint)
    if dataclasses.is_dataclass(member):
        try:
            return _from_plain(parse_json(text), hint)
        except ValueError as error:
            fields = ", ".join(field.name for field in dataclasses.fields(member))
            raise ConfigError(
                f"setting {name} got {text!r}, expected a JSON list of objects of {fields}: {error}"
            ) from error
    if member is not None:
        return tuple(_parse(name, part.strip(), member) for part in text.split(",") if part.strip())
    if hint is str:
        return text
    try:
        value = ast.literal_eval(_LITERALS.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text
    if type(value) is int and float in _alternatives(hint):
        return float(value)
    return value


def _from_plain(value: Any, hint: Any) -> Any:
    """Turn lists of JSON into tuples, and their dictionaries into the dataclass that the hint names."""
    member = _member(hint)
    if member is None or not isinstance(value, list):
        return value
    if dataclasses.is_dataclass(member) and all(isinstance(one, dict) for one in value):
        return tuple(from_json(member, one) for one in value)  # type: ignore[arg-type]
    return tuple(value)


def _type_words(hint: Any) -> str:
    member = _member(hint)
    if dataclasses.is_dataclass(member):
        return f"a list of {member.__name__}"  # type: ignore[union-attr]
    if member is not None:
        return f"{_TYPE_WORDS[member]}, or several separated by commas"
    return " or ".join(_TYPE_WORDS[kind] for kind in _alternatives(hint))


def _shown(value: Any) -> str:
    """Write a value as `--set` takes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple):
        if any(map(dataclasses.is_dataclass, value)):
            return json.dumps(list(map(dataclasses.asdict, value)))
        return ",".join(map(_shown, value)) or "nothing"
    return str(value) or "nothing"


def _example(field: dataclasses.Field) -> str:
    if field.default in (dataclasses.MISSING, None, ""):
        return ""
    return f", such as {field.name}={_shown(field.default)}"
