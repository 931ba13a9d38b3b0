"""Features of images and videos, in memory or into a feature cache."""

import glob
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import is_program, load_backbone
from vislang.core.cli import DEFAULT_BACKBONE, printable
from vislang.core.errors import DataError, ToolkitError
from vislang.features.cache.reader import CacheWriter, FeatureKey, feature_key, open_cache
from vislang.features.cache.records import file_records, with_digests
from vislang.features.cache.rows import listed
from vislang.features.pipeline import FeatureBatch, encode_batches, encode_images
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions
from vislang.images.sources import Skipped, image_sources, list_images

# Encodes files: yields batches whose features are {key: rows}.
Encode = Callable[[Sequence[Path]], Iterable[FeatureBatch]]

_log = logging.getLogger(__name__)


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
    changed: list[str]  # images that had another file than before, and were encoded again for all layers


def add_to_cache(
    path: Path, backbone: LoadedBackbone, keys: Sequence[FeatureKey], files: Mapping[str, Path], options: ReadingOptions
) -> Written:
    """Compute the layers that a cache lacks, and before them all rows of images whose files changed.

    Args:
        path: the cache; created where absent.
        backbone: has the layers.
        keys: of the layers.
        files: {name: image}, in the order of the cache.
        options: how they are read.

    Raises:
        DataError: the cache holds other features in their place, an image that cannot be read, or a file changed and
            the cache has layers that cannot be computed again here.
    """
    exists = path.exists()
    added = list(dict.fromkeys(keys))
    changed: list[str] = []
    job = {"batch": options.batch_size}

    def encode_with(parts: Sequence[tuple[LoadedBackbone, list[FeatureKey]]]) -> Encode:
        def encode(paths: Sequence[Path]) -> Iterator[FeatureBatch]:
            some = {"batch_size": options.batch_size, "strict": options.strict}
            streams = [encode_batches(each, paths, [key.layer for key in keys], **some) for each, keys in parts]
            return joined(streams, [keys for _, keys in parts], needed=exists)

        return encode

    if exists:
        cache = open_cache(path)
        added = [key for key in added if not cache.holds(key)]
        changed = update_changed(
            path,
            files,
            lambda stored: encode_with(backbones_of(stored, backbone, options)),
            job=job,
            unit="image",
            progress=options.progress,
        )
    if not added:
        return Written([], len(changed), [], changed)
    encode = encode_with([(backbone, added)])
    written = write_rows(path, added, files, encode, job=job, unit="image", progress=options.progress)
    return replace(written, computed=written.computed + len(changed), changed=changed)


def joined(
    streams: Sequence[Iterable[FeatureBatch]], keys: Sequence[Sequence[FeatureKey]], *, needed: bool
) -> Iterator[FeatureBatch]:
    """Yield what several backbones compute of the same files as one batch each, with features {key: rows}.

    Args:
        streams: the batches of each backbone, with features {layer: rows}.
        keys: of the layers of each.
        needed: whether a file that cannot be read ends the run, as the cache holds it already.
    """
    for batches in zip(*streams, strict=True):
        features: dict[Any, np.ndarray] = {}
        for batch, some in zip(batches, keys, strict=True):
            if batch.skipped and needed:
                raise DataError(f"{batch.skipped[0].reason}; the cache holds this image, so it is needed")
            if batch.kept:
                features.update({key: batch.features[key.layer] for key in some})
        yield replace(batches[0], features=features)


def backbones_of(
    keys: Sequence[FeatureKey], given: LoadedBackbone, options: ReadingOptions
) -> list[tuple[LoadedBackbone, list[FeatureKey]]]:
    """Return the backbones that compute stored layers, with the keys of each.

    Args:
        keys: of the layers.
        given: the backbone that the user named.
        options: where its weights are.

    Raises:
        ToolkitError: one cannot be loaded, or computes other features by now.
    """
    groups: dict[tuple[str, str, str], list[FeatureKey]] = {}
    for key in keys:
        proposals = FeatureName.parse(key.layer).proposals
        groups.setdefault((key.backbone, key.preprocessing, proposals), []).append(key)
    parts = []
    for (name, preprocessing, proposals), some in groups.items():
        backbone = given
        if any(feature_key(given, key.layer) != key for key in some):
            backbone = _load_stored(name, [key.layer for key in some], preprocessing, proposals, given, options)
        for key in some:
            difference = key.difference(feature_key(backbone, key.layer))
            if difference:
                raise DataError(f"of {name}/{key.layer}, {difference}")
        parts.append((backbone, some))
    return parts


def _load_stored(
    name: str, layers: Sequence[str], preprocessing: str, proposals: str, given: LoadedBackbone, options: ReadingOptions
) -> LoadedBackbone:
    """Load a backbone that a cache names, with the user's weights and proposals where they are meant for it."""
    if name != given.name:
        if is_program(name):
            raise DataError(f"{name} is a program, which is only run where it is named")
        options = replace(options, weights=None)
    if (options.proposals or "").partition(":")[0] != proposals:
        options = replace(options, proposals=None)
    return load_for_layers(name, layers, preprocessing, options)


def update_changed(
    path: Path,
    files: Mapping[str, Path],
    encode_layers: Callable[[list[FeatureKey]], Encode],
    *,
    job: Mapping[str, Any],
    unit: str,
    progress: bool,
) -> list[str]:
    """Compute again the rows of files that changed, in all layers of a cache, so that no row mixes old and new.

    Args:
        path: the cache.
        files: {name in the cache: file}.
        encode_layers: returns what encodes files for the layers with some keys.
        job: as for `write_rows`, like the rest.

    Returns:
        the names of the files that changed.

    Raises:
        DataError: the cache has layers that cannot be computed again here.
    """
    cache = open_cache(path)
    silent = cache.layers_without_files()
    if silent:
        where = printable(str(path))
        _log.warning("%s: does not say of which files %s are; changes are not seen", where, listed(silent))
    changed = cache.changed(files)
    if not changed:
        return []
    keys = cache.layers()
    images = listed(changed)
    _log.warning(
        "%s: %d %ss changed since they were encoded (%s); encoding them again for all %d layers",
        printable(str(path)), len(changed), unit, images, len(keys),
    )  # fmt: skip
    try:
        encode = encode_layers(keys)
    except ToolkitError as error:
        raise DataError(
            f"{path}: {images} changed since they were encoded, and a layer cannot be computed again ({error});"
            " extract all layers into a new --cache"
        ) from error
    write_rows(path, keys, {name: files[name] for name in changed}, encode, job=job, unit=unit, progress=progress)
    return changed


def write_rows(
    path: Path,
    keys: list[FeatureKey],
    files: Mapping[str, Path],
    encode: Encode,
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
        files: {name in the cache: file}; some of them where the cache holds all of `keys`.
        encode: returns the features of files, {key: rows}, batch by batch, in order.
        job: settings that change the rows, as JSON values.
        unit: what is counted by the progress bar.
        progress: whether it is drawn.
    """
    names = list(files)
    paths = list(files.values())
    records = file_records(paths)
    digest = hashlib.sha256("\0".join(names).encode() + records.tobytes()).hexdigest()
    with CacheWriter(path, keys, {**job, "files": digest}) as writer:
        if writer.is_restarted:
            print(
                f"{printable(str(path))}: starting again, {unit}s or options changed since the interrupted run",
                file=sys.stderr,
            )
        first = writer.done
        with tqdm(total=len(names), initial=first, unit=unit, disable=not progress) as bar:
            for batch in encode(paths[first:]):
                count = len(batch.kept) + len(batch.skipped)
                rows = [first + row for row in batch.kept]
                writer.append(
                    [names[row] for row in rows],
                    batch.features,
                    done=writer.done + count,
                    skipped=[(one.source, one.reason) for one in batch.skipped],
                    records=with_digests(records[rows], [paths[row] for row in rows]),
                )
                bar.update(count)
        writer.finish()
    skipped = [Skipped(source, reason) for source, reason in writer.skipped]
    return Written(keys, len(names) - first, skipped, [])
