"""The files below a folder, without thumbnails that other programs left there; what is left out is reported."""

import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from vislang.core.cli import printable

_THUMBNAIL_FOLDERS = (".thumbnails", ".thumb", "@eaDir", ".@__thumb", "__MACOSX")  # of Linux, Synology, QNAP, macOS
_METADATA = "._"  # starts the names of files in which macOS keeps the metadata of others

_log = logging.getLogger(__name__)


def files_below(folder: str | os.PathLike, suffixes: Collection[str]) -> list[Path]:
    """List the files with some suffixes in a folder, searched to the bottom, sorted.

    Links to folders are not followed; they and folders that cannot be read are counted in a warning.
    """
    found = []
    linked = 0
    unreadable: list[OSError] = []
    for where, folders, names in os.walk(str(folder), onerror=unreadable.append):
        linked += sum(os.path.islink(os.path.join(where, name)) for name in folders)
        for name in names:
            path = Path(where, name)
            if path.suffix.lower() in suffixes and path.is_file():
                found.append(path)
    warn_left_out(folder, linked, "linked folder" if linked == 1 else "linked folders", "name them, too")
    warn_left_out(folder, len(unreadable), "folders that cannot be read", "change their permissions")
    return sorted(found)


def without_foreign_thumbnails(paths: Sequence[Path], where: str | os.PathLike) -> list[Path]:
    """Return the files that are no thumbnails or metadata of other programs, and report how many are.

    Args:
        where: what the user named; a folder of thumbnails that it names is read.
    """
    folders = set(_THUMBNAIL_FOLDERS) - set(Path(where).parts)
    kept = []
    for path in paths:
        if folders.isdisjoint(path.parts) and not path.name.startswith(_METADATA):
            kept.append(path)
    warn_left_out(where, len(paths) - len(kept), "thumbnails of other programs", "to use one, name the file")
    return kept


def warn_left_out(where: str | os.PathLike, count: int, what: str, next_step: str) -> None:
    """Log that a folder or pattern holds files or folders that are not used, if any."""
    if count:
        _log.warning("%s: skipped %d %s; %s", printable(os.fspath(where)), count, what, next_step)
