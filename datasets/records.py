"""What every reader returns: one frozen record per image, and a check that no image is in two splits."""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vislang.core.cli import printable
from vislang.core.errors import DataError

SPLITS = ("train", "dev", "test", "restval", "unused")


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        image_id: unique in the data set; the file name wherever the data set has files.
        path: the image file, or None where only features are published.
        split: one of `SPLITS`.
        captions: sentences by people, cleaned but not tokenized.
    """

    image_id: str
    path: Path | None
    split: str
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise DataError(
                f"image {self.image_id!r} is in split {self.split!r}, expected one of {', '.join(SPLITS)};"
                " rename the split in the data set's own files"
            )


Record = TypeVar("Record", bound=ImageRecord)


def of_split(records: Iterable[Record], split: str) -> tuple[Record, ...]:
    """Return the records of one split, in their order.

    Raises:
        DataError: no record is in that split; the message says which splits there are.
    """
    records = tuple(records)
    chosen = tuple(record for record in records if record.split == split)
    if not chosen:
        counts = Counter(record.split for record in records)
        known = ", ".join(f"{name} ({counts[name]})" for name in SPLITS if counts[name]) or "no images at all"
        raise DataError(f"no image is in split {split!r}, the data set has: {known}; choose one of those")
    return chosen


def image_paths(records: Iterable[ImageRecord]) -> list[Path]:
    """Return the file of each image.

    Raises:
        DataError: an image has none.
    """
    paths = []
    for record in records:
        if record.path is None:
            raise DataError(
                f"{record.image_id} has no image file, which a ranker needs for its maps; name the folder that holds"
                " the images with --data"
            )
        paths.append(record.path)
    return paths


def check_restval(restval: str | None) -> None:
    """Refuse a value of the option restval, which says what becomes of images outside of the usual splits."""
    if restval not in (None, "train", "drop"):
        raise DataError(f"restval got {restval!r}, expected 'train' (add those images to train) or 'drop'")


def with_features(records: tuple[ImageRecord, ...], cache: Any) -> tuple[ImageRecord, ...]:
    """Return the records whose image is in an open feature cache; name those left out on stderr.

    Where none is in the cache, all records are returned, so that reading the cache raises the error.
    """
    cached = set(cache.ids)
    kept = tuple(record for record in records if record.image_id in cached)
    if not kept or len(kept) == len(records):
        return records
    first = next(record.image_id for record in records if record.image_id not in cached)
    others = len(records) - len(kept) - 1
    more = f" and {others} more" if others else ""
    print(f"left out of training: {printable(first)}{more}, not in {printable(str(cache.path))}", file=sys.stderr)
    return kept


def check_splits(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records after checking that every image is listed once and in one split only.

    Raises:
        DataError: an image is listed twice, or in two splits.
    """
    records = tuple(records)
    split_of: dict[str, str] = {}
    for record in records:
        other = split_of.setdefault(record.image_id, record.split)
        if other != record.split:
            shared = sorted(_ids_of(records, other) & _ids_of(records, record.split))
            raise DataError(
                f"splits {other!r} and {record.split!r} share {len(shared)} images, first {shared[0]!r}, expected none;"
                f" scores on {record.split!r} would be worthless, remove them from one split list"
            )
    if len(split_of) != len(records):
        counts = Counter(record.image_id for record in records)
        twice = [image_id for image_id, count in counts.items() if count > 1]
        raise DataError(
            f"{len(twice)} images are listed more than once, first {twice[0]!r} in split {split_of[twice[0]]!r},"
            " expected once each; remove the extra lines"
        )
    return records


def captions_of(records: Iterable[ImageRecord]) -> tuple[list[str], np.ndarray]:
    """Return the M captions of N images in one list, image after image, and int64 [M]: the row in `records` of each."""
    sentences: list[str] = []
    image_of_caption: list[int] = []
    for row, record in enumerate(records):
        sentences.extend(record.captions)
        image_of_caption.extend([row] * len(record.captions))
    return sentences, np.asarray(image_of_caption, np.int64)


def data_fingerprint(records: Sequence[ImageRecord]) -> str:
    """Compute the SHA-256 (hex) of ids, splits and captions in order; where the files lie does not matter."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps([record.image_id, record.split, *record.captions]).encode() + b"\n")
    return digest.hexdigest()


def _ids_of(records: Iterable[ImageRecord], split: str) -> set[str]:
    return {record.image_id for record in records if record.split == split}
