"""An index of image files: encoded once, and again only where a file is new or changed."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.core.files import cache_folder, read_arrays, whole_file
from vislang.features.reading_options import ReadingOptions
from vislang.images.sources import Skipped, find_images
from vse.api import EncodedImages

if TYPE_CHECKING:
    from vse.inference import TrainedRanker

_log = logging.getLogger(__name__)
SAVE_EVERY = 2000  # images; what an interrupted first indexing can lose


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
    stamps = list(map(_stamp, paths))
    file = index_file(model, images, store, options.weights)
    known = _read(file, model.width)
    new = [index for index, stamp in enumerate(stamps) if stamp not in known]
    unsaved = 0
    for vectors, kept, bad in model.encode_images([paths[index] for index in new], options):
        for index, vector in zip(kept, vectors, strict=True):
            known[stamps[new[index]]] = vector
        skipped += bad
        unsaved += len(kept)
        if file is not None and unsaved >= SAVE_EVERY:
            if not _write(file, stamps, known):
                file = None
            unsaved = 0
    if file is not None and (unsaved or set(known) - set(stamps)):
        _write(file, stamps, known)
    usable = [index for index, stamp in enumerate(stamps) if stamp in known]
    if not usable:
        raise DataError(f"none of {len(paths)} images could be encoded; the first: {skipped[0].reason}")
    vectors = np.stack([known[stamps[index]] for index in usable])
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


def _stamp(path: Path) -> str:
    """Return what tells a file's content from another one; only the last time tells that two files swapped names."""
    about = path.stat()
    return f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}|{about.st_ctime_ns}"


def _read(file: Path | None, width: int) -> dict[str, np.ndarray]:
    """Read a stored index; one that is absent or damaged counts as empty."""
    if file is None:
        return {}
    try:
        stored = read_arrays(file, "it is made anew")
        stamps, vectors = stored["stamps"], stored["vectors"]
        names = stamps.tolist()
    except (DataError, KeyError, SystemError):  # SystemError: NumPy's, for damaged letters
        return {}
    fits = stamps.ndim == 1 and stamps.dtype.kind == "U" and vectors.shape == (len(stamps), width)
    if not fits or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        return {}
    return dict(zip(names, vectors, strict=True))


def _write(file: Path, stamps: Sequence[str], known: dict[str, np.ndarray]) -> bool:
    """Store the vectors of the files that exist now, and return whether that was possible."""
    current = [stamp for stamp in stamps if stamp in known]
    if not current:
        return True
    try:
        with whole_file(file) as part, part.open("wb") as stream:
            np.savez(stream, stamps=np.array(current), vectors=np.stack([known[stamp] for stamp in current]))
    except DataError as error:
        _log.warning("the index is not kept, only this search has it: %s", printable(str(error)))
        return False
    return True
