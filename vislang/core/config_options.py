"""Options of commands that set the fields of config dataclasses: presets, single settings, one option a field."""

import argparse
import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from vislang.core.cli import USER_ERROR, Options
from vislang.core.config import Config, override, preset, setting_of, settings_table
from vislang.core.errors import ConfigError


def add_preset(parser: Options, presets: Mapping[str, Any], default: str) -> None:
    """Add `--preset` (`args.preset`, a str) and what `add_settings` adds; `chosen_config` reads them."""

    def known(name: str) -> str:
        try:
            preset(presets, name)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return name

    names = ", ".join(presets)
    parser.add_argument("--preset", type=known, default=default, metavar="NAME", help=f"{names} (default: {default})")
    add_settings(parser, presets)


def add_settings(parser: Options, configs: Mapping[str, Any], note: str = "change one setting; repeatable") -> None:
    """Add `--set` and `--list-settings`: `args.set`, a list of "field=value".

    Args:
        parser: where they are added.
        configs: config of each preset, or, for a command without presets, of each thing that has settings.
        note: help of `--set`.
    """
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=note)
    parser.add_argument(
        "--list-settings", action=_ListSettings, nargs="?", metavar="NAME", default=argparse.SUPPRESS, configs=configs,
        help="print every setting with its default, range and meaning, and exit; NAME: of this preset",
    )  # fmt: skip


def chosen_config(args: argparse.Namespace, presets: Mapping[str, Config]) -> Config:
    """Return the config that `--preset` and `--set` name.

    Raises:
        ConfigError: an unknown preset or field, or a value that does not fit.
    """
    return override(preset(presets, args.preset), args.set)


def add_fields(parser: Options, kind: Any, names: Iterable[str]) -> None:
    """Add an option for each of some fields that hold a number, a bool or None: `args.NAME`, None by default.

    Args:
        kind: a dataclass of fields from `vislang.core.config.setting`, whose help is that of the options.
        names: of the fields.
    """
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in names:
            kind_of_value, _ = typing.get_args(hints[field.name])
            option = f"--{field.name.replace('_', '-')}"
            words = setting_of(field).help
            if kind_of_value is bool:
                parser.add_argument(option, action=argparse.BooleanOptionalAction, help=words)
            else:
                parser.add_argument(option, type=kind_of_value, metavar="N", help=words)


class _ListSettings(argparse.Action):
    """Print the settings of one preset, or of everything that has settings, and exit."""

    def __init__(self, *args: Any, configs: Mapping[str, Any], **options: Any):
        super().__init__(*args, **options)
        self.configs = configs

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        name = values or getattr(namespace, "preset", None)
        names = list(self.configs)
        if name:
            names = [name]
        try:
            tables = [f"{name}\n{settings_table(preset(self.configs, name))}" for name in names]
        except ConfigError as error:
            parser.exit(USER_ERROR, f"error: {error}\n")
        print("\n\n".join(tables))
        parser.exit()
