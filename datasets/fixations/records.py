"""Where people looked in pictures: one frozen record per picture, whatever the files of its data set are like."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import DataError


@dataclass(frozen=True)
class FixationRecord:
    """What several people looked at in one picture.

    Attributes:
        image_id: name of its file.
        path: the picture.
        size: (width, height) in pixels.
        subjects: for each person float64 [n, 2], x and y in pixels from the upper left corner, in the order of looking;
            all inside the picture. A person may have none.
        durations: for each person float64 [n], milliseconds, or None where the data set does not tell.
        outside: how many fixations were left out because they lie outside of the picture.
    """

    image_id: str
    path: Path
    size: tuple[int, int]
    subjects: tuple[NDArray[np.float64], ...]
    durations: tuple[NDArray[np.float64], ...] | None = None
    outside: int = 0


@dataclass(frozen=True)
class FixationData:
    """What a reader found.

    Attributes:
        records: in the order of the names.
        skipped: (file, reason) of what could not be read.
    """

    records: tuple[FixationRecord, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def build_record(
    image_id: str,
    path: Path,
    size: tuple[int, int],
    subjects: Iterable[NDArray[np.float64]],
    durations: Iterable[NDArray[np.float64]],
    *,
    drop_first: bool,
) -> FixationRecord:
    """Make a record, without the first fixation of each person if so asked, and without those outside the picture.

    The first one is dropped before those outside are: if it lies outside, no other takes its place.

    Args:
        image_id: see `FixationRecord`.
        path: see `FixationRecord`.
        size: see `FixationRecord`.
        subjects: for each person float [n, 2], anywhere; NaN counts as outside.
        durations: for each person float [n].
        drop_first: whether the first is left out: it is where the eye was before the picture came.
    """
    start = int(drop_first)
    kept, times, outside = [], [], 0
    for points, lengths in zip(subjects, durations, strict=True):
        points, lengths = points[start:], lengths[start:]
        inside = ((points >= 0) & (points < size)).all(axis=1)
        outside += int((~inside).sum())
        kept.append(points[inside])
        times.append(lengths[inside])
    return FixationRecord(image_id, path, size, tuple(kept), tuple(times), outside)


def read_mat(path: Path, next_step: str) -> dict[str, Any]:
    """Read a MATLAB file of version 4 to 7.2 as plain arrays.

    Raises:
        DataError: missing, damaged or of another kind.
    """
    from scipy.io import loadmat

    try:
        return loadmat(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {next_step}") from error
    except Exception as error:  # SciPy raises many kinds on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is no MATLAB file that can be read ({reason}); {next_step}") from error


def fixations_fingerprint(records: Iterable[FixationRecord]) -> str:
    """Give the sha256 (hex) of names, sizes and fixations in order; where the files lie does not matter."""
    digest = hashlib.sha256()
    for record in records:
        points = [subject.round(3).tolist() for subject in record.subjects]
        digest.update(json.dumps([record.image_id, record.size, points]).encode() + b"\n")
    return digest.hexdigest()
