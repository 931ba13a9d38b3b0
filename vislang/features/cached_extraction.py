"""Features of image and video files into a feature cache: what it lacks, and again what changed."""

import hashlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import is_program
from vislang.core.cli import printable
from vislang.core.errors import DataError, ToolkitError
from vislang.features.cache.reader import CacheWriter, FeatureKey, feature_key, open_cache
from vislang.features.cache.records import file_records, with_digests
from vislang.features.cache.rows import listed
from vislang.features.pipeline import FeatureBatch, encode_batches
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import load_for_layers
from vislang.images.sources import Skipped

# Encodes files: yields batches whose features are {key: rows}.
Encode = Callable[[Sequence[Path]], Iterable[FeatureBatch]]

_log = logging.getLogger(__name__)


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
            size, strict = options.batch_size, options.strict
            streams = []
            for each, keys in parts:
                layers = [key.layer for key in keys]
                streams.append(encode_batches(each, paths, layers, batch_size=size, strict=strict))
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
        _log.warning("%s: does not say from which files %s come; changes of them are not seen", where, listed(silent))
    changed = cache.changed(files)
    if not changed:
        return []
    keys = cache.layers()
    images = listed(changed)
    told = "%s: %d of %d %ss changed since their extraction (%s); extracting them again in all %d layers"
    _log.warning(told, printable(str(path)), len(changed), len(cache.ids), unit, images, len(keys))
    try:
        encode = encode_layers(keys)
    except ToolkitError as error:
        raise DataError(
            f"{path}: {images} changed since the extraction, and a layer cannot be extracted again ({error});"
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
