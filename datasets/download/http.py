"""Download one file from one of several mirrors: resumable, with timeouts, and checked."""

import hashlib
import http.client
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vislang.core.cli import progress_is_shown
from vislang.core.errors import DataError, brief

_CHUNK = 2**18
_TRIES = 3  # per mirror; each resumes where the last one stopped


@dataclass(frozen=True)
class Archive:
    """A published zip file."""

    name: str
    urls: tuple[str, ...]  # mirrors, tried in order
    sha256: str | None  # hex; None: not published, only the CRCs inside the zip are checked
    max_unpacked: int  # bytes that it may hold; more counts as an attack

    def also_from(self, folder_url: str) -> "Archive":
        """Return a copy that tries one more mirror first."""
        return replace(self, urls=(f"{folder_url.rstrip('/')}/{self.name}", *self.urls))


def download(archive: Archive, folder: Path, *, timeout: float) -> tuple[Path, str]:
    """Download the archive into `folder`, and return the file and its SHA-256.

    Bytes go to `<name>.part`, which a later call continues. A finished file, also one put there by hand, is only
    checked.

    Raises:
        DataError: no mirror answers, or the file is damaged.
    """
    target = folder / archive.name
    part = folder / f"{archive.name}.part"
    if target.exists():
        return target, _checked(archive, target)
    reasons = []
    for url in archive.urls:
        for _ in range(_TRIES):
            before = _size(part)
            try:
                _continue(url, part, timeout)
                digest = _checked(archive, part)
                part.replace(target)
                return target, digest
            # URLError, timeouts and cut connections are OSErrors; a malformed address is a ValueError.
            except (OSError, ValueError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                if _size(part) <= before:
                    break  # nothing came: another try will not help
        reasons.append(f"{url}: {reason}")
    by_hand = (
        f"put {archive.name} into {folder} by hand and run again, or point to a copy you have: make data-f8k F8K=DIR"
    )
    raise DataError(f"no mirror gave {archive.name} ({'; '.join(reasons)}); {by_hand}")


def _continue(url: str, part: Path, timeout: float) -> None:
    """Append what is missing to `part`; start again where the mirror cannot continue."""
    have = _size(part)
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310 - the URLs are our own table's
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send; the checks decide whether the file is good
            return
        raise
    mode = "ab"
    if answer.status != 206:  # the whole file, not the rest of it
        mode = "wb"
        have = 0
    with answer, part.open(mode) as stream:
        length = answer.headers.get("Content-Length")
        total = None
        if length:
            total = have + int(length)
        quiet = not progress_is_shown()
        with tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.name, disable=quiet) as bar:
            _copy(answer.read, stream.write, bar.update)
    if total is not None and _size(part) < total:
        raise ConnectionError(f"cut after {_size(part)} of {total} bytes")


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    if path.exists():
        return path.stat().st_size
    return 0


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], Any], count: Callable[[int], Any]) -> None:
    while chunk := read(_CHUNK):
        write(chunk)
        count(len(chunk))


def _checked(archive: Archive, path: Path) -> str:
    """Check a finished file and return its SHA-256; delete it where it is damaged, so that the next run starts afresh.

    Raises:
        DataError: wrong checksum, or a damaged zip file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        _copy(stream.read, digest.update, lambda _: None)
    if archive.sha256 is not None and digest.hexdigest() != archive.sha256:
        path.unlink()
        raise DataError(
            f"{archive.name} has sha256 {digest.hexdigest()}, expected {archive.sha256}; it was deleted, run again"
        )
    try:
        with zipfile.ZipFile(path) as opened:
            size = sum(member.file_size for member in opened.infolist())
            broken = None
            if size <= archive.max_unpacked:  # unpack() refuses larger ones by their declared size, unread
                broken = opened.testzip()
    except Exception as error:  # zipfile raises those of its decompressors, too, and OSErrors for places outside
        broken = brief(error)
    if broken is not None:
        path.unlink()
        raise DataError(f"{archive.name} is damaged ({broken}); it was deleted, run the command again")
    return digest.hexdigest()
