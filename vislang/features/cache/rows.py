"""FeatureRows: chosen rows of a cache, on the compute device when they fit there, else read from the file."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError
from vislang.features.cache.cache_file import CacheFile
from vislang.features.cache.layout import FLOAT16, StoredLayer
from vislang.features.cache.records import RECORD, files_checksum, layer_checksum, row_checksum

SLAB_BYTES = 32 * 2**20
_LISTED = 3  # names in one message
_LARGEST, _INFINITY, _SIGN = 0x7BFF, 0x7C00, 0x8000  # bits of float16: 65504, infinity, minus

_log = logging.getLogger(__name__)


class StoredRows:
    """The rows of a layer, read from the file where they are used; each is checked when it is first read.

    Where a program touched the open file or wrote into it, rows are checked once more.

    Attributes:
        shape: [N, ...].
        dtype: float16.
        records: RECORD [N]; zeros where the cache is of the time before checksums.

    Raises:
        DataError: damaged records.
    """

    def __init__(self, file: CacheFile, layer: StoredLayer, ids: Sequence[str]):
        self._modified = file.modified()
        self.shape = layer.shape
        self.dtype = FLOAT16
        self._file = file
        self._layer = layer
        self._ids = ids
        with open(file.descriptor, "rb", closefd=False) as stream:
            mapped = np.memmap(stream, FLOAT16, "r", layer.offset, layer.shape)
            self._rows = mapped.view(np.ndarray)  # a memmap's own indexing costs microseconds per call
            self.records = np.zeros(len(ids), RECORD)
            if layer.records is not None:
                self.records = np.memmap(stream, RECORD, "r", layer.records.offset, len(ids)).view(np.ndarray)
                self._check_records(layer.records.checksum)
        self._has_checksums = layer.records is not None
        self._start = layer_checksum(layer.place, layer.shape, layer.key)
        self._is_checked = np.zeros(len(ids), bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray | slice) -> np.ndarray:
        """Return a copy of the rows at int [M] positions, or a slice of the rows without a copy.

        Raises:
            DataError: a row is damaged or holds NaN or infinity, or another program cut the file.
        """
        modified = self._file.modified()
        if modified != self._modified:
            self._modified = modified
            self._is_checked[:] = False
        rows = self._rows[chosen]
        positions = np.arange(*chosen.indices(len(self))) if isinstance(chosen, slice) else chosen
        is_new = ~self._is_checked[positions]
        if is_new.all():
            self._check(rows, positions)
        elif is_new.any():
            self._check(rows[is_new], positions[is_new])
        return rows

    def mapped(self) -> np.ndarray:
        """Check all rows; return them without a copy, read from the file where they are used.

        Raises:
            DataError: as for single rows.
        """
        for piece in slabs(len(self), row_bytes(self.shape)):
            self[piece]
        return self._rows

    def _check_records(self, expected: int | None) -> None:
        if expected is not None and files_checksum(self.records) != expected:
            path, place = self._names()
            raise DataError(f"{path}: /records/{place} is damaged, its checksum differs; make the cache again")

    def _check(self, rows: np.ndarray, positions: np.ndarray) -> None:
        if self._has_checksums:
            expected = self.records["checksum"]
            for row, position in zip(rows, positions.tolist(), strict=True):
                if row_checksum(row, self._ids[position], self._start) != expected[position]:
                    self._refuse(position, "is damaged, its checksum differs")
        at_limit, beyond = at_float16_limit(rows)
        for position in positions[beyond][:1].tolist():
            self._refuse(position, "holds NaN or infinity")
        if at_limit.any():
            clipped = listed([self._ids[position] for position in positions[at_limit].tolist()])
            _log.warning("%s: %s of %s holds float16's largest number, 65504", *self._names(), clipped)
        self._is_checked[positions] = True

    def _refuse(self, position: int, what: str) -> None:
        path, place = self._names()
        raise DataError(f"{path}: {place} of {self._ids[position]!r} {what}; make the cache again")

    def _names(self) -> tuple[str, str]:
        return printable(str(self._file.path)), self._layer.place


def at_float16_limit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bool [N] each: which rows of float16 [N, ...] reach 65504 or -65504, and which hold NaN or infinity."""
    bits = np.ascontiguousarray(rows).view(np.uint16).reshape(len(rows), -1)
    positive = bits.view(np.int16).max(axis=1, initial=0)  # as integers, floats of one sign keep their order
    negative = bits.max(axis=1, initial=0)
    beyond = (positive >= _INFINITY) | (negative >= _SIGN + _INFINITY)
    return ((positive >= _LARGEST) | (negative >= _SIGN + _LARGEST)) & ~beyond, beyond


def listed(names: Sequence[str]) -> str:
    """Return the first names as one text, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(map(printable, names[:_LISTED]))}{more}"


class FeatureRows:
    """Rows of one layer in a fixed order; `shape` is (M, ...).

    Args:
        sources: pairs of stored rows, float16 [N, ...], and int [M_i], which of them, in order; M is the sum of M_i.
        resident: put them on the device.
    """

    def __init__(self, sources: Sequence[tuple[StoredRows, np.ndarray]], *, resident: bool):
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


def gather(stored: StoredRows | np.ndarray, positions: np.ndarray | Sequence[int]) -> np.ndarray:
    """Copy the rows at int [M] positions, in any order, with repeats: [M, ...] of the same dtype."""
    positions = np.asarray(positions)
    result = np.empty((len(positions), *stored.shape[1:]), stored.dtype)
    gather_into(result, np.arange(len(positions)), stored, positions)
    return result


def gather_into(result: np.ndarray, places: np.ndarray, stored: StoredRows | np.ndarray, positions: np.ndarray) -> None:
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
