"""The errors a user can mend. Every message says what, got, expected and the next command."""

import difflib
from collections.abc import Iterable

_LISTED = 20  # names in one message; the layers of a network are hundreds


class ToolkitError(Exception):
    """A mistake in the input, settings or files given to the toolkit; commands exit with 2."""


class ConfigError(ToolkitError):
    """An unknown name or an impossible value in the settings."""


class DataError(ToolkitError):
    """A data set, image, feature cache or output path that cannot be used as asked."""


class CheckpointError(ToolkitError):
    """A trained model that is missing, damaged or of another kind."""


class EvalError(ToolkitError):
    """Scores or truth that no honest number can be computed from."""


def unknown_name(kind: str, got: str, known: Iterable[str], next_step: str = "") -> ConfigError:
    """Build the error for a name that is in no table, with the nearest names that are.

    Args:
        kind: what the name stands for, such as "backbone".
        got: the name as the user wrote it.
        known: the names that would have worked, the usual ones first.
        next_step: a closing sentence, such as the command that lists them.
    """
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(got, names, n=3, cutoff=0.5)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of: {', '.join(names[:_LISTED])}{more}"
    return ConfigError(f"unknown {kind} {got!r}; {hint}{' ' + next_step if next_step else ''}")
