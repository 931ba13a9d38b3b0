"""Pickles of plain data: nothing in them is executed, and memory stays within a small multiple of their size."""

import pickle
from collections import OrderedDict
from typing import Any

from vislang.core.errors import DataError


# The unpickler in Python, since that in C allocates memory for any number that a file gives as the place of an object.
class PlainUnpickler(pickle._Unpickler):  # type: ignore[name-defined]  # noqa: SLF001
    """Unpickle numbers, words, lists and (ordered) dictionaries; any other class is refused."""

    # Without bytearrays, whose memory is allocated before their bytes are read.
    dispatch = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]  # noqa: SLF001
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        """Return the class; the unpickler calls this for every class that the pickle names."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise DataError(f"its pickle names {module}.{name}, which is no plain data")
