"""Unpack untrusted zip files, member by member, into one folder and nowhere else."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from vislang.core.errors import DataError
from vislang.core.files import keyed, whole_file

_MAX_MEMBERS = 200_000


def unpack(path: Path, folder: Path, *, max_bytes: int) -> int:
    """Unpack a zip file of at most `max_bytes`, and return the number of files in it.

    Every name is checked before the first byte is written. Folders that macOS adds are left out.

    Raises:
        DataError: a member is absolute, leads out of the folder, is a link or comes twice, or the members are too large
            together.
    """
    with zipfile.ZipFile(path) as archive:
        members = []
        total = 0
        for member in archive.infolist():
            if not member.is_dir() and not member.filename.startswith("__MACOSX/"):
                members.append(member)
                total += member.file_size
        if total > max_bytes or len(members) > _MAX_MEMBERS:
            raise DataError(
                f"{path} unpacks to {total} bytes in {len(members)} files, expected at most {max_bytes} bytes in"
                f" {_MAX_MEMBERS}; it is not the archive it claims to be, delete it"
            )
        keyed(((_place(member), member) for member in members), f"{path}, files", "delete the archive")
        for member in members:
            _refuse_unsafe(path, member)
        for member in members:
            _write(archive, member, folder)
    return len(members)


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def _refuse_unsafe(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or ":" in name or "\0" in name or not parts:
        raise DataError(f"{path} holds {member.filename!r}, which leads out of the folder; delete the archive")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise DataError(f"{path} holds {member.filename!r}, which is a link or device; delete the archive")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / _place(member)
    if not target.resolve().is_relative_to(folder.resolve()):  # through a link that was in the folder before
        raise DataError(f"{target} leads out of {folder} through a link; remove the link and run again")
    if target.is_file() and target.stat().st_size == member.file_size:
        return  # an interrupted run wrote it completely
    # zipfile stops at the declared size and checks the CRC, so a lying header cannot fill the disk.
    with whole_file(target) as part, archive.open(member) as source, part.open("wb") as stream:
        shutil.copyfileobj(source, stream)
