"""Merging layers into a cache: the whole file is written anew, and renamed when it is complete."""

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.core.files import check_outputs, only_writer, whole_file
from vislang.features.cache.cache_file import CacheFile
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.layout import (
    CHECKSUM,
    FLOAT16,
    IDS,
    KEY,
    RECORDS,
    encode_ids,
    flat_name,
    group_name,
    read_layout,
)
from vislang.features.cache.records import (
    RECORD,
    files_checksum,
    have_files,
    ids_checksum,
    layer_checksum,
    row_checksum,
    same_files,
)
from vislang.features.cache.rows import StoredRows, at_float16_limit, listed, row_bytes, slabs

LARGEST = float(np.finfo(np.float16).max)

_log = logging.getLogger(__name__)


def import_rows(path: str | os.PathLike, ids: Sequence[str], rows: Any, key: FeatureKey) -> None:
    """Add features computed elsewhere to a cache.

    Args:
        path: the cache; created when absent.
        ids: one for each row; for an existing cache, the same as its own in any order.
        rows: [N, ...] of any floating type: an array, a memory map or an HDF5 data set.
        key: what they are.

    Raises:
        DataError: ids and rows do not match, or the cache holds other images or this layer with another key.
    """
    path = Path(path)
    if len(rows) != len(ids) or len(rows.shape) < 2:
        raise DataError(f"rows have shape {tuple(rows.shape)}, expected [{len(ids)}, ...], one for each id")
    encode_ids(ids)
    with locked(path):
        if path.exists():
            stored_ids, _ = read_layout(CacheFile(path))
            if set(stored_ids) != set(ids):
                raise DataError(f"{path}: holds {len(stored_ids)} other images than the {len(ids)} ids; use a new file")
            place = {name: number for number, name in enumerate(ids)}
            order = np.array([place[name] for name in stored_ids])
            if (order != np.arange(len(ids))).any():
                rows = np.asarray(rows)[order]
                ids = stored_ids
        merge(path, ids, {key: rows}, np.zeros(len(ids), RECORD))


def half_precision(rows: Any, key: FeatureKey, ids: Sequence[str]) -> np.ndarray:
    """Convert features to float16; numbers beyond its range become 65504 or -65504, and a warning names their images.

    Raises:
        DataError: NaN among them.
    """
    with np.errstate(over="ignore"):
        rows = np.asarray(rows).astype(FLOAT16, copy=False)
    _, beyond = at_float16_limit(rows)
    if not beyond.any():
        return rows
    name = f"{key.backbone}/{key.layer}"
    broken = np.isnan(rows).reshape(len(rows), -1).any(axis=1)
    if broken.any():
        images = listed(list(itertools.compress(ids, broken)))
        raise DataError(f"features {name} of {images} hold NaN; the weights or the images are broken")
    images = listed(list(itertools.compress(ids, beyond)))
    _log.warning("features %s of %s go beyond float16's largest number; clipped to 65504", printable(name), images)
    return np.clip(rows, -LARGEST, LARGEST)


@dataclass(frozen=True)
class _Layer:
    """A layer that is written: its rows, [N, ...], which are read in slices, and their records, RECORD [N]."""

    key: FeatureKey
    rows: Any
    records: np.ndarray


class _ReplacedRows:
    """The rows of a layer, [N, ...], with new ones, [M, ...], at int [M] positions."""

    def __init__(self, old: StoredRows, new: np.ndarray, positions: np.ndarray):
        self.shape = old.shape
        self._old = old
        self._new = new
        self._new_row = np.full(len(old), -1)
        self._new_row[positions] = np.arange(len(positions))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, piece: slice) -> np.ndarray:
        new_row = self._new_row[piece]
        is_old = new_row < 0
        rows = np.empty((len(new_row), *self.shape[1:]), FLOAT16)
        rows[is_old] = self._old[np.arange(len(self))[piece][is_old]]
        rows[~is_old] = self._new[new_row[~is_old]]
        return rows


def merge(path: Path, ids: Sequence[str], added: Mapping[FeatureKey, Any], records: np.ndarray) -> None:
    """Write a file with what `path` holds and what is added, in alphabetical order, and move it over `path`.

    Args:
        path: the cache.
        ids: all images of the cache, or some, whose rows are replaced in layers that it holds.
        added: {key: rows [len(ids), ...]}.
        records: RECORD [len(ids)], of the files that the rows were computed from.

    Raises:
        DataError: the cache holds other images or other features in their place, or is damaged, or a file changed
            between the extractions of two layers.
    """
    new = {f"{group_name(key)}/{flat_name(key.layer)}": _Layer(key, rows, records) for key, rows in added.items()}
    layers: dict[str, _Layer] = {}
    all_ids = tuple(ids)
    if path.exists():
        file = CacheFile(path)
        all_ids, old = read_layout(file)
        if tuple(ids) != all_ids and not (set(ids) < set(all_ids) and new.keys() <= old.keys()):
            raise DataError(f"{path}: holds {len(all_ids)} other images than these {len(ids)}; use a new file")
        for place, stored in old.items():
            rows = StoredRows(file, stored, all_ids)
            layers[place] = _Layer(stored.key, rows, rows.records)
    position = {name: number for number, name in enumerate(all_ids)}
    for place, layer in new.items():
        if place in layers and layers[place].key != layer.key:
            difference = layers[place].key.difference(layer.key)
            raise DataError(f"{path}: {place} is there already and of another kind: {difference}; use another file")
        if tuple(ids) != all_ids:
            layer = _with_replaced(path, layers[place], layer, np.array([position[name] for name in ids]))
        layers[place] = layer
    _require_same_files(path, all_ids, [layer.records for layer in layers.values()])
    encoded = encode_ids(all_ids)
    with whole_file(path) as part, h5py.File(part, "w") as written:
        written[IDS] = encoded
        written[IDS].attrs[CHECKSUM] = np.uint32(ids_checksum(encoded))
        for place in sorted(layers):
            _write_layer(written, place, layers[place], all_ids)


def _with_replaced(path: Path, old: _Layer, new: _Layer, positions: np.ndarray) -> _Layer:
    if old.rows.shape[1:] != new.rows.shape[1:]:
        name = f"{new.key.backbone}/{new.key.layer}"
        raise DataError(f"{path}: {name} has rows of {old.rows.shape[1:]}, not {new.rows.shape[1:]}; use a new file")
    records = old.records.copy()
    records[positions] = new.records
    return _Layer(old.key, _ReplacedRows(old.rows, new.rows, positions), records)


def _require_same_files(path: Path, ids: Sequence[str], layers: Sequence[np.ndarray]) -> None:
    """Refuse layers of which two were computed from different contents of an image's file."""
    known = layers[0].copy()
    for records in layers[1:]:
        differing = ~same_files(known, records)
        if differing.any():
            images = listed(list(itertools.compress(ids, differing)))
            raise DataError(f"{path}: {images} changed between the extractions of two layers; run again")
        known = np.where(have_files(known), known, records)


def _write_layer(file: h5py.File, place: str, layer: _Layer, ids: Sequence[str]) -> None:
    dataset = file.create_dataset(place, layer.rows.shape, FLOAT16)  # contiguous: 76 times the speed of default chunks
    dataset.attrs[KEY] = np.bytes_(layer.key.to_json())  # of fixed length: a damaged variable one can hang HDF5
    records = layer.records.copy()
    begin = layer_checksum(place, layer.rows.shape, layer.key)
    for piece in slabs(len(ids), row_bytes(layer.rows.shape)):
        rows = half_precision(layer.rows[piece], layer.key, ids[piece])
        dataset[piece] = rows
        records["checksum"][piece] = [row_checksum(*pair, begin) for pair in zip(rows, ids[piece], strict=True)]
    file[f"{RECORDS}/{place}"] = records
    file[f"{RECORDS}/{place}"].attrs[CHECKSUM] = np.uint32(files_checksum(records))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a cache."""
    check_outputs({"the cache": path})
    with only_writer(path, path.with_name(f".{path.name}.lock")):
        yield
