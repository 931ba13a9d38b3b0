"""Features of images and videos, in memory or into a feature cache."""

import glob
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.registry import load_backbone
from vislang.core.cli import DEFAULT_BACKBONE, printable
from vislang.core.errors import DataError
from vislang.features.cache.reader import CacheWriter, FeatureKey, feature_key, open_cache
from vislang.features.pipeline import FeatureBatch, encode_batches, encode_images
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions
from vislang.images.sources import Skipped, image_sources, list_images


@dataclass(frozen=True)
class ExtractedFeatures:
    """Features of N images.

    Attributes:
        names: of each image: its path or index; the cache's name of it where there is a cache.
        features: {layer: [N, ...]}, float32 in memory, or float16 read from the cache file where it is used.
        skipped: images that could not be read.
    """

    names: list[str]
    features: dict[str, np.ndarray]
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.names)


def extract_features(
    images: Any,
    *,
    backbone: str = DEFAULT_BACKBONE,
    layers: str | Sequence[str] = "pooled",
    preprocessing: str | None = None,
    cache: str | Path | None = None,
    options: ReadingOptions = ReadingOptions(),
) -> ExtractedFeatures:
    """Compute features of images with a frozen CNN.

    Args:
        images: a path, folder, glob, bytes, PIL image, uint8 array, or a list of these; only files with a cache.
        backbone: a name that `vislang extract --list` prints, hub:HANDLE, or a model file or folder.
        layers: one or several, such as "pooled", "grid" or "regions-grid".
        preprocessing: its name, or a size such as "320"; None: the backbone's own.
        cache: the feature cache to create or to add the layers to; an interrupted call resumes.
        options: how the images are read.

    Raises:
        ConfigError: an unknown backbone, layer or preprocessing.
        DataError: no usable image, or a cache of other images.

    Example:
        >>> import vislang
        >>> found = vislang.extract_features("drawn.png", layers=["pooled", "grid"])
        >>> found.names, found.features["grid"].shape
        (['drawn.png'], (1, 7, 7, 1280))
    """
    layers = [layers] if isinstance(layers, str) else list(layers)
    if cache is not None:
        return _extract_into_cache(images, backbone, layers, preprocessing, Path(cache), options)
    sources, names = image_sources(images)
    loaded = load_for_layers(backbone, layers, preprocessing, options)
    found = encode_images(loaded, sources, layers, batch_size=options.batch_size, strict=options.strict)
    return ExtractedFeatures([names[row] for row in found.kept], found.features, found.skipped)


def _extract_into_cache(
    images: Any, backbone: str, layers: Sequence[str], preprocessing: str | None, path: Path, options: ReadingOptions
) -> ExtractedFeatures:
    where = images if isinstance(images, str | os.PathLike) else "the images"
    files, skipped = files_of_cache(path, *files_by_name(images), where)
    loaded = load_for_layers(backbone, layers, preprocessing, options)
    keys = {layer: feature_key(loaded, layer) for layer in layers}
    written = add_to_cache(path, loaded, list(keys.values()), files, options)
    cache = open_cache(path)
    features = {layer: cache.mapped(key) for layer, key in keys.items()}
    return ExtractedFeatures(list(cache.ids), features, skipped + written.skipped)


def load_for_layers(
    name: str, layers: Sequence[str], preprocessing: str | None, options: ReadingOptions
) -> LoadedBackbone:
    """Load a backbone that has these layers, features of regions among them."""
    backbone = load_backbone(name, weights=options.weights, preprocessing=preprocessing)
    return with_regions(backbone, layers, options.proposals)


def files_by_name(
    images: Any, *, root: str | None = None, by_file_name: bool = False
) -> tuple[dict[str, Path], list[Skipped]]:
    """Name image files as a cache does.

    Args:
        images: a folder, pattern, file or text file, whose images are named by their paths relative to it; or paths
            that are names themselves.
        root: what the paths in a text file are relative to; None: the folder of that file.
        by_file_name: name them by their file names alone.

    Returns:
        {name: file}, and those whose name is not UTF-8.

    Raises:
        DataError: no image, an image that is no file, or a name that occurs twice.
    """
    base = Path()
    if isinstance(images, str | os.PathLike):
        base = _base(Path(images), root)
        paths = list_images(images, root=root)
    else:
        paths = []
        for source in image_sources(images)[0]:
            if not isinstance(source, str | os.PathLike):
                raise DataError(f"got {type(source).__name__}, expected files, which a cache can name; pass paths")
            paths.append(Path(source))
    files: dict[str, Path] = {}
    skipped = []
    for path in paths:
        name = path.as_posix()
        if by_file_name:
            name = path.name
        elif path.is_relative_to(base):
            name = path.relative_to(base).as_posix()
        if name in files:
            raise DataError(f"{images}: lists {name} twice; remove the repetition")
        if name.encode("utf-8", "replace") != os.fsencode(name):
            skipped.append(Skipped(ascii(name), f"{ascii(name)}: its name is not UTF-8; rename it"))
        else:
            files[name] = path
    return files, skipped


def _base(path: Path, root: str | None) -> Path:
    if path.is_dir():
        return path
    if path.is_file():
        return Path(root or path.parent)
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def files_of_cache(
    path: Path, files: dict[str, Path], skipped: list[Skipped], where: Any
) -> tuple[dict[str, Path], list[Skipped]]:
    """Return the files in the order of a cache that exists, and with the skipped ones those that it does not hold.

    Raises:
        DataError: the cache holds images that are not among the files.
    """
    if not path.exists():
        return files, skipped
    ids = open_cache(path).ids
    missing = [name for name in ids if name not in files]
    if missing:
        raise DataError(
            f"{path}: holds {missing[0]!r} and {len(missing) - 1} more images that are not in {where};"
            " give the folder the cache was made from, or another --cache"
        )
    reason = "not in the cache, whose images are those its first extraction could read; use a new --cache"
    held = set(ids)
    others = [Skipped(name, f"{name}: {reason}") for name in files if name not in held]
    return {name: files[name] for name in ids}, skipped + others


@dataclass(frozen=True)
class Written:
    """What a call wrote into a cache."""

    keys: list[FeatureKey]  # of the layers that were added
    computed: int  # number of files that were encoded, without those of an interrupted call that was resumed
    skipped: list[Skipped]  # files that could not be read


def add_to_cache(
    path: Path, backbone: LoadedBackbone, keys: Sequence[FeatureKey], files: Mapping[str, Path], options: ReadingOptions
) -> Written:
    """Compute the layers that a cache lacks.

    Args:
        path: the cache; created where absent.
        backbone: has the layers.
        keys: of the layers.
        files: {name: image}, in the order of the cache.
        options: how they are read.

    Raises:
        DataError: the cache holds other features in their place, or an image that cannot be read.
    """
    exists = path.exists()
    added = list(dict.fromkeys(keys))
    if exists:
        cache = open_cache(path)
        added = [key for key in added if not cache.holds(key)]
    if not added:
        return Written([], 0, [])

    def encode(paths: Sequence[Path]) -> Iterator[FeatureBatch]:
        layers = [key.layer for key in added]
        for batch in encode_batches(backbone, paths, layers, batch_size=options.batch_size, strict=options.strict):
            if batch.skipped and exists:
                raise DataError(f"{batch.skipped[0].reason}; the cache holds this image, so it is needed")
            yield batch

    job = {"batch": options.batch_size}
    return write_rows(path, added, files, encode, job=job, unit="image", progress=options.progress)


def write_rows(
    path: Path,
    keys: list[FeatureKey],
    files: Mapping[str, Path],
    encode: Callable[[Sequence[Path]], Iterable[FeatureBatch]],
    *,
    job: Mapping[str, Any],
    unit: str,
    progress: bool,
) -> Written:
    """Write the features of files into a cache.

    An interrupted call resumes; it starts again, and says so on stderr, where a file has another size or modification
    time than before, or the job differs.

    Args:
        path: the cache.
        keys: what is computed.
        files: {name in the cache: file}.
        encode: returns the features of files batch by batch, in order.
        job: settings that change the rows, as JSON values.
        unit: what is counted by the progress bar.
        progress: whether it is drawn.
    """
    names = list(files)
    with CacheWriter(path, keys, {**job, "files": _stamps(files)}) as writer:
        if writer.is_restarted:
            print(
                f"{printable(str(path))}: starting again, {unit}s or options changed since the interrupted run",
                file=sys.stderr,
            )
        first = writer.done
        with tqdm(total=len(names), initial=first, unit=unit, disable=not progress) as bar:
            for batch in encode([files[name] for name in names[first:]]):
                count = len(batch.kept) + len(batch.skipped)
                kept = [names[first + row] for row in batch.kept]
                skipped = [(one.source, one.reason) for one in batch.skipped]
                writer.append(kept, batch.features, done=writer.done + count, skipped=skipped)
                bar.update(count)
        writer.finish()
    return Written(keys, len(names) - first, [Skipped(source, reason) for source, reason in writer.skipped])


def _stamps(files: Mapping[str, Path]) -> str:
    """Compute the SHA-256 (hex) of the names, sizes and modification times of files."""
    digest = hashlib.sha256()
    for name, path in files.items():
        stamp = None
        if path.exists():
            about = path.stat()
            stamp = (about.st_size, about.st_mtime_ns)
        digest.update(f"{name}\0{stamp}\n".encode())
    return digest.hexdigest()
