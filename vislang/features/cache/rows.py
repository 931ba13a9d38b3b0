"""FeatureRows: chosen rows of a cache, on the compute device when they fit there, else read from the file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

SLAB_BYTES = 32 * 2**20


class FeatureRows:
    """Rows of one layer in a fixed order; `shape` is (M, ...).

    Args:
        sources: pairs of a float16 array [N, ...], usually a memory map, and int [M_i], which rows of it, in order;
            M is the sum of M_i.
        resident: put them on the device.
    """

    def __init__(self, sources: Sequence[tuple[np.ndarray, np.ndarray]], *, resident: bool):
        self._sources = sources
        self._ends = np.cumsum([len(positions) for _, positions in sources])
        self.shape = (int(self._ends[-1]), *sources[0][0].shape[1:])
        self.is_resident = resident
        self._tensor = None
        if resident:
            import keras

            self._tensor = keras.ops.convert_to_tensor(self._gather(np.arange(len(self))))

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, numbers: Any) -> Any:
        """Return rows by number, int [B], as a float32 tensor [B, ...]; numbers may be symbolic when resident."""
        import keras

        if self._tensor is not None:
            return keras.ops.cast(keras.ops.take(self._tensor, numbers, axis=0), "float32")
        return keras.ops.convert_to_tensor(self._gather(np.asarray(numbers)).astype(np.float32))

    def _gather(self, numbers: np.ndarray) -> np.ndarray:
        result = np.empty((len(numbers), *self.shape[1:]), np.float16)
        owners = np.searchsorted(self._ends, numbers, side="right")
        for owner, (stored, positions) in enumerate(self._sources):
            places = np.flatnonzero(owners == owner)
            first = self._ends[owner] - len(positions)
            gather_into(result, places, stored, positions[numbers[places] - first])
        return result


def gather(stored: np.ndarray, positions: np.ndarray | Sequence[int]) -> np.ndarray:
    """Copy the rows at int [M] positions, in any order, with repeats: [M, ...] of the same dtype."""
    positions = np.asarray(positions)
    result = np.empty((len(positions), *stored.shape[1:]), stored.dtype)
    gather_into(result, np.arange(len(positions)), stored, positions)
    return result


def gather_into(result: np.ndarray, places: np.ndarray, stored: np.ndarray, positions: np.ndarray) -> None:
    """Copy the rows at int [M] positions to the rows of `result` at int [M] places.

    The file is read in its own order, slab by slab, which is one sweep of a disk instead of a seek per row.
    """
    order = np.argsort(positions, kind="stable")
    for numbers in slabs(len(positions), row_bytes(stored.shape)):
        some = order[numbers]
        result[places[some]] = stored[positions[some]]


def slabs(count: int, bytes_each: int) -> list[slice]:
    """Cut `count` rows into pieces of some 32 MiB."""
    step = max(1, SLAB_BYTES // max(1, bytes_each))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def row_bytes(shape: Sequence[int]) -> int:
    """Return the size of one float16 row."""
    return 2 * int(np.prod(shape[1:], dtype=np.int64))
