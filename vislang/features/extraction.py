"""Features of images, in memory or into a feature cache."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.cli import DEFAULT_BACKBONE
from vislang.core.errors import DataError
from vislang.features.cache.reader import feature_key, open_cache
from vislang.features.cache.rows import listed
from vislang.features.cached_extraction import add_to_cache
from vislang.features.pipeline import encode_images
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import load_for_layers
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
    if isinstance(images, str | os.PathLike):
        return name_files(list_images(images, root=root), base_folder(images, root), images, by_file_name=by_file_name)
    paths = []
    for source in image_sources(images)[0]:
        if not isinstance(source, str | os.PathLike):
            raise DataError(f"got {type(source).__name__}, expected files, which a cache can name; pass paths")
        paths.append(Path(source))
    return name_files(paths, Path(), images, by_file_name=by_file_name)


def name_files(
    paths: Sequence[Path], base: Path, where: Any, *, by_file_name: bool
) -> tuple[dict[str, Path], list[Skipped]]:
    """Return {name: file}, each named by its path relative to `base` or by its file name, and those not in UTF-8.

    Raises:
        DataError: a name occurs twice among what the user called `where`.
    """
    files: dict[str, Path] = {}
    skipped = []
    for path in paths:
        name = path.as_posix()
        if by_file_name:
            name = path.name
        elif path.is_relative_to(base):
            name = path.relative_to(base).as_posix()
        if name in files:
            raise DataError(f"{where}: lists {name} twice; remove the repetition")
        if name.encode("utf-8", "replace") != os.fsencode(name):
            skipped.append(Skipped(ascii(name), f"{ascii(name)}: its name is not UTF-8; rename it"))
        else:
            files[name] = path
    return files, skipped


def base_folder(where: str | os.PathLike, root: str | None = None) -> Path:
    """Return the folder to which the names of images are relative; arguments as for `list_images`."""
    path = Path(where)
    if path.is_dir():
        return path
    if path.is_file():
        return Path(root or path.parent)
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def files_of_cache(
    path: Path, files: dict[str, Path], skipped: list[Skipped], where: Any, unit: str = "image"
) -> tuple[dict[str, Path], list[Skipped]]:
    """Return the files in the order of a cache that exists, and with the skipped ones those that it does not hold.

    Args:
        path: the cache.
        files: {name: file}.
        skipped: what is skipped already.
        where: what the user calls the files.
        unit: what each is, "image" or "video".

    Raises:
        DataError: the cache holds names that are not among the files.
    """
    if not path.exists():
        return files, skipped
    ids = open_cache(path).ids
    missing = [name for name in ids if name not in files]
    if missing:
        raise DataError(
            f"{path}: holds {listed(missing)}, not found in {where};"
            " give the folder the cache was made from, or another --cache"
        )
    reason = f"not in the cache, whose {unit}s are those its first extraction could read; use a new --cache"
    held = set(ids)
    others = [Skipped(name, f"{name}: {reason}") for name in files if name not in held]
    return {name: files[name] for name in ids}, skipped + others
