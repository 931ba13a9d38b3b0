"""Writing feature caches: rows are collected in a work folder, then the whole file is written and renamed."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import check_outputs, only_writer, require_writable_folder, whole_file, write_json
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.layout import FLOAT16, IDS, KEY, encode_ids, flat_name, group_name, read_layout
from vislang.features.cache.rows import row_bytes, slabs

MARK_SECONDS = 5.0  # at most so much work is lost when a run is killed
LARGEST = float(np.finfo(np.float16).max)


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
            stored_ids, _ = read_layout(path)
            if set(stored_ids) != set(ids):
                raise DataError(f"{path}: holds {len(stored_ids)} other images than the {len(ids)} ids; use a new file")
            place = {name: number for number, name in enumerate(ids)}
            order = np.array([place[name] for name in stored_ids])
            if (order != np.arange(len(ids))).any():
                rows = np.asarray(rows)[order]
                ids = stored_ids
        _merge(path, ids, {key: rows})


class CacheWriter:
    """Collects the rows of one extraction and adds them to a cache at the end.

    Killed at any moment, the old cache still loads, and the same call made again resumes after the last mark. The
    finished file depends on its contents only, so a resumed run ends with the same bytes as an uninterrupted one.

    Args:
        path: the cache.
        keys: what is being computed, one for each layer.
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
        self, ids: Sequence[str], features: Mapping[str, np.ndarray], *, done: int, skipped: Sequence[Any] = ()
    ) -> None:
        """Add the rows of some sources.

        Args:
            ids: the images kept, in order.
            features: {layer as in the key: float [len(ids), ...]}; may be empty when `ids` is.
            done: number of sources handled so far.
            skipped: [source, reason] of those left out.

        Raises:
            DataError: features that are not numbers, or a full disk.
        """
        with self._reporting():
            for key, stream in zip(self._keys, self._streams, strict=True):
                if len(ids):
                    rows = half_precision(features[key.layer], key)
                    shape = rows.shape[1:]
                    known = self._shapes.setdefault(key.layer, shape)
                    if known != shape:
                        raise DataError(
                            f"layer {key.layer} of backbone {key.backbone} gives rows of {shape} after rows of {known}"
                        )
                    stream.write(rows.tobytes())
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
        _merge(
            self.path,
            self.ids,
            {
                key: np.memmap(self._file(key), FLOAT16, "r", shape=(len(self.ids), *self._shapes[key.layer]))
                for key in self._keys
            },
        )
        shutil.rmtree(self._folder)

    def _resume(self, exits: contextlib.ExitStack) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        mark = self._read_mark()
        if mark is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
        else:
            self.done = mark["done"]
            self.ids = mark["ids"]
            self.skipped = [(source, reason) for source, reason in mark["skipped"]]
            self._shapes = {layer: tuple(shape) for layer, shape in mark["shapes"].items()}
        self._streams = [exits.enter_context(self._file(key).open("ab")) for key in self._keys]
        for key, stream in zip(self._keys, self._streams, strict=True):
            # What was written behind the last mark may be torn; it is computed again.
            stream.truncate(len(self.ids) * row_bytes((1, *self._shapes.get(key.layer, ()))))
        self._mark()

    def _read_mark(self) -> dict[str, Any] | None:
        """Read the last mark; None when there is none, or it belongs to another job, or its rows are gone."""
        try:
            mark = json.loads((self._folder / "mark.json").read_text(encoding="utf-8"))
            sizes = [self._file(key).stat().st_size for key in self._keys]
        except (OSError, ValueError):
            return None
        if mark["job"] != json.loads(json.dumps(self._job)):
            self.is_restarted = mark["done"] > 0
            return None
        needed = [len(mark["ids"]) * row_bytes((1, *mark["shapes"].get(key.layer, ()))) for key in self._keys]
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

    def _file(self, key: FeatureKey) -> Path:
        return self._folder / f"{flat_name(key.layer)}.float16"

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot write {self._folder}: {error.strerror or error}; run again to go on") from error


def half_precision(rows: Any, key: FeatureKey) -> np.ndarray:
    """Convert features to float16, clipped to its range (65504).

    Raises:
        DataError: NaN among them.
    """
    rows = np.asarray(rows)
    if np.isnan(rows).any():
        raise DataError(f"features {key.backbone}/{key.layer} hold NaN; the weights or the images are broken")
    if rows.dtype == FLOAT16:
        return rows
    return np.clip(rows, -LARGEST, LARGEST).astype(FLOAT16)


def _merge(path: Path, ids: Sequence[str], added: Mapping[FeatureKey, Any]) -> None:
    """Write a file with what `path` holds and what is added, in alphabetical order, and move it over `path`."""
    stored: dict[tuple[str, str], tuple[FeatureKey, Any]] = {}
    if path.exists():
        old_ids, old_layers = read_layout(path)
        if tuple(ids) != old_ids:
            raise DataError(f"{path}: holds {len(old_ids)} other images than these {len(ids)}; use a new file")
        for name, layer in old_layers.items():
            stored[name] = layer.key, np.memmap(path, FLOAT16, "r", layer.offset, layer.shape)
    for key, rows in added.items():
        name = group_name(key), flat_name(key.layer)
        if name in stored and stored[name][0] != key:
            raise DataError(
                f"{path}: {'/'.join(name)} is there already and of another kind: {stored[name][0].difference(key)};"
                " use another file"
            )
        stored[name] = key, rows
    with whole_file(path) as part, h5py.File(part, "w") as file:
        file[IDS] = encode_ids(ids)
        for name in sorted(stored):
            _write_layer(file, "/".join(name), *stored[name])


def _write_layer(file: h5py.File, name: str, key: FeatureKey, rows: Any) -> None:
    dataset = file.create_dataset(name, rows.shape, FLOAT16)  # contiguous: 76 times the speed of default chunks
    dataset.attrs[KEY] = key.to_json()
    for piece in slabs(len(rows), row_bytes(rows.shape)):
        dataset[piece] = half_precision(rows[piece], key)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time write a cache."""
    check_outputs({"the cache": path})
    with only_writer(path, path.with_name(f".{path.name}.lock")):
        yield
