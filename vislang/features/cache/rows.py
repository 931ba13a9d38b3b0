"""FeatureRows: chosen rows of a cache, on the compute device when they fit there, else read from the file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

SLAB_BYTES = 32 * 2**20


class FeatureRows:
    """Rows of one layer in a fixed order; `shape` is (M, ...).

    Args:
        stored: float16 [N, ...], usually a memory map.
        positions: int [M], which rows of it, in order.
        resident: put them on the device.
    """

    def __init__(self, stored: np.ndarray, positions: np.ndarray, *, resident: bool):
        self._stored = stored
        self._positions = positions
        self.shape = (len(positions), *stored.shape[1:])
        self.is_resident = resident
        self._tensor = None
        if resident:
            import keras

            self._tensor = keras.ops.convert_to_tensor(gather(stored, positions))

    def __len__(self) -> int:
        return len(self._positions)

    def rows(self, numbers: Any) -> Any:
        """Return rows by number, int [B], as a float32 tensor [B, ...]; numbers may be symbolic when resident."""
        import keras

        if self._tensor is not None:
            return keras.ops.cast(keras.ops.take(self._tensor, numbers, axis=0), "float32")
        taken = gather(self._stored, self._positions[np.asarray(numbers)])
        return keras.ops.convert_to_tensor(taken.astype(np.float32))


def gather(stored: np.ndarray, positions: np.ndarray | Sequence[int]) -> np.ndarray:
    """Copy the rows at int [M] positions, in any order, with repeats: [M, ...] of the same dtype.

    The file is read in its own order, slab by slab, which is one sweep of a disk instead of a seek per row.
    """
    positions = np.asarray(positions)
    result = np.empty((len(positions), *stored.shape[1:]), stored.dtype)
    order = np.argsort(positions, kind="stable")
    for numbers in slabs(len(positions), row_bytes(stored.shape)):
        places = order[numbers]
        result[places] = stored[positions[places]]
    return result


def slabs(count: int, bytes_each: int) -> list[slice]:
    """Cut `count` rows into pieces of some 32 MiB."""
    step = max(1, SLAB_BYTES // max(1, bytes_each))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def row_bytes(shape: Sequence[int]) -> int:
    """Return the size of one float16 row."""
    return 2 * int(np.prod(shape[1:], dtype=np.int64))
