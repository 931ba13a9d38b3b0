"""Rows of numbers that are more than memory should hold, in a file."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 5000  # read at a time, where all are


class RowFile:
    """Rows float32 [N, D] in a file of their own, read where they are used and gone with this object.

    Args:
        width: D.
        folder: where the file is made, on a disk with room for 4 N D bytes.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, width: int, folder: str | Path):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with this object
        self._count = 0
        self._width = width

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return self._count, self._width

    def __len__(self) -> int:
        return self._count

    def append(self, rows: NDArray) -> None:
        """Add rows, float [K, D], at the end."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())
        self._count += len(rows)

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> NDArray[np.float32]:
        """Read the rows of a slice of step 1, or those of int [K] numbers in any order."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self._count)
            return self._read(start, max(0, stop - start))
        found = np.empty((len(rows), self._width), np.float32)
        order = np.argsort(rows, kind="stable")  # the file is read in its own order, neighbours together
        runs = np.split(order, 1 + np.flatnonzero(np.diff(rows[order]) != 1))
        for run in runs:
            if len(run):
                found[run] = self._read(int(rows[run[0]]), len(run))
        return found

    def _read(self, start: int, count: int) -> NDArray[np.float32]:
        self._file.seek(4 * start * self._width)
        values = np.frombuffer(self._file.read(4 * count * self._width), np.float32)
        return values.reshape(-1, self._width)


def as_rows(values: Any) -> Any:
    """Return rows as they are where they have a shape, as arrays and a `RowFile` do, else as an array."""
    if hasattr(values, "shape"):
        return values
    return np.asarray(values)


def in_blocks(count: int, size: int = _ROWS) -> Iterable[slice]:
    """Return slices that together hold `count` rows, in order, `size` or fewer each."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def products(rows: Any, vectors: NDArray) -> NDArray[np.float32]:
    """Compute the dot product of every row, [N, D] of an array or a `RowFile`, with vectors [K, D]: float32 [K, N]."""
    columns = np.ascontiguousarray(vectors, np.float32).T
    return np.concatenate([np.asarray(rows[block], np.float32) @ columns for block in in_blocks(len(rows))]).T
