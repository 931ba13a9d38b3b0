"""The feature cache: an HDF5 file of float16 rows with their keys. Read here, written by CacheWriter."""

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import DataError
from vislang.features.cache.cache_file import CacheFile, extract_command
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.layout import StoredLayer, flat_name, group_name, read_layout
from vislang.features.cache.merge import import_rows
from vislang.features.cache.records import changed_files, have_files
from vislang.features.cache.rows import FeatureRows, StoredRows, gather, row_bytes
from vislang.features.cache.writer import CacheWriter

__all__ = ["CacheWriter", "FeatureCache", "FeatureKey", "FeatureRows", "feature_key", "import_rows", "open_cache"]

DEVICE_BUDGET = 4 * 2**30  # bytes; Flickr8K's 10x10 grids of 1280 float16 numbers take 1.5e9


def open_cache(path: str | os.PathLike) -> "FeatureCache":
    """Open a feature cache for reading.

    Raises:
        DataError: missing, damaged or hostile.
    """
    return FeatureCache(Path(path))


def feature_key(backbone: LoadedBackbone, layer: str) -> FeatureKey:
    """Return the key of what a backbone computes at a layer."""
    import keras

    name = backbone.own_name(layer)
    libraries = (keras.backend.backend(), "keras", "pillow")
    versions = {library: importlib.metadata.version(library) for library in libraries}
    return FeatureKey(backbone.name, name, backbone.preprocessing.name, backbone.fingerprint_of(name), versions)


class FeatureCache:
    """The features of one set of images, `ids` in row order, read from a memory map of the file.

    All is read from the file that was opened, whatever another process puts at its path. A row is checked when it is
    first read: methods that read rows raise a DataError for a damaged one, and for NaN and infinity.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = CacheFile(path)
        self.ids, self._layers = read_layout(self._file)
        self._positions = {name: position for position, name in enumerate(self.ids)}
        self._rows: dict[str, StoredRows] = {}

    def __enter__(self) -> "FeatureCache":
        return self

    def __exit__(self, *exception: object) -> None:
        self._rows.clear()

    def layers(self) -> list[FeatureKey]:
        """List the keys of the stored layers."""
        return [stored.key for stored in self._layers.values()]

    def key(self, backbone: str, layer: str) -> FeatureKey:
        """Return the key of a stored layer; `backbone` is "name@preprocessing" where that is not the backbone's own.

        Raises:
            DataError: it is not stored.
        """
        return self._find(backbone, layer).key

    def holds(self, key: FeatureKey) -> bool:
        """Return whether these very features are stored.

        Raises:
            DataError: other features are stored in their place.
        """
        group = group_name(key)
        return f"{group}/{flat_name(key.layer)}" in self._layers and bool(self._find(group, key.layer, key))

    def shape(self, backbone: str, layer: str) -> tuple[int, ...]:
        """Return the shape [N, ...] of a stored layer."""
        return self._find(backbone, layer).shape

    def positions(self, ids: Sequence[str]) -> np.ndarray:
        """Return int64 [len(ids)] row numbers.

        Raises:
            DataError: an image that is not in the cache.
        """
        missing = [name for name in ids if name not in self._positions]
        if missing:
            more = ""
            if len(missing) > 1:
                more = f" and {len(missing) - 1} more"
            raise DataError(
                f"{self.path}: has no features of {missing[0]!r}{more}; it holds {len(self.ids)} images"
                f" such as {self.ids[0]!r}; make a cache of all images (--ids name leaves folders out of names)"
                f" with: {extract_command('NAME', 'LAYERS', 'NEW')}"
            )
        return np.array([self._positions[name] for name in ids], np.int64)

    def read(
        self, backbone: str, layer: str, ids: Sequence[str] | None = None, *, expect: FeatureKey | None = None
    ) -> np.ndarray:
        """Read rows, float16 [len(ids), ...]; ids may come in any order and repeatedly, None: all, in row order.

        Raises:
            DataError: not stored, an image that is not in the cache, or features of another key than `expect`.
        """
        stored = self._find(backbone, layer, expect)
        return gather(self._stored_rows(stored), self._rows_of(ids))

    def mapped(self, key: FeatureKey) -> np.ndarray:
        """Check all rows of a layer; return them, float16 [N, ...], read from the file where they are used."""
        return self._stored_rows(self._find(group_name(key), key.layer, key)).mapped()

    def changed(self, files: Mapping[str, Path]) -> list[str]:
        """Return the images whose files hold something else than what a layer was computed from, in row order.

        Args:
            files: {image: file}; an image without a file counts as unchanged, as do rows that name no file.
        """
        positions = [position for position, name in enumerate(self.ids) if name in files]
        records = [self._stored_rows(stored).records[positions] for stored in self._layers.values()]
        changed = changed_files(records, [files[self.ids[position]] for position in positions])
        return [self.ids[positions[number]] for number in np.flatnonzero(changed)]

    def layers_without_files(self) -> list[str]:
        """List the layers, "group/layer", that do not say of all rows which files they were computed from."""
        return [
            place for place, stored in self._layers.items() if not have_files(self._stored_rows(stored).records).all()
        ]

    def resident(
        self,
        backbone: str,
        layer: str,
        ids: Sequence[str] | None = None,
        *,
        budget_bytes: int = DEVICE_BUDGET,
    ) -> FeatureRows:
        """Return rows for training: on the compute device if they fit `budget_bytes`, else read from the file."""
        return resident_rows([(self, ids)], backbone, layer, budget_bytes=budget_bytes)

    def row_source(self, backbone: str, layer: str, ids: Sequence[str] | None) -> tuple[StoredRows, np.ndarray]:
        """Return the rows of a layer, float16 [N, ...], and int64 [M], those of the images."""
        return self._stored_rows(self._find(backbone, layer)), self._rows_of(ids)

    def _rows_of(self, ids: Sequence[str] | None) -> np.ndarray:
        if ids is None:
            return np.arange(len(self.ids))
        return self.positions(ids)

    def _find(self, backbone: str, layer: str, expect: FeatureKey | None = None) -> StoredLayer:
        stored = self._layers.get(f"{flat_name(backbone)}/{flat_name(FeatureName.parse(layer).stored)}")
        if stored is None:
            held = ", ".join(self._layers) or "nothing"
            raise DataError(
                f"{self.path}: has no {backbone}/{layer}, it holds {held};"
                f" add it with: {extract_command(backbone, layer, self.path)}"
            )
        if expect is not None and stored.key != expect:
            raise DataError(
                f"{self.path}: {backbone}/{layer} is of another kind: {stored.key.difference(expect)};"
                f" use another file: {extract_command(expect.backbone, expect.layer, 'NEW')}"
            )
        return stored

    def _stored_rows(self, stored: StoredLayer) -> StoredRows:
        if stored.place not in self._rows:
            self._rows[stored.place] = StoredRows(self._file, stored, self.ids)
        return self._rows[stored.place]


def resident_rows(
    sources: Sequence[tuple[FeatureCache, Sequence[str] | None]],
    backbone: str,
    layer: str,
    *,
    budget_bytes: int = DEVICE_BUDGET,
) -> FeatureRows:
    """Return rows of several caches, one cache after the other, for training; see `FeatureCache.resident`.

    Args:
        sources: open caches, and which of their images in which order; None: all.
        backbone: a name, or "name@preprocessing" where the preprocessing is not the backbone's own.
        layer: a layer.
        budget_bytes: memory of the compute device that the rows may take.

    Raises:
        DataError: a layer or image is missing, or the caches differ in the layer's key or shape.
    """
    (first, _) = sources[0]
    rows = []
    for cache, ids in sources:
        difference = cache.key(backbone, layer).difference(first.key(backbone, layer))
        if difference or cache.shape(backbone, layer)[1:] != first.shape(backbone, layer)[1:]:
            raise DataError(
                f"{cache.path}: {backbone}/{layer} is not as in {first.path}: {difference or 'another shape'};"
                f" extract it again: {extract_command(backbone, layer, 'NEW')}"
            )
        rows.append(cache.row_source(backbone, layer, ids))
    total = sum(len(positions) * row_bytes(stored.shape) for stored, positions in rows)
    return FeatureRows(rows, resident=total <= budget_bytes)
