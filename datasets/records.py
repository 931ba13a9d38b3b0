"""What every reader gives: one frozen record per image, and checks that no split leaks into another."""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vislang.core.errors import DataError

SPLITS = ("train", "dev", "test", "restval", "unused")


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        image_id: unique in the data set; the file name wherever the data set has files.
        path: the image file, or None where only features are published.
        split: one of `SPLITS`.
        captions: the sentences that people wrote for it, cleaned but not tokenized.
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
    """Give the records of one split, in their order.

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


def with_features(records: tuple["ImageRecord", ...], cache: Any) -> tuple["ImageRecord", ...]:
    """Leave out the images that extraction could not read, and say so on stderr.

    Args:
        records: images of one split.
        cache: an open feature cache, with `ids` and `path`.

    Returns:
        the records whose image is in the cache; all of them when none is, so that reading the cache says why.
    """
    held = set(cache.ids)
    missing = [record.image_id for record in records if record.image_id not in held]
    if not missing or len(missing) == len(records):
        return records
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    print(f"left out of training: {missing[0]}{more}, not in {cache.path}", file=sys.stderr)
    return tuple(record for record in records if record.image_id in held)


def check_splits(records: Iterable[Record]) -> tuple[Record, ...]:
    """Give the records back after proving that every image is listed once and in one split only.

    Raises:
        DataError: an image is listed twice, or in two splits.
    """
    records = tuple(records)
    split_of: dict[str, str] = {}
    for record in records:
        other = split_of.setdefault(record.image_id, record.split)
        if other != record.split:
            overlap = _in_both(records, other, record.split)
            raise DataError(
                f"splits {other!r} and {record.split!r} share {len(overlap)} images, first {overlap[0]!r},"
                f" expected none; scores on {record.split!r} would be worthless, remove them from one split list"
            )
    if len(split_of) != len(records):
        twice = [name for name, count in Counter(record.image_id for record in records).items() if count > 1]
        raise DataError(
            f"{len(twice)} images are listed more than once, first {twice[0]!r} in split {split_of[twice[0]]!r},"
            " expected once each; remove the extra lines"
        )
    return records


def captions_of(records: Iterable[ImageRecord]) -> tuple[list[str], np.ndarray]:
    """Lay all captions in one list.

    Args:
        records: N images.

    Returns:
        The M sentences, image after image, and int64 [M]: the row in `records` that each belongs to.
    """
    sentences: list[str] = []
    image_of_caption: list[int] = []
    for row, record in enumerate(records):
        sentences.extend(record.captions)
        image_of_caption.extend([row] * len(record.captions))
    return sentences, np.asarray(image_of_caption, np.int64)


def data_fingerprint(records: Sequence[ImageRecord]) -> str:
    """Give the sha256 (hex) of ids, splits and captions in order; where the files lie does not matter."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps([record.image_id, record.split, *record.captions]).encode() + b"\n")
    return digest.hexdigest()


def _in_both(records: Iterable[ImageRecord], one: str, other: str) -> list[str]:
    names = {split: {record.image_id for record in records if record.split == split} for split in (one, other)}
    return sorted(names[one] & names[other])
