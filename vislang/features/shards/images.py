"""The images of a shard: those of a tar file, read one after another, or a part of a list of files."""

import hashlib
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vislang.core.errors import DataError, brief
from vislang.images.decode import MAX_BYTES, SUFFIXES, ImageSource, NamedBytes
from vislang.images.sources import Skipped

TAR = ".tar"
_BLOCK = 512  # bytes; a tar file ends with blocks of zeros


class DamagedShardError(DataError):
    """A shard of which nothing can be used; the others are not affected."""


class ShardImages(ABC):
    """Images in a fixed order, which may be iterated again and again; each comes as `decode_image` takes it.

    Attributes:
        names: the name of each in caches and results.
        skipped: what cannot be used, as is seen before any image is decoded.
    """

    names: list[str]
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def __iter__(self) -> Iterator[ImageSource]: ...

    @abstractmethod
    def only(self, names: Collection[str]) -> "ShardImages":
        """Return those with some names."""

    @abstractmethod
    def content(self) -> str:
        """Return what changes with the content of the images, "" where caches see that by themselves."""

    def named(self, skipped: Sequence[Skipped]) -> list[Skipped]:
        """Return images that could not be used, called as in caches instead of by their paths."""
        return list(skipped)


class ListedImages(ShardImages):
    """Image files.

    Args:
        files: {name: file}.
    """

    def __init__(self, files: Mapping[str, Path]):
        self.files = dict(files)
        self.names = list(files)
        self.skipped = []

    def __iter__(self) -> Iterator[ImageSource]:
        return iter(self.files.values())

    def only(self, names: Collection[str]) -> "ListedImages":
        """Return those with some names."""
        chosen = set(names)
        return ListedImages({name: path for name, path in self.files.items() if name in chosen})

    def content(self) -> str:
        """Return "": a cache keeps the digest of each file."""
        return ""

    def named(self, skipped: Sequence[Skipped]) -> list[Skipped]:
        """Return images that could not be used, called by their names instead of their paths."""
        names = {os.fspath(path): name for name, path in self.files.items()}
        found = []
        for one in skipped:
            name = names.get(one.source, one.source)
            found.append(Skipped(name, one.reason.replace(one.source, name, 1)))
        return found


class TarImages(ShardImages):
    """The image files in a tar file, without links and other kinds of members.

    Args:
        path: the tar file.
        prefix: of the names, such as "train/00000.tar/"; None: images are called by their file names alone.
    """

    def __init__(self, path: Path, prefix: str | None):
        """Read all headers.

        Raises:
            DamagedShardError: it cannot be read to its end, or holds no image.
        """
        self.path = path
        self.names = []
        self.skipped = []
        self._members: list[tarfile.TarInfo] = []
        seen: set[str] = set()
        for member in _members(path):
            inner = member.name.removeprefix("./")
            if not member.isreg() or Path(inner).suffix.lower() not in SUFFIXES:
                continue
            name = Path(inner).name if prefix is None else f"{prefix}{inner}"
            reason = _unusable(name, member, seen)
            if reason:
                self.skipped.append(Skipped(ascii(name)[1:-1], f"{ascii(name)[1:-1]}: {reason}"))
                continue
            seen.add(name)
            self.names.append(name)
            self._members.append(member)
        if not self.names:
            first = f"; the first: {self.skipped[0].reason}" if self.skipped else ""
            raise DamagedShardError(f"{path}: holds no image that can be used{first}")

    def __iter__(self) -> Iterator[ImageSource]:
        with tarfile.open(self.path, "r:") as tar:
            for name, member in zip(self.names, self._members, strict=True):
                try:
                    stream = tar.extractfile(member)
                    content = stream.read() if stream else b""
                except (OSError, tarfile.TarError) as error:
                    raise DamagedShardError(f"{self.path}: cannot be read ({brief(error)}); fetch it again") from error
                yield NamedBytes(content, name)

    def only(self, names: Collection[str]) -> "TarImages":
        """Return those with some names."""
        chosen = set(names)
        some = object.__new__(TarImages)
        some.path = self.path
        some.skipped = []
        kept = [pair for pair in zip(self.names, self._members, strict=True) if pair[0] in chosen]
        some.names = [name for name, _ in kept]
        some._members = [member for _, member in kept]
        return some

    def content(self) -> str:
        """Return the SHA-256 of the tar file."""
        try:
            with self.path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DamagedShardError(f"{self.path}: cannot be read ({error.strerror}); fetch it again") from error


def status_of(paths: Iterable[Path]) -> str:
    """Return a digest of sizes and times of files, which changes when one is written anew; "" where none is there."""
    digest = hashlib.sha256()
    count = 0
    for path in paths:
        try:
            about = path.stat()
        except OSError:
            digest.update(b"absent\0")
        else:
            digest.update(f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}\0".encode())
            count += 1
    return digest.hexdigest() if count else ""


def _unusable(name: str, member: tarfile.TarInfo, seen: set[str]) -> str:
    """Return why an image cannot be used; "" if it can."""
    if name in seen:
        return "comes twice in the shard; only the first is used"
    if member.size > MAX_BYTES:
        return f"larger than {MAX_BYTES // 2**20} MiB; shrink it or leave it out"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    if "\0" in name or len(name) > 4096:
        return "its name cannot be stored; rename it"
    return ""


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file.

    Raises:
        DamagedShardError: it is no tar file, is compressed, or cut or damaged somewhere.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            before = -1
            while (member := tar.next()) is not None:
                if tar.offset <= before:  # a negative size would lead back, and round for ever
                    raise tarfile.ReadError("a member of impossible size")
                before = tar.offset
                yield member
            stream = tar.fileobj
            assert stream is not None
            stream.seek(tar.offset)
            if stream.read(_BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError("it ends without an end mark")
    except FileNotFoundError as error:
        raise DamagedShardError(f"{path}: no such tar file; restore it") from error
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError) as error:
        reason = f"no tar file without compression, or cut or damaged ({brief(error)})"
        raise DamagedShardError(f"{path}: {reason}; fetch it again") from error
