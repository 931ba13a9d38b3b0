"""Compressed weights files in half precision; Keras converts the numbers back to float32 when it loads them."""

from pathlib import Path

import h5py
import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import whole_file

MANTISSA = 10  # bits of a float16's mantissa
_SMALL = 4096  # numbers; smaller arrays are not compressed


def halve(source: Path, target: Path, *, bits: int = MANTISSA, step: float = 0.0) -> None:
    """Copy a Keras weights file with every float32 number rounded to float16.

    Args:
        source: a `.weights.h5` file.
        target: the file to write; equal sources give equal bytes.
        bits: of the mantissa that are kept, 1 to 10; the others are 0, which compresses well: 8 bits take three
            quarters of the size of 10, at a relative error of at most 1/512.
        step: if above 0, numbers of each large array are rounded by `quantised`: 1/8 takes less than half of the size
            of 8 bits.

    Raises:
        DataError: the source cannot be read, or a number is too large for half precision, beyond 65504.
    """
    try:
        old = h5py.File(source, "r")
    except OSError as error:
        raise DataError(f"{source} cannot be read as a weights file ({error}); train again or copy it again") from error
    with old, whole_file(target) as part, h5py.File(part, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            else:
                values = item[()]
                if step and values.dtype == np.float32 and values.size >= _SMALL:
                    values = quantised(values, step)
                made = _store(new, name, _rounded(source, name, values, bits))
            for key, value in item.attrs.items():
                made.attrs[key] = value

        old.visititems(copy)
        for key, value in old.attrs.items():
            new.attrs[key] = value


def _store(file: h5py.File, name: str, values: np.ndarray) -> h5py.Dataset:
    if values.size < _SMALL:
        return file.create_dataset(name, data=values)
    # One chunk, its high bytes before its low ones: exponents compress, and so do the zeros behind short mantissas.
    options = {"chunks": values.shape, "shuffle": True, "compression": "gzip", "compression_opts": 9}
    return file.create_dataset(name, data=values, **options)


def _rounded(source: Path, name: str, values: np.ndarray, bits: int) -> np.ndarray:
    if values.dtype not in (np.float32, np.float16):
        return values
    with np.errstate(over="ignore"):
        rounded = with_short_mantissa(values.astype(np.float16), MANTISSA - bits)
    if not np.isfinite(rounded).all() and np.isfinite(values).all():
        raise DataError(f"{source}: {name} reaches {np.abs(values).max():.3g}, beyond half precision; keep float32")
    return rounded


def quantised(values: np.ndarray, step: float) -> np.ndarray:
    """Round float32 numbers to multiples of the largest power of two that is at most `step` standard deviations."""
    std = float(values.std())
    if not std:
        return values
    unit = np.float32(2.0 ** np.floor(np.log2(step * std)))
    return np.round(values / unit) * unit


def with_short_mantissa(values: np.ndarray, dropped: int) -> np.ndarray:
    """Round float16 numbers so that the last `dropped` bits of the mantissa are 0, ties to even."""
    if not dropped:
        return values
    pattern = values.view(np.uint16).astype(np.uint32)
    is_odd = (pattern >> dropped) & 1
    rounded = (pattern + (1 << (dropped - 1)) - 1 + is_odd) >> dropped << dropped
    return rounded.astype(np.uint16).view(np.float16)
