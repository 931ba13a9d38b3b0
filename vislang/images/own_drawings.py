"""The mark in every drawing that this toolkit writes, which keeps drawings out of folders of photographs."""

import os
from collections.abc import Sequence
from pathlib import Path

from vislang.core.errors import DataError
from vislang.images.folders import warn_left_out

SOFTWARE = "vislang-toolkit drawing"  # the "Software" or comment of the file
_ENDS = 4096  # bytes searched at both ends of a file: no kind of file keeps its metadata elsewhere


def is_own_drawing(path: str | os.PathLike) -> bool:
    """Return whether this toolkit drew an image or a video; False for a file that cannot be read."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(_ENDS)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - _ENDS, 0))
            end = stream.read()
    except OSError:
        return False
    mark = SOFTWARE.encode()
    return mark in start or mark in end


def without_own_drawings(paths: Sequence[Path], where: str | os.PathLike) -> list[Path]:
    """Return the files that this toolkit did not draw, and log how many it drew; `where` is for messages.

    Raises:
        DataError: all of them are drawings.
    """
    kept = [path for path in paths if not is_own_drawing(path)]
    count = len(paths) - len(kept)
    if count and not kept:
        raise DataError(f"{where}: holds only drawings of this toolkit ({count}), expected photographs; name a file")
    warn_left_out(where, count, "drawings of this toolkit", "to use one, name the file")
    return kept
