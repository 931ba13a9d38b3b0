"""Features of image and video files into a feature cache: what it lacks, and again what changed."""

import functools
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
from vislang.features.cache.keys import PUBLISHED
from vislang.features.cache.reader import CacheWriter, FeatureKey, feature_key, open_cache
from vislang.features.cache.records import changed_files, file_records, with_digests
from vislang.features.cache.rows import listed
from vislang.features.pipeline import FeatureBatch, encode_batches
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import load_for_layers
from vislang.images.sources import Skipped


@dataclass(frozen=True)
class EncodedFiles:
    """The rows of the usable files of one batch."""

    rows: dict[FeatureKey, np.ndarray]  # float32 [K, ...] each; empty where K is 0
    kept: list[int]  # for each of the K rows, the index of its file
    skipped: list[Skipped]  # the other files


Encode = Callable[[Sequence[Path]], Iterable[EncodedFiles]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """The files whose features go into a cache."""

    files: Mapping[str, Path]  # {name in the cache: file}, in its order
    unit: str  # what each is: "image" or "video"
    job: Mapping[str, Any]  # settings that change the rows, as JSON values
    progress: bool  # whether a progress bar is drawn


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
    """Compute the layers of images that a cache lacks, and before them all rows of images whose files changed.

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
    sources = Sources(files, "image", {"batch": options.batch_size}, options.progress)
    needed = path.exists()

    def encode_added(keys: list[FeatureKey]) -> Encode:
        return functools.partial(_encode_images, [(backbone, keys)], options, needed)

    def encode_stored(keys: list[FeatureKey]) -> Encode:
        return functools.partial(_encode_images, backbones_of(keys, backbone, options), options, needed)

    return add_layers(path, keys, sources, encode_added, encode_stored)


def _encode_images(
    parts: Sequence[tuple[LoadedBackbone, list[FeatureKey]]],
    options: ReadingOptions,
    needed: bool,
    paths: Sequence[Path],
) -> Iterator[EncodedFiles]:
    """Encode images by backbones, each with the keys of its layers; the rest is as in `joined`."""
    streams = []
    for backbone, keys in parts:
        layers = [key.layer for key in keys]
        streams.append(encode_batches(backbone, paths, layers, batch_size=options.batch_size, strict=options.strict))
    return joined(streams, [keys for _, keys in parts], unit="image", needed=needed)


def add_layers(
    path: Path,
    keys: Sequence[FeatureKey],
    sources: Sources,
    encode_added: Callable[[list[FeatureKey]], Encode],
    encode_stored: Callable[[list[FeatureKey]], Encode],
) -> Written:
    """Compute the layers that a cache lacks, and before them all rows of files that changed.

    Args:
        path: the cache; created where absent.
        keys: of the layers.
        sources: the files.
        encode_added: returns what encodes files for layers that the cache lacks.
        encode_stored: returns the same for layers that it holds.

    Raises:
        DataError: as for `add_to_cache`.
    """
    added = list(dict.fromkeys(keys))
    changed: list[str] = []
    if path.exists():
        cache = open_cache(path)
        added = [key for key in added if not cache.holds(key)]
        changed = _update_changed(path, sources, encode_stored)
    if not added:
        return Written([], len(changed), [], changed)
    written = _write_rows(path, added, sources, encode_added(added))
    return replace(written, computed=written.computed + len(changed), changed=changed)


def joined(
    streams: Sequence[Iterable[FeatureBatch]], keys: Sequence[Sequence[FeatureKey]], *, unit: str, needed: bool
) -> Iterator[EncodedFiles]:
    """Yield what several backbones compute of the same files as one batch each.

    Args:
        streams: the batches of each backbone, with features {layer: rows}.
        keys: of the layers of each.
        unit: what each file is, "image" or "video".
        needed: whether a file that cannot be read ends the run, as the cache holds it already.
    """
    for batches in zip(*streams, strict=True):
        rows = {}
        for batch, some in zip(batches, keys, strict=True):
            if batch.skipped and needed:
                bad = batch.skipped[0]
                what = bad.reason.removeprefix(f"{bad.source}: ").partition("; ")[0]  # without the advice to remove it
                raise DataError(
                    f"{bad.source}: {what}; the cache holds this {unit}, so restore it, or extract into a new --cache"
                )
            if batch.kept:
                rows.update({key: batch.features[key.layer] for key in some})
        yield EncodedFiles(rows, batches[0].kept, batches[0].skipped)


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
    if preprocessing == PUBLISHED:
        raise DataError(f"the features of {name} are published ones, not computed here")
    if (options.proposals or "").partition(":")[0] != proposals:
        options = replace(options, proposals=None)
    return load_for_layers(name, layers, preprocessing, options)


def _update_changed(path: Path, sources: Sources, encode_stored: Callable[[list[FeatureKey]], Encode]) -> list[str]:
    """Compute again the rows of files that changed, in all layers of a cache, so that no row mixes old and new.

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
    changed = cache.changed(sources.files)
    if not changed:
        return []
    images = listed(changed)
    told = "%s: %d of %d %ss changed since their extraction (%s); extracting again in every layer"
    _log.warning(told, printable(str(path)), len(changed), len(cache.ids), sources.unit, images)
    try:
        encode = encode_stored(cache.layers())
    except ToolkitError as error:
        raise DataError(
            f"{path}: {images} changed since the extraction, and a layer cannot be extracted again ({error});"
            " extract all layers into a new --cache"
        ) from error
    files = {name: sources.files[name] for name in changed}
    _write_rows(path, cache.layers(), replace(sources, files=files), encode)
    return changed


def _write_rows(path: Path, keys: list[FeatureKey], sources: Sources, encode: Encode) -> Written:
    """Write the features of files into a cache.

    An interrupted call resumes; it starts again, and says so on stderr, where a file has another size or modification
    time than before, one that is encoded already has another content, or the job differs.

    Args:
        path: the cache.
        keys: what is computed.
        sources: the files; some of those of the cache where it holds all of `keys`.
        encode: computes the rows, batch by batch, in order.
    """
    names = list(sources.files)
    paths = list(sources.files.values())
    records = file_records(paths)
    status = records["size"].tobytes() + records["mtime_ns"].tobytes()
    digest = hashlib.sha256("\0".join(names).encode() + status).hexdigest()
    with CacheWriter(path, keys, {**sources.job, "files": digest}) as writer:
        if changed_files([writer.records()], [sources.files[name] for name in writer.ids]).any():
            writer.restart()
        if writer.is_restarted:
            print(
                f"{printable(str(path))}: starting again, {sources.unit}s or options changed since the interrupted run",
                file=sys.stderr,
            )
        first = writer.done
        with tqdm(total=len(names), initial=first, unit=sources.unit, disable=not sources.progress) as bar:
            batches = _shown(encode(paths[first:]), bar)
            append_all(writer, names, batches, lambda rows: with_digests(records[rows], [paths[row] for row in rows]))
        writer.finish()
    skipped = [Skipped(source, reason) for source, reason in writer.skipped]
    return Written(keys, len(names) - first, skipped, [])


def append_all(
    writer: CacheWriter,
    names: Sequence[str],
    batches: Iterable[EncodedFiles],
    records_of: Callable[[list[int]], np.ndarray | None],
) -> None:
    """Write the rows of all images that are left.

    Args:
        writer: a number of the images is done already.
        names: of all images.
        batches: the others, in their order.
        records_of: returns RECORD [K] of K images, given by their indices; None: they come from no files.
    """
    first = writer.done
    for batch in batches:
        count = len(batch.kept) + len(batch.skipped)
        rows = [first + row for row in batch.kept]
        writer.append(
            [names[row] for row in rows],
            batch.rows,
            done=writer.done + count,
            skipped=[(one.source, one.reason) for one in batch.skipped],
            records=records_of(rows),
        )


def _shown(batches: Iterable[EncodedFiles], bar: Any) -> Iterator[EncodedFiles]:
    for batch in batches:
        yield batch
        bar.update(len(batch.kept) + len(batch.skipped))
