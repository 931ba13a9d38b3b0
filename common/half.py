"""Weights files in half precision: half the size, and Keras turns the numbers back into float32 when it loads them."""

from pathlib import Path

import h5py
import numpy as np

from common.errors import DataError
from common.files import whole_file


def halve(source: Path, target: Path) -> None:
    """Copy a Keras weights file with every float32 number rounded to float16.

    Args:
        source: a `.weights.h5` file.
        target: the file to write; equal sources give equal bytes.

    Raises:
        DataError: the source cannot be read, or a number is too large for half precision, beyond 65504.
    """
    try:
        old = h5py.File(source, "r")
    except OSError as error:
        raise DataError(f"{source} cannot be read as a weights file ({error}); train or copy it anew") from error
    with old, whole_file(target) as part, h5py.File(part, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made = new.require_group(name)
            else:
                made = new.create_dataset(name, data=_rounded(source, name, item[()]))
            for key, value in item.attrs.items():
                made.attrs[key] = value

        old.visititems(copy)
        for key, value in old.attrs.items():
            new.attrs[key] = value


def _rounded(source: Path, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    if not np.isfinite(rounded).all() and np.isfinite(values).all():
        raise DataError(f"{source}: {name} reaches {np.abs(values).max():.3g}, beyond half precision; keep float32")
    return rounded
