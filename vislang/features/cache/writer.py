"""Writing feature caches: rows are collected in a work folder, then the whole file is written and renamed."""

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.core.files import check_outputs, only_writer, require_writable_folder, whole_file, write_json
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
from vislang.features.cache.records import RECORD, have_files, ids_checksum, layer_checksum, row_checksum, same_files
from vislang.features.cache.rows import StoredRows, at_float16_limit, listed, row_bytes, slabs

MARK_SECONDS = 5.0  # at most so much work is lost when a run is killed
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
    with _locked(path):
        if path.exists():
            stored_ids, _ = read_layout(CacheFile(path))
            if set(stored_ids) != set(ids):
                raise DataError(f"{path}: holds {len(stored_ids)} other images than the {len(ids)} ids; use a new file")
            place = {name: number for number, name in enumerate(ids)}
            order = np.array([place[name] for name in stored_ids])
            if (order != np.arange(len(ids))).any():
                rows = np.asarray(rows)[order]
                ids = stored_ids
        _merge(path, ids, {key: rows}, np.zeros(len(ids), RECORD))


class CacheWriter:
    """Collects the rows of one extraction and adds them to a cache at the end.

    Killed at any moment, the old cache still loads, and the same call made again resumes after the last mark. The
    finished file depends on its contents only, so a resumed run ends with the same bytes as an uninterrupted one.

    Args:
        path: the cache.
        keys: what is being computed, one for each layer. Layers of a cache that holds them may be computed again for
            some of its images, whose rows are then replaced.
        job: JSON values that, if changed, make the collected rows worthless (sources, batch size).

    Attributes:
        done: number of sources that were handled before this call.
        ids: the images whose rows are there.
        skipped: [source, reason] of the others.
        is_restarted: whether rows of another job were discarded.
    """

    def __init__(self, path: str | os.PathLike, keys: Sequence[FeatureKey], job: Mapping[str, Any]):
        self.path = Path(path)
        self._keys = list(keys)
        require_writable_folder(self.path.parent)
        self._folder = self.path.with_name(f"{self.path.name}.{group_name(self._keys[0])}.part")
        self._job = {**job, "keys": [key.to_json() for key in self._keys]}
        # Of each layer, and one with the records.
        self._files = [self._folder / f"{number}.float16" for number in range(len(keys))] + [self._folder / "records"]
        self._shapes: list[tuple[int, ...] | None] = [None] * len(keys)  # of a row
        self.done = 0
        self.ids: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.is_restarted = False
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> "CacheWriter":
        with contextlib.ExitStack() as exits:
            exits.enter_context(_locked(self.path))
            with self._reporting():
                self._resume(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._exits.close()

    def append(
        self,
        ids: Sequence[str],
        features: Mapping[FeatureKey, np.ndarray],
        *,
        done: int,
        skipped: Sequence[Any] = (),
        records: np.ndarray | None = None,
    ) -> None:
        """Add the rows of some sources.

        Args:
            ids: the images kept, in order.
            features: {key: float [len(ids), ...]}; may be empty when `ids` is.
            done: number of sources handled so far.
            skipped: [source, reason] of those left out.
            records: RECORD [len(ids)] of the files they were computed from; None: of no files.

        Raises:
            DataError: features that are not numbers, or a full disk.
        """
        with self._reporting():
            if len(ids):
                for number, key in enumerate(self._keys):
                    rows = half_precision(features[key], key, ids)
                    known = self._shapes[number] or rows.shape[1:]
                    if known != rows.shape[1:]:
                        raise DataError(
                            f"layer {key.layer} of backbone {key.backbone} gives rows of {rows.shape[1:]} after rows"
                            f" of {known}"
                        )
                    self._shapes[number] = known
                    self._streams[number].write(rows.tobytes())
                if records is None:
                    records = np.zeros(len(ids), RECORD)
                self._streams[-1].write(records.tobytes())
            self.ids += ids
            self.skipped.extend(skipped)
            self.done = done
            if time.monotonic() - self._marked >= MARK_SECONDS:
                self._mark()

    def finish(self) -> None:
        """Write the cache with the new rows in it and remove the work folder.

        Raises:
            DataError: no image was usable, or the cache holds other images.
        """
        if not self.ids:
            first = ""
            if self.skipped:
                first = f"; the first: {self.skipped[0][1]}"
            raise DataError(f"none of {self.done} images could be used, no cache is written{first}")
        with self._reporting():
            self._mark()
        added = {
            key: np.memmap(file, FLOAT16, "r", shape=(len(self.ids), *(shape or ())))
            for key, file, shape in zip(self._keys, self._files, self._shapes, strict=False)
        }
        _merge(self.path, self.ids, added, np.fromfile(self._files[-1], RECORD))
        shutil.rmtree(self._folder)

    def _resume(self, exits: contextlib.ExitStack) -> None:
        mark = self._read_mark()
        if mark is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
        else:
            self.done = mark["done"]
            self.ids = mark["ids"]
            self.skipped = [(source, reason) for source, reason in mark["skipped"]]
            self._shapes = [shape and tuple(shape) for shape in mark["shapes"]]
        self._streams = [exits.enter_context(file.open("ab")) for file in self._files]
        for stream, size in zip(self._streams, _sizes(len(self.ids), self._shapes), strict=True):
            stream.truncate(size)  # what was written behind the last mark may be torn; it is computed again
        self._mark()

    def _read_mark(self) -> dict[str, Any] | None:
        """Read the last mark; None when there is none, or it belongs to another job, or its rows are gone."""
        try:
            mark = json.loads((self._folder / "mark.json").read_text(encoding="utf-8"))
            sizes = [file.stat().st_size for file in self._files]
        except (OSError, ValueError):
            return None
        if mark["job"] != json.loads(json.dumps(self._job)):
            self.is_restarted = mark["done"] > 0
            return None
        needed = _sizes(len(mark["ids"]), mark["shapes"])
        if all(size >= need for size, need in zip(sizes, needed, strict=True)):
            return mark
        return None

    def _mark(self) -> None:
        """Write the rows to disk first and the mark that counts them second."""
        for stream in self._streams:
            stream.flush()
            os.fsync(stream.fileno())
        mark = {"job": self._job, "done": self.done, "ids": self.ids, "skipped": self.skipped, "shapes": self._shapes}
        write_json(self._folder / "mark.json", mark)
        self._marked = time.monotonic()

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot write {self._folder}: {error.strerror or error}; run again to go on") from error


def _sizes(count: int, shapes: Sequence[Sequence[int] | None]) -> list[int]:
    """Return the bytes of `count` rows of each layer, given the shapes of one row, and of their records."""
    return [count * row_bytes((1, *(shape or ()))) for shape in shapes] + [count * RECORD.itemsize]


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
        images = listed([ids[number] for number in np.flatnonzero(broken)])
        raise DataError(f"features {name} of {images} hold NaN; the weights or the images are broken")
    images = listed([ids[number] for number in np.flatnonzero(beyond)])
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


def _merge(path: Path, ids: Sequence[str], added: Mapping[FeatureKey, Any], records: np.ndarray) -> None:
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
        differing = np.flatnonzero(~same_files(known, records))
        if len(differing):
            images = listed([ids[number] for number in differing])
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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a cache."""
    check_outputs({"the cache": path})
    with only_writer(path, path.with_name(f".{path.name}.lock")):
        yield
