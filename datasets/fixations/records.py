"""Where people looked in images: one frozen record per image, whatever the files of the data set are like."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import DataError, brief


@dataclass(frozen=True)
class FixationRecord:
    """The fixations of several people on one image.

    Attributes:
        image_id: name of the image file.
        path: the image file.
        size: (width, height) in pixels.
        subjects: for each person float64 [n, 2], x and y in pixels from the upper left corner, in order of time; all
            inside the image. A person may have none.
        durations: for each person float64 [n], milliseconds; None where the data set has no durations.
        outside: number of fixations that were left out because they lie outside the image.
    """

    image_id: str
    path: Path
    size: tuple[int, int]
    subjects: tuple[NDArray[np.float64], ...]
    durations: tuple[NDArray[np.float64], ...] | None = None
    outside: int = 0


@dataclass(frozen=True)
class FixationData:
    """Records sorted by image, and (file, reason) of what could not be read."""

    records: tuple[FixationRecord, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def build_record(
    image_id: str,
    path: Path,
    size: tuple[int, int],
    subjects: Iterable[NDArray[np.float64]],
    durations: Iterable[NDArray[np.float64]] | None,
    *,
    drop_first: bool,
) -> FixationRecord:
    """Build a record of the fixations that lie inside the image.

    The first fixation is dropped before those outside are: if it lies outside, no other takes its place.

    Args:
        image_id: see `FixationRecord`.
        path: see `FixationRecord`.
        size: see `FixationRecord`.
        subjects: for each person float [n, 2], anywhere; NaN counts as outside.
        durations: for each person float [n], milliseconds; None: unknown.
        drop_first: drop each person's first fixation, where the eye was before the image appeared.
    """
    start = int(drop_first)
    inside = []
    points_inside = []
    outside = 0
    for points in subjects:
        mask: NDArray[np.bool_] = np.all((points >= 0) & (points < size), axis=1)
        mask[:start] = False
        outside += int((~mask[start:]).sum())
        inside.append(mask)
        points_inside.append(points[mask])
    durations_inside = None
    if durations is not None:
        durations_inside = tuple(times[mask] for times, mask in zip(durations, inside, strict=True))
    return FixationRecord(image_id, path, size, tuple(points_inside), durations_inside, outside)


def read_records(names: Iterable[str], read: Callable[[str], FixationRecord]) -> FixationData:
    """Read a record by each name; those that raise a DataError are skipped."""
    records: list[FixationRecord] = []
    skipped: list[tuple[str, str]] = []
    for name in names:
        try:
            records.append(read(name))
        except DataError as error:
            skipped.append((name, str(error)))
    return FixationData(tuple(records), tuple(skipped))


def read_mat(path: Path, next_step: str) -> dict[str, Any]:
    """Read a MATLAB file of version 4 to 7.2 as plain arrays."""
    from scipy.io import loadmat

    try:
        return loadmat(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {next_step}") from error
    except Exception as error:  # SciPy raises many kinds on damaged files
        raise DataError(f"{path} is no MATLAB file that can be read ({brief(error)}); {next_step}") from error


def fixations_fingerprint(records: Iterable[FixationRecord]) -> str:
    """Compute the SHA-256 (hex) of names, sizes and fixations in order; where the files lie does not matter."""
    digest = hashlib.sha256()
    for record in records:
        points = [subject.round(3).tolist() for subject in record.subjects]
        digest.update(json.dumps([record.image_id, record.size, points]).encode() + b"\n")
    return digest.hexdigest()
