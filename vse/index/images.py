"""An index of image files: encoded once, and again only where a file is new or changed."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.core.files import cache_folder, read_arrays, whole_file
from vislang.features.cache.records import RECORD, changed_files, file_records, with_digests
from vislang.features.reading_options import ReadingOptions
from vislang.images.sources import Skipped, find_images
from vse.api import EncodedImages

if TYPE_CHECKING:
    from vse.inference import TrainedRanker

_log = logging.getLogger(__name__)
SAVE_EVERY = 2000  # images; what an interrupted first indexing can lose


@dataclass(frozen=True)
class _Indexed:
    """An encoded file."""

    record: Any  # RECORD: its size, times and digest
    vector: np.ndarray  # float32 [width]


def index_images(
    model: "TrainedRanker",
    images: Sequence[str | Path],
    *,
    store: Path | None = None,
    options: ReadingOptions = ReadingOptions(),
) -> EncodedImages:
    """Encode image files, reusing what an earlier call with the same `images` stored.

    Args:
        images: files, folders, patterns or text files of paths.
        store: folder of stored indexes; None: VISLANG_INDEX, or ~/.cache/vislang/index. Where it cannot be written, a
            warning says so, and the images are encoded again next time.

    Raises:
        DataError: no usable image.
    """
    found, skipped = find_images(list(map(str, images)), strict=options.strict)
    paths = [path for path in found if path.is_file()]
    skipped += [Skipped(str(path), f"{path}: no such file") for path in found if not path.is_file()]
    if not paths or (options.strict and skipped):
        raise DataError(f"{skipped[0].reason}, expected image files, folders or patterns")
    names = [str(path.resolve()) for path in paths]
    records = file_records(paths)
    file = index_file(model, images, store, options.weights)
    stored = _read(file, model.width)
    known = _unchanged(stored, names, paths, records)
    new = [index for index, name in enumerate(names) if name not in known]
    unsaved = 0
    for vectors, kept, bad in model.encode_images([paths[index] for index in new], options):
        rows = [new[index] for index in kept]
        digested = with_digests(records[rows], [paths[row] for row in rows])
        for row, record, vector in zip(rows, digested, vectors, strict=True):
            known[names[row]] = _Indexed(record, vector)
        skipped += bad
        unsaved += len(kept)
        if file is not None and unsaved >= SAVE_EVERY:
            if not _write(file, known):
                file = None
            unsaved = 0
    is_same = stored.keys() == known.keys() and all(known[name].record == stored[name].record for name in known)
    if file is not None and not is_same:
        _write(file, known)
    usable = [index for index, name in enumerate(names) if name in known]
    if not usable:
        raise DataError(f"none of {len(paths)} images could be encoded; the first: {skipped[0].reason}")
    vectors = np.stack([known[names[index]].vector for index in usable])
    return EncodedImages(vectors, [str(paths[index]) for index in usable], skipped)


def index_file(
    model: "TrainedRanker",
    images: Sequence[str | Path],
    store: Path | None = None,
    weights: str | Path | None = None,
) -> Path | None:
    """Return the file of the index of `images` by this model and weights file; None where there is no place for it."""
    store = store or cache_folder("VISLANG_INDEX", "index")
    if store is None:
        return None
    places = [str(Path(image).resolve()) for image in images]
    digest = hashlib.sha256(json.dumps([places, model.fingerprint, weights and str(weights)]).encode())
    return store / f"{digest.hexdigest()[:24]}.npz"


def _unchanged(
    stored: dict[str, _Indexed], names: Sequence[str], paths: Sequence[Path], records: np.ndarray
) -> dict[str, _Indexed]:
    """Return what is stored of files that hold the same as then, with their times of now."""
    held = [index for index, name in enumerate(names) if name in stored]
    before = np.zeros(len(held), RECORD)
    for number, index in enumerate(held):
        before[number] = stored[names[index]].record
    current = records[held]
    current["sha256"] = before["sha256"]
    changed = changed_files([before], [paths[index] for index in held])
    return {
        names[index]: _Indexed(record, stored[names[index]].vector)
        for index, record, is_changed in zip(held, current, changed.tolist(), strict=True)
        if not is_changed
    }


def _read(file: Path | None, width: int) -> dict[str, _Indexed]:
    """Read a stored index, {path: encoded file}; one that is absent or damaged counts as empty."""
    if file is None:
        return {}
    try:
        stored = read_arrays(file, "it is made anew")
        names, records, vectors = stored["names"], stored["records"], stored["vectors"]
        listed = names.tolist()
    except (DataError, KeyError, SystemError):  # SystemError: NumPy's, for damaged letters
        return {}
    fits = names.ndim == 1 and names.dtype.kind == "U" and vectors.shape == (len(names), width)
    fits = fits and records.shape == names.shape and records.dtype == RECORD
    if not fits or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        return {}
    return {name: _Indexed(*encoded) for name, *encoded in zip(listed, records, vectors, strict=True)}


def _write(file: Path, known: dict[str, _Indexed]) -> bool:
    """Store the vectors of the files that exist now, and return whether that was possible."""
    if not known:
        return True
    records = np.array([one.record for one in known.values()], RECORD)
    vectors = np.stack([one.vector for one in known.values()])
    try:
        with whole_file(file) as part, part.open("wb") as stream:
            np.savez(stream, names=np.array(list(known)), records=records, vectors=vectors)
    except DataError as error:
        _log.warning("the index is not kept, only this search has it: %s", printable(str(error)))
        return False
    return True
