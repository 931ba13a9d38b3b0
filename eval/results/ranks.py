"""Ranks on disk, so that two runs can be compared image by image later."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.metrics.ranking import Ranks
from eval.results.models import by_image_name
from vislang.core.errors import DataError, EvalError
from vislang.core.files import read_arrays, whole_file

BY_IMAGE = "by-image"  # folder beside the results, never the checkpoint: that may be someone else's
_PREFIX = "ranks-"
_ARRAYS = ("image_to_text", "text_to_image", "image_of_caption")
_NEXT = "write them with: python -m eval.run retrieval"


@dataclass(frozen=True)
class SavedRanks:
    """The ranks of one run, one entry for each fold, and the fingerprint of what it ranked."""

    folds: tuple[Ranks, ...]
    queries: str


def queries_fingerprint(image_ids: Sequence[str], sentences: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of the images and sentences that were ranked, in order."""
    return hashlib.sha256(json.dumps([list(image_ids), list(sentences)]).encode()).hexdigest()


def ranks_path(results: Path, run: Path, *, dataset: str, split: str, protocol: str) -> Path:
    """Return the path of the ranks of a checkpoint in a folder of results; a ranks file as it is."""
    if _is_ranks_file(run):
        return run
    return results / BY_IMAGE / f"{_start(run)}{dataset}-{split}-{protocol}.npz"


def only_dataset(results: Path, run: Path, *, split: str, protocol: str) -> str:
    """Return the data set that a run was ranked on, from the names of its saved ranks; "" for a ranks file.

    Raises:
        DataError: none, or several.
    """
    if _is_ranks_file(run):
        return ""
    start = _start(run)
    end = f"-{split}-{protocol}.npz"
    found = sorted(path.name[len(start) : -len(end)] for path in (results / BY_IMAGE).glob(f"{start}*{end}"))
    if not found:
        raise DataError(
            f"{results} holds no ranks of {run} on split {split!r} ({protocol}), expected one data set; first:"
            f" python -m eval.run retrieval --model {run} --split {split} --out {results}"
        )
    if len(found) > 1:
        raise DataError(f"{run} has ranks on {', '.join(found)}, expected one data set; choose with --dataset")
    return found[0]


def _is_ranks_file(run: Path) -> bool:
    return run.suffix == ".npz" and run.name.startswith(_PREFIX)


def _start(run: Path) -> str:
    """Return how the names of a run's ranks begin."""
    return f"{_PREFIX}{by_image_name(run)}-"


def save_ranks(path: Path, ranks: SavedRanks) -> None:
    """Write the ranks as a whole .npz file without pickle.

    Raises:
        DataError: the folder cannot be written.
    """
    arrays = {"queries": np.array(ranks.queries)}
    for index, fold in enumerate(ranks.folds):
        for name in _ARRAYS:
            arrays[f"{index}/{name}"] = getattr(fold, name)
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stubs forbid **arrays


def load_ranks(path: Path) -> SavedRanks:
    """Read what `save_ranks` wrote.

    Raises:
        DataError: no such file, or not one of saved ranks.
    """
    folds: list[Ranks] = []
    found = read_arrays(path, _NEXT)
    try:
        while f"{len(folds)}/{_ARRAYS[0]}" in found:
            arrays = {name: found[f"{len(folds)}/{name}"] for name in _ARRAYS}
            for name, array in arrays.items():
                if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
                    raise ValueError(f"{name} holds {array.dtype} {list(array.shape)}, expected whole numbers")
            folds.append(Ranks(**arrays))
        queries = str(found["queries"])
    except (ValueError, KeyError) as error:
        raise DataError(f"no saved ranks in {path} ({error}); {_NEXT}") from error
    if not folds:
        raise DataError(f"no saved ranks in {path} (0 folds); {_NEXT}")
    return SavedRanks(tuple(folds), queries)


def require_same_queries(a: SavedRanks, b: SavedRanks) -> None:
    """Check that two runs ranked the same images and sentences in the same order.

    Raises:
        EvalError: they did not.
    """
    if a.queries != b.queries:
        raise EvalError(
            f"the runs ranked other images or captions (fingerprints {a.queries[:12]} and {b.queries[:12]}); "
            "run eval.run retrieval on both with the same data set, split and protocol"
        )
