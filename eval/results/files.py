"""The results in a folder, of which every table is made."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vislang.core.errors import EvalError
from vislang.core.files import read_json


def results_of_kind(folder: str | Path, pattern: str, kind: str, needed: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read the results of a kind from a folder, in the order of their files' names; other files are passed over.

    Args:
        folder: where they lie.
        pattern: of their names, such as "pointing-*.json".
        kind: what they call themselves.
        needed: parts that each must have.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one, or is no JSON.
    """
    for path in sorted(Path(folder).glob(pattern)):
        result = read_json(path, "result", "delete it or run eval.run again")
        if not isinstance(result, dict) or result.get("kind") != kind:
            continue
        if missing := sorted(set(needed) - set(result)):
            raise EvalError(f"result {path} lacks {missing}; delete it or run eval.run again")
        yield result
