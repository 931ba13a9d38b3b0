"""CacheFile: the one open file from which the layout and the rows of a cache are read."""

import os
import weakref
from pathlib import Path

from vislang.core.errors import DataError


class CacheFile:
    """An open file: layout and rows are read from this one, whatever another process puts at its path meanwhile.

    Raises:
        DataError: it cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for ever
        except FileNotFoundError as error:
            command = extract_command("NAME", "pooled,grid", path)
            raise DataError(f"{path}: no such feature cache; make it with: {command}") from error
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; give a feature cache that you can read") from error
        weakref.finalize(self, os.close, self.descriptor)
        self._status = self._current_status()

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self._status[0]

    def require_unchanged(self) -> None:
        """Raise a DataError where a program wrote into the file since it was opened; ours replace files."""
        if self._current_status() != self._status:
            raise DataError(f"{self.path}: another program wrote into it while it was read; run again")

    def _current_status(self) -> tuple[int, int]:
        about = os.fstat(self.descriptor)
        return about.st_size, about.st_mtime_ns


def extract_command(backbone: str, layers: str, path: str | Path) -> str:
    """Return the command that adds features to a cache."""
    return f"python -m vislang.features.extract --images DIR --backbone {backbone} --layers {layers} --cache {path}"
