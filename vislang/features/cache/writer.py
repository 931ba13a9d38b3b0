"""CacheWriter: rows are collected in a work folder, and merged into the cache at the end."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import require_writable_folder, write_json
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.layout import FLOAT16, group_name
from vislang.features.cache.merge import half_precision, locked, merge
from vislang.features.cache.records import RECORD
from vislang.features.cache.rows import row_bytes

MARK_SECONDS = 5.0  # at most so much work is lost when a run is killed


class NoUsableImageError(DataError):
    """None of the images of an extraction could be used."""


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
        is_restarted: whether rows of an interrupted call were discarded.
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
            exits.enter_context(locked(self.path))
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

    def records(self) -> np.ndarray:
        """Return RECORD [len(ids)], of the files that the rows before the last mark were computed from."""
        return np.fromfile(self._files[-1], RECORD)

    def restart(self) -> None:
        """Discard the rows of the interrupted call."""
        self.done = 0
        self.ids = []
        self.skipped = []
        self._shapes = [None] * len(self._keys)
        self.is_restarted = True
        with self._reporting():
            for stream in self._streams:
                stream.truncate(0)
            self._mark()

    def finish(self) -> None:
        """Write the cache with the new rows in it and remove the work folder.

        Raises:
            NoUsableImageError: no image was usable.
            DataError: the cache holds other images.
        """
        if not self.ids:
            first = ""
            if self.skipped:
                first = f"; the first: {self.skipped[0][1]}"
            shutil.rmtree(self._folder)
            raise NoUsableImageError(f"none of {self.done} images could be used, no cache is written{first}")
        with self._reporting():
            self._mark()
        added = {
            key: np.memmap(file, FLOAT16, "r", shape=(len(self.ids), *(shape or ())))
            for key, file, shape in zip(self._keys, self._files, self._shapes, strict=False)
        }
        merge(self.path, self.ids, added, self.records())
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
        except FileExistsError as error:
            reason = "is there and is no folder of an interrupted extraction that can be replaced"
            raise DataError(f"{self._folder}: {reason}; move it away") from error
        except OSError as error:
            raise DataError(f"cannot write {self._folder}: {error.strerror or error}; run again to go on") from error


def _sizes(count: int, shapes: Sequence[Sequence[int] | None]) -> list[int]:
    """Return the bytes of `count` rows of each layer, given the shapes of one row, and of their records."""
    return [count * row_bytes((1, *(shape or ()))) for shape in shapes] + [count * RECORD.itemsize]
