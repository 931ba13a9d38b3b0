"""ShardedCache: the cache files of a folder of shards, read as one cache."""

import collections
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.features.cache.cache_file import CacheFile
from vislang.features.cache.feature_cache import FeatureCache
from vislang.features.cache.layout import FLOAT16, StoredLayer, read_layout
from vislang.features.cache.manifest import (
    DAMAGED,
    FEATURES,
    FINISHED,
    UNFINISHED,
    Manifest,
    counted,
    read_manifest,
)
from vislang.features.cache.rows import StoredRows

CACHE = ".h5"  # ending of the cache of a shard
MOST_OPEN = 512  # files at a time, half of what a process usually may open

_log = logging.getLogger(__name__)


class ShardedCache(FeatureCache):
    """The features of the images of all finished shards, `ids` shard after shard; use it as a `FeatureCache`.

    The file of a shard is opened when its rows are first read, and at most MOST_OPEN stay open. It must be the one that
    was there when this cache was opened: what another process puts in its place is an error.

    Args:
        folder: of the shards.

    Raises:
        DataError: shards are unfinished, none is finished, one is missing or damaged, two differ in the key or shape of
            a layer, or two hold an image of the same name.
    """

    def __init__(self, folder: Path):
        self.path = folder
        manifest = read_manifest(folder)
        self._shards = [_Shard(folder / f"{name}{CACHE}") for name in _finished(folder, manifest)]
        ids: list[str] = []
        for shard, state in zip(self._shards, manifest.of_state(FINISHED), strict=True):
            own = shard.read()
            if len(own) != state.rows:
                raise DataError(f"{shard.path}: holds {len(own)} images, its manifest says {state.rows}; extract again")
            ids += own
        self.ids = tuple(ids)
        self._ends = np.cumsum([shard.count for shard in self._shards])
        self._positions = {name: position for position, name in enumerate(self.ids)}
        self._open: collections.OrderedDict[int, CacheFile] = collections.OrderedDict()
        if len(self._positions) < len(self.ids):
            self._refuse_repeated()
        self._layers = _common_layers(self._shards, len(self.ids))
        self._rows: dict[str, Any] = {}

    def __exit__(self, *exception: object) -> None:
        super().__exit__()
        for shard in self._shards:
            shard.close()
        self._open.clear()

    def rows_of_shard(self, number: int, place: str) -> StoredRows:
        """Return the rows of a layer in a shard, whose file is opened if need be."""
        shard = self._shards[number]
        self._open[number] = shard.file()
        self._open.move_to_end(number)
        if len(self._open) > MOST_OPEN:
            oldest, _ = self._open.popitem(last=False)
            self._shards[oldest].close()
        return shard.rows(place, self._ids_of_shard(number))

    def _ids_of_shard(self, number: int) -> tuple[str, ...]:
        end = int(self._ends[number])
        return self.ids[end - self._shards[number].count : end]

    def _stored_rows(self, stored: StoredLayer) -> Any:
        if stored.place not in self._rows:
            self._rows[stored.place] = ShardedRows(self, stored, self._ends)
        return self._rows[stored.place]

    def _refuse_repeated(self) -> None:
        """Name an image that two shards hold."""
        seen: dict[str, str] = {}
        for number, shard in enumerate(self._shards):
            for name in self._ids_of_shard(number):
                if name in seen:
                    raise DataError(
                        f"{self.path}: shards {seen[name]} and {shard.path.stem} both hold {name!r}, expected each"
                        " image once; extract into another folder with --ids path, which names images by folders or"
                        " tar files, too"
                    )
                seen[name] = shard.path.stem


class ShardedRows:
    """The rows of a layer in all shards, one shard after the other, as `StoredRows` gives those of one file.

    Attributes:
        shape: [N, ...].
        dtype: float16.
    """

    def __init__(self, cache: ShardedCache, layer: StoredLayer, ends: np.ndarray):
        self.shape = layer.shape
        self.dtype = FLOAT16
        self._cache = cache
        self._place = layer.place
        self._ends = ends

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray | slice) -> np.ndarray:
        """Return a copy of the rows at int [M] positions, or of a slice; every shard is read once.

        Raises:
            DataError: as `StoredRows`, or another process replaced the file of a shard.
        """
        positions = np.arange(*chosen.indices(len(self))) if isinstance(chosen, slice) else np.asarray(chosen)
        result = np.empty((len(positions), *self.shape[1:]), FLOAT16)
        owners = np.searchsorted(self._ends, positions, side="right")
        order = np.argsort(owners, kind="stable")
        cuts = np.flatnonzero(np.diff(owners[order])) + 1
        for places in np.split(order, cuts) if len(order) else ():
            number = int(owners[places[0]])
            rows = self._cache.rows_of_shard(number, self._place)
            result[places] = rows[positions[places] - (self._ends[number] - len(rows))]
        return result

    @property
    def records(self) -> np.ndarray:
        """Return RECORD [N], of the files that the rows were computed from."""
        count = len(self._ends)
        return np.concatenate([self._cache.rows_of_shard(number, self._place).records for number in range(count)])

    def mapped(self) -> np.ndarray:
        """Return all rows, checked, as a copy in memory: files are mapped one by one, and this is one array."""
        return self[:]


class _Shard:
    """The cache file of a shard: its layout, and the file and its rows while they are open.

    Attributes:
        count: number of images.
        layers: {"group/layer": where it lies}.
    """

    count: int
    layers: dict[str, StoredLayer]

    def __init__(self, path: Path):
        self.path = path
        self._file: CacheFile | None = None
        self._rows: dict[str, StoredRows] = {}

    def read(self) -> tuple[str, ...]:
        """Read the layout, and return the ids."""
        file = CacheFile(self.path)
        ids, self.layers = read_layout(file)
        self.count = len(ids)
        self._identity = _identity(file)
        return ids

    def file(self) -> CacheFile:
        """Return the open file.

        Raises:
            DataError: it is gone, or another one than `read` found.
        """
        if self._file is None:
            file = CacheFile(self.path)
            if _identity(file) != self._identity:
                raise DataError(f"{self.path}: another process changed it after the cache was opened; run again")
            self._file = file
        return self._file

    def rows(self, place: str, ids: Sequence[str]) -> StoredRows:
        if place not in self._rows:
            self._rows[place] = StoredRows(self.file(), self.layers[place], ids)
        return self._rows[place]

    def close(self) -> None:
        self._rows.clear()
        self._file = None


def _identity(file: CacheFile) -> tuple[int, ...]:
    about = os.fstat(file.descriptor)
    return about.st_dev, about.st_ino, about.st_size


def _finished(folder: Path, manifest: Manifest) -> list[str]:
    """Return the names of the finished shards, and log how many are damaged."""
    total = len(manifest.shards)
    if manifest.kind != FEATURES:
        raise DataError(f"{folder}: holds shards of {manifest.kind}, not of features; name another folder")
    unfinished = manifest.of_state(UNFINISHED)
    if unfinished:
        raise DataError(
            f"{folder}: {counted(unfinished, total)} are not finished; run the extraction again, which goes on:"
            f" python -m vislang.features.extract --images DIR --shards {folder}"
        )
    finished = manifest.of_state(FINISHED)
    damaged = manifest.of_state(DAMAGED)
    if not finished:
        first = f"; the first: {damaged[0].reason}" if damaged else ""
        raise DataError(f"{folder}: none of {total} shards could be used{first}")
    if damaged:
        _log.warning("%s: without %s, which are damaged", printable(str(folder)), counted(damaged, total))
    return [shard.name for shard in finished]


def _common_layers(shards: Sequence[_Shard], count: int) -> dict[str, StoredLayer]:
    """Return the layers that all shards hold, with the shape of all rows.

    Raises:
        DataError: two shards differ in the key of a layer, or in the shape of its rows.
    """
    first = shards[0]
    layers = {}
    for place, layer in first.layers.items():
        others = [shard.layers.get(place) for shard in shards]
        for shard, other in zip(shards, others, strict=True):
            if other is None:
                continue
            difference = other.key.difference(layer.key)
            if difference or other.shape[1:] != layer.shape[1:]:
                raise DataError(
                    f"{shard.path}: {place} is not as in {first.path.name}: {difference or 'another shape'}; delete the"
                    " shards that are not as you want them, and extract again"
                )
        if None not in others:
            layers[place] = replace(layer, shape=(count, *layer.shape[1:]))
    return layers
