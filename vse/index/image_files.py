"""Image files beside what a store holds of them: which are new, changed or only touched."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vislang.features.cache.records import RECORD, changed_files, file_records
from vse.index.store import ADDED_TOGETHER, Record, VectorStore, stored_text


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
        is_changed = changed_files([before], paths)
        new += [number for number, changed in zip(held, is_changed.tolist(), strict=True) if changed]
        for record, status, changed in zip(records, file_records(paths), is_changed.tolist(), strict=True):
            caption = files.captions.get(record.id, record.caption)
            now = replace(record, caption=caption, **times_of(status))
            if now != record and not changed:
                outdated.append(now)
    return Compared(sorted(new), outdated)


def cut_records(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut records into lists whose vectors are read and stored together."""
    for start in range(0, len(records), ADDED_TOGETHER):
        yield records[start : start + ADDED_TOGETHER]


def times_of(record: np.void) -> dict[str, Any]:
    """Return size and times of a RECORD as those of a `Record`."""
    return {name: int(record[name]) for name in ("size", "mtime_ns", "ctime_ns")}
