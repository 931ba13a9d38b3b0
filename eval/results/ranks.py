"""Ranks on disk, so that two runs can be compared image by image later."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.metrics.ranking import Ranks
from vislang.core.errors import DataError, EvalError
from vislang.core.files import whole_file


@dataclass(frozen=True)
class SavedRanks:
    """The ranks of one run and the fingerprint of what it ranked."""

    folds: tuple[Ranks, ...]
    queries: str


def queries_fingerprint(image_ids: Sequence[str], sentences: Sequence[str]) -> str:
    """Give the sha256 (hex) of the images and sentences that were ranked, in order."""
    return hashlib.sha256(json.dumps([list(image_ids), list(sentences)]).encode()).hexdigest()


def ranks_path(run: str | Path, *, dataset: str, split: str, protocol: str) -> Path:
    """Give where the ranks of a run lie: inside a checkpoint folder, beside a checkpoint file; itself for a .npz."""
    run = Path(run)
    if run.suffix == ".npz" and run.name.startswith(_PREFIX):
        return run
    name = f"{dataset}-{split}-{protocol}.npz"
    return run / f"{_PREFIX}{name}" if run.is_dir() else run.with_name(f"{_PREFIX}{run.stem}-{name}")


def only_dataset(run: str | Path, *, split: str, protocol: str) -> str:
    """Give the data set that a run was ranked on, from the names of its saved ranks.

    Raises:
        DataError: none, or several.
    """
    run = Path(run)
    start = _PREFIX if run.is_dir() else f"{_PREFIX}{run.stem}-"
    end = f"-{split}-{protocol}.npz"
    if run.suffix == ".npz" and run.name.startswith(_PREFIX):
        return ""  # ranks_path takes the file as it is
    folder = run if run.is_dir() else run.parent
    found = sorted(path.name[len(start) : -len(end)] for path in folder.glob(f"{start}*{end}"))
    if len(found) != 1:
        got = f"ranks on {', '.join(found)}" if found else f"no ranks on split {split!r} ({protocol})"
        todo = "choose with --dataset" if found else f"first: python -m eval.run --model {run} --split {split}"
        raise DataError(f"{run} has {got}, expected one data set; {todo}")
    return found[0]


def save_ranks(path: str | Path, ranks: SavedRanks) -> None:
    """Write the ranks as a whole .npz file without pickle.

    Raises:
        DataError: the folder cannot be written.
    """
    arrays = {"queries": np.array(ranks.queries)}
    for number, fold in enumerate(ranks.folds):
        arrays |= {f"{number}/{name}": getattr(fold, name) for name in _ARRAYS}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stubs forbid **arrays


def load_ranks(path: str | Path) -> SavedRanks:
    """Read what `save_ranks` wrote.

    Raises:
        DataError: no such file, or not one of saved ranks.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            count = sum(name.endswith(_ARRAYS[0]) for name in file.files)
            folds = tuple(Ranks(*(file[f"{number}/{name}"] for name in _ARRAYS)) for number in range(count))
            queries = str(file["queries"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"no saved ranks in {path} ({error}); write them with: python -m eval.run") from error
    if not folds:
        raise DataError(f"no saved ranks in {path} (0 folds); write them with: python -m eval.run")
    return SavedRanks(folds, queries)


def require_same_queries(a: SavedRanks, b: SavedRanks) -> None:
    """Check that two runs ranked the same images and sentences in the same order.

    Raises:
        EvalError: they did not.
    """
    if a.queries != b.queries:
        raise EvalError(
            f"the runs ranked other images or captions (fingerprints {a.queries[:12]} and {b.queries[:12]}); "
            "run eval.run on both with the same data set, split and protocol"
        )


_PREFIX = "ranks-"
_ARRAYS = ("image_to_text", "text_to_image", "image_of_caption")
