"""An index of a folder of photographs: encoded once, and again only where a file is new or changed."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import UNREADABLE, whole_file
from vislang.features.pipeline import Skipped, list_images
from vislang.features.reading_options import ReadingOptions
from vse.api import EncodedImages

if TYPE_CHECKING:
    from vse.inference import TrainedRanker

SAVE_EVERY = 2000  # pictures; what an interrupted first indexing can lose


def index_folder(
    model: "TrainedRanker",
    folder: str | Path,
    *,
    store: Path | None = None,
    options: ReadingOptions = ReadingOptions(),
) -> EncodedImages:
    """Encode the pictures of a folder, reusing what an earlier call stored.

    Args:
        model: from `vse.load_model`.
        folder: a folder, glob or list of pictures.
        store: folder of stored indexes; None: VISLANG_INDEX, or ~/.cache/vislang/index.
        options: how they are read.

    Raises:
        DataError: no usable picture.
    """
    paths = list_images(folder)
    stamps = [_stamp(path) for path in paths]
    file = index_file(model, folder, store, options.weights)
    known = _read(file, model.width)
    new = [index for index, stamp in enumerate(stamps) if stamp not in known]
    skipped: list[Skipped] = []
    unsaved = 0
    for vectors, kept, bad in model.encode_images([paths[index] for index in new], options):
        for index, vector in zip(kept, vectors, strict=True):
            known[stamps[new[index]]] = vector
        skipped += bad
        unsaved += len(kept)
        if unsaved >= SAVE_EVERY:
            _write(file, stamps, known)
            unsaved = 0
    _write(file, stamps, known)
    usable = [number for number, stamp in enumerate(stamps) if stamp in known]
    if not usable:
        raise DataError(f"{folder}: none of {len(paths)} images could be encoded; the first: {skipped[0].reason}")
    vectors = np.stack([known[stamps[number]] for number in usable])
    return EncodedImages(vectors, [str(paths[number]) for number in usable], skipped)


def index_file(
    model: "TrainedRanker", folder: str | Path, store: Path | None = None, weights: str | Path | None = None
) -> Path:
    """Give the file that holds the index of a folder made by this very model and weights file."""
    store = store or Path(os.environ.get("VISLANG_INDEX") or Path.home() / ".cache" / "vislang" / "index")
    digest = hashlib.sha256(
        json.dumps([str(Path(folder).resolve()), model.fingerprint, weights and str(weights)]).encode()
    )
    return store / f"{digest.hexdigest()[:24]}.npz"


def _stamp(path: Path) -> str:
    about = path.stat()
    return f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"


def _read(file: Path, width: int) -> dict[str, np.ndarray]:
    """Read a stored index; one that is damaged is made anew."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            stamps, vectors = stored["stamps"].tolist(), stored["vectors"]
    except UNREADABLE:
        return {}
    if vectors.shape != (len(stamps), width):
        return {}
    return dict(zip(stamps, vectors, strict=True))


def _write(file: Path, stamps: Sequence[str], known: dict[str, np.ndarray]) -> None:
    """Store the vectors of the files that are there now."""
    current = [stamp for stamp in stamps if stamp in known]
    if current:
        with whole_file(file) as part, part.open("wb") as stream:
            np.savez(stream, stamps=np.array(current), vectors=np.stack([known[stamp] for stamp in current]))
