"""Image files beside what a store holds of them: which are new, changed or only touched."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import ConfigError, DataError, shown
from vislang.core.files import keyed
from vislang.features.cache.records import RECORD, changed_files, file_records, have_files
from vislang.images.sources import Skipped, find_images
from vse.index.store import (
    ADDED_TOGETHER,
    LONGEST_TEXT,
    Filter,
    Record,
    VectorStore,
    path_of_stored,
    stored_text,
)


@dataclass(frozen=True)
class NamedFiles:
    """What a user names."""

    paths: list[Path]  # of image files, each once
    skipped: list[Skipped]  # what is no file
    gone: list[str]  # ids of stored images whose files are absent


@dataclass(frozen=True)
class ImageFiles:
    """Image files that are indexed."""

    paths: list[Path]
    ids: list[str]
    captions: Mapping[str, str]  # {id: caption}


@dataclass(frozen=True)
class Compared:
    """Image files beside what a store holds of them."""

    new: list[int]  # numbers of the files that are to be encoded
    outdated: list[Record]  # of files that hold the same as then, with their times and captions of now


def named_files(
    images: str | Path | Sequence[str | Path],
    *,
    strict: bool = False,
    store: VectorStore | None = None,
    keep_absent: bool = False,
) -> NamedFiles:
    """Return the image files that a user names, and which of a store are gone.

    Args:
        images: files, folders, patterns or text files of paths, or one of these.
        strict: raise for the first that is no file.
        store: whose images count as gone where a named folder holds them no longer, or where nothing is under a name.
        keep_absent: where nothing is under a name, such as on a disk that is away for now, none is gone.

    Raises:
        ConfigError: nothing was named, or an empty name.
        DataError: no file and none gone, or something that is no file and `strict`.
    """
    words = [images] if isinstance(images, str | Path) else images
    if not words or "" in words:  # which would stand for the whole current folder
        raise ConfigError("no image was given, expected files, folders or patterns: --images FILE ...")
    paths: dict[str, Path] = {}
    skipped = []
    gone: set[str] = set()
    for word in words:
        absent = []
        if store is not None and (Path(word).is_dir() or not keep_absent):
            absent = _absent_images(store, Path(word))
            gone.update(absent)
        try:
            found, _ = find_images([str(word)])
        except DataError as error:
            if not absent:
                skipped.append(Skipped(str(word), str(error)))
            continue
        for path, name in zip(found, image_ids(found), strict=True):
            if path.is_file():
                paths.setdefault(name, path)
            elif store is not None and not keep_absent and store.records([name]):
                gone.add(name)
            else:
                skipped.append(Skipped(str(path), f"{path}: no such file"))
    if skipped and (strict or not (paths or gone)):
        raise DataError(skipped[0].reason)
    return NamedFiles(list(paths.values()), skipped, sorted(gone.difference(paths)))


def _absent_images(store: VectorStore, place: Path) -> list[str]:
    """Return the ids of the stored images of a file or folder whose files are absent."""
    held = [*store.ids(Filter(folder=place)), *store.records(image_ids([place]))]
    return [name for name in held if not os.path.exists(path_of_stored(name))]


def captions_of_ids(captions: Mapping[str, str]) -> dict[str, str]:
    """Return {id: caption} of {path: caption}.

    Raises:
        DataError: two paths are one image, or a caption is too long.
    """
    ids = image_ids([Path(name) for name in captions])
    found = keyed(zip(ids, captions.values(), strict=True), "captions", "give each image one caption")
    for name, caption in found.items():
        if len(caption) > LONGEST_TEXT:
            raise DataError(
                f"the caption of {shown(name)} has {len(caption)} characters, expected up to {LONGEST_TEXT}; shorten it"
            )
    return found


def image_ids(paths: Sequence[Path]) -> list[str]:
    """Return the ids of image files: their absolute paths, with links of folders followed."""
    return [stored_text(os.path.join(_real_folder(str(path.parent)), path.name)) for path in paths]


@functools.lru_cache
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def compare_files(store: VectorStore, files: ImageFiles) -> Compared:
    """Compare files with what a store holds of them, ADDED_TOGETHER at a time."""
    new: list[int] = []
    outdated: list[Record] = []
    for start in range(0, len(files.paths), ADDED_TOGETHER):
        numbers = range(start, min(start + ADDED_TOGETHER, len(files.paths)))
        stored = store.records([files.ids[number] for number in numbers])
        new += [number for number in numbers if files.ids[number] not in stored]
        held = [number for number in numbers if files.ids[number] in stored]
        records = [stored[files.ids[number]] for number in held]
        paths = [files.paths[number] for number in held]
        before = np.array([(0, one.size, one.mtime_ns, one.ctime_ns, one.sha256.encode()) for one in records], RECORD)
        # The times are read once, before a file may be: a second look could see those of a later content.
        status = file_records(paths)
        is_changed = changed_files([before], paths, status)
        new += [number for number, changed in zip(held, is_changed.tolist(), strict=True) if changed]
        is_there = have_files(status)
        for row in np.flatnonzero(~is_changed).tolist():
            now = replace(records[row], caption=files.captions.get(records[row].id, records[row].caption))
            if is_there[row]:  # else away for a moment
                now = replace(now, **times_of(status[row]))
            if now != records[row]:
                outdated.append(now)
    return Compared(sorted(new), outdated)


def cut_records(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut records into lists whose vectors are read and stored together."""
    for start in range(0, len(records), ADDED_TOGETHER):
        yield records[start : start + ADDED_TOGETHER]


def times_of(record: np.void) -> dict[str, Any]:
    """Return size and times of a RECORD as those of a `Record`."""
    return {name: int(record[name]) for name in ("size", "mtime_ns", "ctime_ns")}
