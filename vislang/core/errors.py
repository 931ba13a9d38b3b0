"""Errors that a user can fix. Every message says what, got, expected and the next command."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

_LISTED = 20  # names in one message; a network has hundreds of layers


class ToolkitError(Exception):
    """A mistake in the input, settings or files given to the toolkit; commands exit with 2."""


class ConfigError(ToolkitError):
    """An unknown name or an impossible value in the settings."""


class DataError(ToolkitError):
    """A data set, image, feature cache or output path that cannot be used."""


class CheckpointError(ToolkitError):
    """A trained model that is missing, damaged or of another kind."""


class EvalError(ToolkitError):
    """Scores or ground truth from which no valid number can be computed."""


def unknown_name(kind: str, got: str, known: Iterable[str], next_step: str = "") -> ConfigError:
    """Build the error for an unknown name, with the nearest known names.

    Args:
        kind: what the name stands for, such as "backbone".
        got: the name as the user wrote it.
        known: the known names, the usual ones first.
        next_step: such as the command that lists them.
    """
    message = f"unknown {kind} {got!r}; {suggestion(got, known)}"
    if next_step:
        message += f" {next_step}" if message.endswith("?") else f"; {next_step}"
    return ConfigError(message)


def suggestion(got: str, known: Iterable[str]) -> str:
    """Return the known names nearest to an unknown one as a question, or the first of them all where none is near."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(got, names, n=3, cutoff=0.5)
    if near:
        *others, last = near
        choice = f"{', '.join(others)} or {last}" if others else last
        return f"did you mean {choice}?"
    listed = f"expected one of: {', '.join(names[:_LISTED])}"
    if len(names) > _LISTED:
        listed += f" and {len(names) - _LISTED} more"
    return listed


def brief(error: Exception) -> str:
    """Return an error of a library as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shown(value: object) -> str:
    """Return a value of a file as at most 80 characters of one line."""
    text = " ".join(repr(value).split())
    if len(text) > 80:
        return f"{text[:77]}..."
    return text


def look_up(table: Mapping[str, Value], name: str, kind: str, next_step: str = "") -> Value:
    """Return the entry of a table.

    Raises:
        ConfigError: an unknown name; see `unknown_name`.
    """
    if name not in table:
        raise unknown_name(kind, name, table, next_step)
    return table[name]
