"""OSIE: 700 pictures of 800x600 with several things in each, looked at freely for 3 s by 15 people.

Reference: Xu et al. 2014, Predicting human gaze beyond pixels, Journal of Vision 14(1):28.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.fixations.records import FixationData, FixationRecord, build_record, read_mat
from vislang.core.errors import DataError
from vislang.images.decode import image_size

_NEXT = "get data/eye/fixations.mat and data/stimuli of the authors' repository predicting-human-gaze-beyond-pixels"


def read_osie(folder: str | Path, *, drop_first: bool = False) -> FixationData:
    """Read OSIE's own files.

    Args:
        folder: holds `fixations.mat` and `stimuli/*.jpg`; pictures that are not there are left out without a word, so
            that a part of the data set can be used.
        drop_first: see `datasets.fixations.records.build_record`; the published numbers keep the first one.

    Raises:
        DataError: no `fixations.mat`, a damaged one, or no pictures.
    """
    folder = Path(folder)
    stimuli = folder / "stimuli"
    if not stimuli.is_dir():
        raise DataError(f"{folder} has no folder stimuli, expected it beside fixations.mat; {_NEXT}")
    content = read_mat(folder / "fixations.mat", _NEXT)
    if "fixations" not in content:
        raise DataError(f"{folder / 'fixations.mat'} holds no variable 'fixations'; {_NEXT}")
    records, skipped = [], []
    for number, entry in enumerate(content["fixations"].ravel()):
        name = f"fixations.mat, picture {number + 1}"
        try:
            image_id = str(entry["img"][0, 0].item())
            name = image_id if image_id == Path(image_id).name else name
            if (stimuli / name).is_file():
                records.append(_record(stimuli / name, entry, drop_first=drop_first))
        except DataError as error:
            skipped.append((name, str(error)))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            skipped.append((name, f"not as OSIE's fixations are ({error})"))
    if not records and not skipped:
        raise DataError(f"{stimuli} holds none of the pictures that fixations.mat names; {_NEXT}")
    return FixationData(tuple(sorted(records, key=lambda record: record.image_id)), tuple(skipped))


def _record(path: Path, entry: Any, *, drop_first: bool) -> FixationRecord:
    people = [subject[0, 0] for subject in entry["subjects"][0, 0].ravel()]
    points = [np.stack([_numbers(one["fix_x"]), _numbers(one["fix_y"])], axis=1) for one in people]
    times = [_numbers(one["fix_duration"]) for one in people]
    if any(len(one) != len(time) for one, time in zip(points, times, strict=True)):
        raise ValueError("fewer durations than fixations")
    return build_record(path.name, path, image_size(path), points, times, drop_first=drop_first)


def _numbers(array: Any) -> NDArray[np.float64]:
    return np.asarray(array, np.float64).ravel()
