"""Fixations of your own: a folder of images and one CSV file with a line for each fixation.

    mine/
        dog.jpg
        street/1.png
        fixations.csv        image,subject,x,y,duration
                             dog.jpg,anna,312.5,140,220
                             dog.jpg,anna,95,200.5,180
                             street/1.png,ben,40,60,250

The file may have any name that ends in .csv. Columns may come in any order; others than these are ignored.

- image: path of the image in the folder.
- subject: who looked; any text.
- x, y: pixels from the upper left corner of the image as it is shown; lines of one person and image are in order of
  time. Points outside the image are left out and counted.
- duration (optional): milliseconds.

Read by name: `python -m eval.run fixations --dataset csv --data mine --maps maps/`.
"""

import csv
import math
from pathlib import Path, PurePosixPath

import numpy as np

from datasets.fixations.records import FixationData, FixationRecord, build_record, read_records
from datasets.text_files import read_lines
from vislang.core.errors import DataError
from vislang.images.decode import image_size

_COLUMNS = ("image", "subject", "x", "y")
_DURATION = "duration"
_NEXT = "write a header image,subject,x,y or image,subject,x,y,duration and one line for each fixation"

Fixation = tuple[float, float, float]  # x, y in pixels, duration in milliseconds
FixationsOfImage = dict[str, list[Fixation]]  # by subject


def read_fixations_csv(folder: str | Path, *, drop_first: bool = False) -> FixationData:
    """Read a folder of images and the one CSV file in it.

    Args:
        folder: holds the images and the file; see the module for its layout. An image that is missing or damaged is
            skipped and listed.
        drop_first: see `datasets.fixations.records.build_record`.

    Raises:
        DataError: no CSV file or several, a column is missing, or a line is malformed.
    """
    folder = Path(folder)
    fixations, has_durations = _read_table(_csv_path(folder))

    def read(image_id: str) -> FixationRecord:
        return _record(folder, image_id, fixations[image_id], has_durations, drop_first=drop_first)

    return read_records(sorted(fixations), read)


def _csv_path(folder: Path) -> Path:
    """Return the one CSV file of a folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected one with images and a CSV file of fixations; {_NEXT}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{folder} holds {len(found)} CSV files ({names}), expected one; {_NEXT}")
    return found[0]


def _read_table(path: Path) -> tuple[dict[str, FixationsOfImage], bool]:
    """Return the fixations of each image and subject, in the file's order, and whether they have durations."""
    rows = csv.reader(read_lines(path, _NEXT))
    fixations: dict[str, FixationsOfImage] = {}
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if not set(_COLUMNS) <= set(header) or len(set(header)) != len(header):
            got = ",".join(header)
            raise DataError(f"{path}: header got {got!r}, expected {','.join(_COLUMNS)}[,{_DURATION}]; {_NEXT}")
        for cells in rows:
            if not cells:  # an empty line
                continue
            if len(cells) != len(header):
                raise ValueError(f"got {len(cells)} cells, expected {len(header)}")
            row = dict(zip(header, cells, strict=True))
            subjects = fixations.setdefault(_image_id(row["image"]), {})
            fixation = (_number(row, "x"), _number(row, "y"), _number(row, _DURATION))
            subjects.setdefault(row["subject"].strip(), []).append(fixation)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}:{rows.line_num}: {error}; {_NEXT}") from error
    if not fixations:
        raise DataError(f"{path} holds no fixation, expected one line for each; {_NEXT}")
    return fixations, _DURATION in header


def _image_id(text: str) -> str:
    """Return the image's path in the folder with forward slashes."""
    name = PurePosixPath(text.strip().replace("\\", "/"))
    if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise ValueError(f"image got {text!r}, expected a path inside the folder, such as dog.jpg")
    return str(name)


def _number(row: dict[str, str], column: str) -> float:
    """Return a finite number; 0 where the file does not have the column."""
    text = row.get(column, "0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (column == _DURATION and value < 0):
        raise ValueError(f"{column} got {text!r}, expected a number such as 312.5")
    return value


def _record(
    folder: Path, image_id: str, fixations: FixationsOfImage, has_durations: bool, *, drop_first: bool
) -> FixationRecord:
    path = folder / image_id
    subjects = []
    durations = []
    for looks in fixations.values():
        table = np.array(looks, np.float64)  # [n, 3]
        subjects.append(table[:, :2])
        durations.append(table[:, 2])
    known = durations if has_durations else None
    return build_record(image_id, path, image_size(path), subjects, known, drop_first=drop_first)
