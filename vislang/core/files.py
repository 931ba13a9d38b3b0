"""Files that are complete or absent: written beside their target, then renamed over it."""

import contextlib
import fcntl
import json
import os
import re
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vislang.core.errors import ConfigError, DataError, brief, shown

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # the first half of a character beyond 16 bits, in JSON
_LONGEST_NAME = 255  # bytes of the name of a file
_MOST_UNPACKED = 2**32  # bytes of a compressed archive of arrays


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and move it over `path` on leaving without an error.

    Even after a crash, `path` holds either its old content or all of the new one. What a killed process left is removed
    by the next one that writes the same file; of two at the same time, one waits for the other.

    Raises:
        DataError: the folder cannot be written, the disk is full, or `path` is no regular file.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part{''.join(path.suffixes)}")
    kind = _other_kind(path)
    if kind:
        raise DataError(f"cannot write {path}: it is {kind}, expected a file or a new name; nothing was changed")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path.with_name(f".{path.name}.part.lock"), wait=True):
            part.unlink(missing_ok=True)
            part.touch(exist_ok=False)  # never through a link that someone else put there
            try:
                yield part
                with part.open("rb+") as stream:
                    os.fsync(stream.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed, free space or choose another place"
        ) from error


@contextlib.contextmanager
def only_writer(path: Path, lock: Path, *, wait: bool = False) -> Iterator[None]:
    """Refuse to go on while another process writes a file or folder; the lock of a killed process is gone with it.

    Args:
        path: the file or folder, for the message.
        lock: the file that is locked, in a folder that exists.
        wait: for the other process, instead of refusing.

    Raises:
        DataError: another process is writing, or the lock cannot be opened.
    """
    with contextlib.ExitStack() as exits:
        try:
            exits.enter_context(_lock(lock, wait=wait))
        except BlockingIOError as error:
            raise DataError(f"{path}: another process is writing it; wait for it and run again") from error
        except OSError as error:
            reason = f"its lock {lock} cannot be opened ({error.strerror}); remove that file"
            raise DataError(f"{path}: {reason}") from error
        yield


@contextlib.contextmanager
def _lock(lock: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file, and remove it at the end."""
    how = fcntl.LOCK_EX
    if not wait:
        how |= fcntl.LOCK_NB
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "r+b") as stream:
            fcntl.flock(stream, how)
            if os.fstat(stream.fileno()).st_nlink:  # else its former owner removed it after we opened it
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return


def _other_kind(path: Path) -> str:
    """Return what there is at a path other than a regular file; "" for a file or nothing."""
    if path.is_symlink():
        return "a link"
    if path.is_dir():
        return "a folder"
    if path.exists() and not path.is_file():
        return "a device, pipe or socket"
    return ""


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text as one complete file."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write an indented JSON document as one complete file."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_array(path: str | Path, array: Any) -> None:
    """Write a NumPy array as a whole .npy file."""
    import numpy as np

    with whole_file(path) as part, part.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def read_array(path: str | Path, next_step: str, *, mapped: bool = False) -> Any:
    """Read one NumPy array from a .npy file, or the only one of a .npz file, without running anything from it.

    Args:
        path: the file.
        next_step: what to do about a missing or damaged file.
        mapped: leave the numbers of a .npy file on disk until they are used.

    Raises:
        DataError: the file is missing, damaged or no such file.
    """
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False, mmap_mode="r" if mapped else None)
    except Exception as error:  # NumPy and zipfile raise two dozen kinds on damaged files
        raise _no_arrays(path, getattr(error, "strerror", None) or brief(error), next_step) from error
    if isinstance(found, np.ndarray):
        return found
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise _no_arrays(path, "other content", next_step)
    found.close()
    arrays = list(read_arrays(path, next_step).values())
    if len(arrays) != 1:
        raise _no_arrays(path, f"{len(arrays)} arrays, expected one", next_step)
    return arrays[0]


def read_arrays(path: str | Path, next_step: str) -> dict[str, Any]:
    """Read the NumPy arrays of a .npz file by their names, without running anything from it.

    Args:
        path: the file.
        next_step: what to do about a missing or damaged file.

    Raises:
        DataError: the file is missing, damaged, no such file, or too large when it is unpacked.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > max(_MOST_UNPACKED, 2 * os.path.getsize(path)):
                raise ValueError(f"{unpacked} bytes when it is unpacked")
        with np.load(path, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except Exception as error:  # NumPy and zipfile raise two dozen kinds on damaged files
        raise _no_arrays(path, getattr(error, "strerror", None) or brief(error), next_step) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise _no_arrays(path, f"{name!r} is no array", next_step)
    return arrays


def _no_arrays(path: str | Path, reason: str, next_step: str) -> DataError:
    return DataError(f"{path} cannot be read as NumPy arrays ({reason}); {next_step}")


def path_of(value: Any, what: str) -> Path:
    """Return what a user passed as a path.

    Args:
        value: a str or a path object.
        what: what it is to the user, such as "the model".

    Raises:
        DataError: something else, or a name that no file can have.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise DataError(f"{what} got {shown(value)}, expected a path")
    path = Path(value)
    if "\0" in str(path) or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise DataError(f"{what} got {shown(str(path))}, which no file can be called; expected a path")
    return path


def read_bytes(path: str | Path, most: int) -> bytes:
    """Read a file of at most so many bytes; a device or pipe without end is not read further, either.

    Raises:
        DataError: it is larger.
        OSError: it cannot be read.
        ValueError: a path that no file can have.
    """
    with open(path, "rb") as stream:
        about = os.fstat(stream.fileno())
        content = b""
        if not stat.S_ISREG(about.st_mode):
            content = stream.read(most + 1)
        elif about.st_size <= most:
            content = stream.read()
    if max(about.st_size, len(content)) > most:
        raise DataError(f"{path}: larger than {most // 2**20} MiB; shrink it or leave it out")
    return content


def read_json(path: str | Path, what: str, next_step: str) -> Any:
    """Read a JSON document.

    Args:
        path: the file.
        what: what it is to the user, such as "checkpoint settings".
        next_step: what to do about a missing or damaged file.

    Raises:
        DataError: the file is missing, unreadable or no JSON, or an object in it repeats a key.
    """
    try:
        return parse_json(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"not JSON ({brief(error)})"
        raise DataError(f"{what} {path}: {reason}; {next_step}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document as `json.loads`, but raise a ValueError for what would be lost or could not be written.

    Of equal keys in an object `json.loads` keeps the last value and loses the others without a word. Half a character
    (a surrogate) becomes text that no file or terminal takes. Lists in thousands of lists end its recursion.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        document = json.loads(text, object_pairs_hook=_distinct)
    except RecursionError as error:
        raise ValueError("values nested too deeply") from error
    if _SURROGATE.search(text):
        json.dumps(document, ensure_ascii=False).encode()  # a UnicodeEncodeError is a ValueError
    return document


def keyed(pairs: Iterable[tuple[Key, Value]], where: str | Path, next_step: str) -> dict[Key, Value]:
    """Return a dict of what a file names by a key, of which none may be lost.

    Args:
        pairs: key and value.
        where: the file and what its keys are, such as "captions.json, image ids".
        next_step: what to do about a key that comes twice.

    Raises:
        DataError: a key comes twice.
    """
    listed = list(pairs)
    try:
        return _distinct(listed)
    except ValueError as error:
        raise DataError(f"{where}: {error}; {next_step}") from error


def _distinct(pairs: list[tuple[Key, Value]]) -> dict[Key, Value]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((repeated, times),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"got {repeated!r} {times} times, expected each once")
    return found


def check_outputs(outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work is done, files that cannot be written or that would replace what a command reads.

    Args:
        outputs: {option: file}; None: it is not written.
        inputs: files that are read.

    Raises:
        ConfigError: an input, one file for two options, "-", or a folder, link, device or pipe.
        DataError: a folder cannot be written.
    """
    taken = {os.path.realpath(path): "an input" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        kind = _other_kind(Path(path))
        if str(path) == "-":
            raise ConfigError(f"{option} got -, which is no file; name one, and print results by --json")
        if kind:
            raise ConfigError(f"{option} got {path}, which is {kind}, expected a file or a new name; name another")
        other = taken.setdefault(os.path.realpath(path), option)
        if other != option:
            raise ConfigError(f"{option} got {path}, which is also {other}, expected a file of its own; name another")
        require_writable_folder(Path(path).parent)


def require_writable_folder(path: str | Path) -> Path:
    """Create the folder if need be, and check that it can be written.

    Raises:
        DataError: it cannot be created or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write into {path}: {error.strerror or error}; choose another folder or change its permissions"
        ) from error
    return path


def cache_folder(variable: str, name: str = "") -> Path | None:
    """Return a folder for files that only save time: that of an environment variable, else `name` in ~/.cache/vislang.

    None where the user has no home folder, as in some containers.
    """
    if os.environ.get(variable):
        return Path(os.environ[variable])
    try:
        return Path.home() / ".cache" / "vislang" / name
    except RuntimeError:
        return None


def file_name(text: str) -> str:
    """Replace characters that a file name cannot hold, such as the slashes of a path, by underscores."""
    return re.sub(r"[^\w.@+-]+", "_", text).strip("_")
