"""CacheFile: the one open file from which the layout and the rows of a cache are read."""

import os
import stat
import weakref
from pathlib import Path

from vislang.core.errors import DataError


class CacheFile:
    """An open file: layout and rows are read from this one, whatever another process puts at its path meanwhile.

    Raises:
        DataError: it cannot be opened, or is a folder, device or pipe.
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
        about = os.fstat(self.descriptor)
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a device or pipe"
            raise DataError(f"{path}: is {kind}, not an HDF5 file, so no feature cache; name another file")
        self.size = about.st_size

    def modified(self) -> int:
        """Return the modification time in ns, which a program changes that touches the file or writes into it.

        Raises:
            DataError: it was cut, and reading from its memory map would end the process.
        """
        about = os.fstat(self.descriptor)
        if about.st_size < self.size:
            raise DataError(f"{self.path}: another program cut it while it was read; make the cache again")
        return about.st_mtime_ns


def extract_command(backbone: str, layers: str, path: str | Path) -> str:
    """Return the command that adds features to a cache, which is a file or a folder of shards."""
    option = "--shards" if Path(path).is_dir() else "--cache"
    return f"python -m vislang.features.extract --images DIR --backbone {backbone} --layers {layers} {option} {path}"
