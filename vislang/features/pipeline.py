"""From many pictures to features: decoding in threads while the network runs, order kept, bad files set aside."""

import collections
import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.backbones.base import LoadedBackbone
from vislang.core.errors import ConfigError, DataError
from vislang.images.decode import SUFFIXES, ImageSource, decode_image, source_name
from vislang.images.own_drawings import without_own_drawings
from vislang.images.preprocess import Preprocessing, prepare

PICTURE_SIDE = 512  # no proposer looks closer
BATCHES_AHEAD = 2  # decoded while the network works on one; more only costs memory


@dataclass(frozen=True)
class Skipped:
    """A picture that could not be used."""

    source: str
    reason: str


@dataclass(frozen=True)
class FeatureBatch:
    """Features of the usable images of one batch or request.

    Attributes:
        features: {layer: float32 [K, ...]}.
        kept: for each of the K rows, the position of its picture among the sources.
        skipped: the other pictures.
    """

    features: dict[str, np.ndarray]
    kept: list[int]
    skipped: list[Skipped]


def encode_images(
    backbone: LoadedBackbone,
    sources: Sequence[ImageSource],
    layers: Sequence[str],
    *,
    batch_size: int = 32,
    strict: bool = False,
) -> FeatureBatch:
    """Encode pictures of any kind.

    Args:
        backbone: from `load_backbone`.
        sources: paths, bytes, PIL images or uint8 arrays.
        layers: names of the backbone's layers or layers.
        batch_size: pictures in one forward pass.
        strict: raise for the first bad picture instead of setting it aside.

    Raises:
        DataError: a bad picture and `strict`, or no picture at all is usable.
    """
    batches = list(encode_batches(backbone, sources, layers, batch_size=batch_size, strict=strict))
    kept = [number for batch in batches for number in batch.kept]
    skipped = [one for batch in batches for one in batch.skipped]
    if not kept:
        first = "; the list is empty"
        if skipped:
            first = f"; the first: {skipped[0].reason}"
        raise DataError(f"none of {len(sources)} images could be encoded{first}")
    features = {}
    for layer in layers:
        features[layer] = np.concatenate([batch.features[layer] for batch in batches if batch.kept])
    return FeatureBatch(features, kept, skipped)


def encode_batches(
    backbone: LoadedBackbone,
    sources: Iterable[ImageSource],
    layers: Sequence[str],
    *,
    batch_size: int = 32,
    strict: bool = False,
) -> Iterator[FeatureBatch]:
    """Encode pictures batch by batch, in order, without holding more than a few batches in memory.

    Takes what `encode_images` takes. Every `batch_size` sources give one result, which may hold fewer rows, or
    none when all were bad (its `features` is then empty).
    """
    if batch_size < 1:
        raise DataError(f"batch size is {batch_size}, expected at least 1")
    start = 0
    for images, results in _prepared_batches(sources, backbone.preprocessing, batch_size, backbone.needs_pictures):
        good = []
        for number, result in enumerate(results):
            if not isinstance(result, Skipped):
                good.append(number)
        skipped = []
        for result in results:
            if isinstance(result, Skipped):
                skipped.append(result)
        if skipped and strict:
            raise DataError(f"{skipped[0].reason} (strict: the first bad image ends the run)")
        usable = images
        if skipped:
            usable = images[good]
        if not good:
            features = {}
        elif backbone.needs_pictures:
            features = backbone.encode_pictures([results[number] for number in good], usable, layers)
        else:
            features = backbone.encode(usable, layers)
        kept = [start + number for number in good]
        start += len(results)
        yield FeatureBatch(features, kept, skipped)


def list_images(where: str | os.PathLike, *, root: str | os.PathLike | None = None) -> list[Path]:
    """List pictures in a stable order.

    Args:
        where: a folder (searched to the bottom, sorted), a glob (sorted), a picture, or a text file with one
            path a line (kept in its order). Drawings of this toolkit are left out of folders and globs.
        root: what the paths in a text file are relative to; None: the folder of that file.

    Raises:
        DataError: nothing there.
    """
    where = Path(where)
    if where.is_dir():
        paths = sorted(path for path in where.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    elif where.is_file():
        paths = [where] if where.suffix.lower() in SUFFIXES else _listed(where, Path(root or where.parent))
    elif glob.has_magic(str(where)):
        found = map(Path, glob.glob(str(where), recursive=True))
        paths = sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())
    else:
        raise DataError(f"{where}: no such file or folder, expected images, a list of images or a pattern")
    if not paths:
        raise DataError(f"{where}: holds no image, expected files ending in {', '.join(sorted(SUFFIXES))}")
    if where.is_file():
        return paths
    return without_own_drawings(paths, where)


def find_images(words: Iterable[str], *, strict: bool = False) -> tuple[list[Path], list[Skipped]]:
    """List the images that the arguments of a command stand for, each once and in the order asked for.

    A file is not looked at: one that is missing or no image is found when it is read.

    Args:
        words: files, folders (searched to the bottom), patterns, or text files ending in .txt with a path a line.
        strict: raise for the first word that stands for nothing.

    Returns:
        the paths, and the words that stand for nothing.

    Raises:
        ConfigError: no words.
        DataError: nothing was found, or not everything and `strict`.
    """
    paths: dict[str, Path] = {}
    missing: list[Skipped] = []
    for word in words:
        try:
            listed = list_images(word) if _stands_for_many(word) else [Path(word)]
        except DataError as error:
            if strict:
                raise
            missing.append(Skipped(word, str(error)))
            continue
        for path in listed:
            paths.setdefault(os.path.abspath(path), path)
    if not paths and not missing:
        raise ConfigError("no image was given, expected files, folders or patterns: --images FILE ...")
    if not paths:
        raise DataError(f"no image was found; the first: {missing[0].reason}")
    return list(paths.values()), missing


def _stands_for_many(word: str) -> bool:
    if os.path.exists(word):
        return os.path.isdir(word) or word.lower().endswith(".txt")
    return glob.has_magic(word)


def _listed(path: Path, root: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: neither an image nor a list of images in UTF-8 text") from error
    return [root / line.strip() for line in lines if line.strip()]


def _prepared_batches(
    sources: Iterable[ImageSource], preprocessing: Preprocessing, batch_size: int, keep_pictures: bool
) -> Iterator[tuple[np.ndarray, list[Any]]]:
    """Decode in threads (Pillow lets go of the interpreter's lock) and hand batches out in order.

    Beside each batch goes a list with a `Skipped`, or else the picture where it is to be kept, or else None.
    """
    remaining = iter(sources)
    pending: collections.deque[tuple[np.ndarray, list[Future]]] = collections.deque()
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="decode")
    try:
        while True:
            while len(pending) <= BATCHES_AHEAD and (chunk := list(itertools.islice(remaining, batch_size))):
                images = np.empty((len(chunk), preprocessing.size, preprocessing.size, 3), np.float32)
                places = zip(chunk, images, strict=True)
                pending.append(
                    (
                        images,
                        [pool.submit(_prepare_into, place, one, preprocessing, keep_pictures) for one, place in places],
                    )
                )
            if not pending:
                return
            images, futures = pending.popleft()
            yield images, [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare_into(place: np.ndarray, source: ImageSource, preprocessing: Preprocessing, keep_picture: bool) -> Any:
    """Fill one place of a batch; stacking finished images afterwards would copy every one again."""
    try:
        if not keep_picture:
            prepare(source, preprocessing, out=place)
            return None
        picture = decode_image(source, shorter_side=max(2 * preprocessing.shorter_side, PICTURE_SIDE))
        prepare(picture, preprocessing, out=place)
        return picture
    except DataError as error:
        return Skipped(source_name(source), str(error))
