"""OSIE: 700 images of 800x600 with several objects each, viewed freely for 3 s by 15 people.

Reference: Xu et al. 2014, Predicting human gaze beyond pixels, Journal of Vision 14(1):28.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.fixations.records import FixationData, FixationRecord, build_record, read_mat
from vislang.core.errors import DataError
from vislang.core.files import keyed
from vislang.images.decode import image_size

_NEXT = "get data/eye/fixations.mat and data/stimuli of the authors' repository predicting-human-gaze-beyond-pixels"


def read_osie(folder: str | Path, *, drop_first: bool = False) -> FixationData:
    """Read OSIE's own files.

    Args:
        folder: holds `fixations.mat` and `stimuli/*.jpg`; images that are absent are left out silently, so that a part
            of the data set can be used.
        drop_first: see `datasets.fixations.records.build_record`; published scores include the first fixation.

    Raises:
        DataError: no `fixations.mat`, a damaged one, no images, or an image that comes twice.
    """
    folder = Path(folder)
    stimuli = folder / "stimuli"
    if not stimuli.is_dir():
        raise DataError(f"{folder} has no folder stimuli, expected it beside fixations.mat; {_NEXT}")
    content = read_mat(folder / "fixations.mat", _NEXT)
    if "fixations" not in content:
        raise DataError(f"{folder / 'fixations.mat'} holds no variable 'fixations'; {_NEXT}")
    records: list[FixationRecord] = []
    skipped: list[tuple[str, str]] = []
    for number, entry in enumerate(content["fixations"].ravel(), start=1):
        name = f"fixations.mat, image {number}"
        try:
            image_id = str(entry["img"][0, 0].item())
            if image_id == Path(image_id).name:
                name = image_id
            if (stimuli / name).is_file():
                records.append(_record(stimuli / name, entry, drop_first=drop_first))
        except DataError as error:
            skipped.append((name, str(error)))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            skipped.append((name, f"not in OSIE's format ({error})"))
    if not records and not skipped:
        raise DataError(f"{stimuli} holds none of the images that fixations.mat names; {_NEXT}")
    keyed(((record.image_id, record) for record in records), f"{folder / 'fixations.mat'}, images", _NEXT)
    records.sort(key=lambda record: record.image_id)
    return FixationData(tuple(records), tuple(skipped))


def _record(path: Path, entry: Any, *, drop_first: bool) -> FixationRecord:
    subjects = []
    durations = []
    for cell in entry["subjects"][0, 0].ravel():
        person = cell[0, 0]
        points = np.stack([_numbers(person["fix_x"]), _numbers(person["fix_y"])], axis=1)
        times = _numbers(person["fix_duration"])
        if len(points) != len(times):
            raise ValueError(f"{len(times)} durations of {len(points)} fixations")
        subjects.append(points)
        durations.append(times)
    return build_record(path.name, path, image_size(path), subjects, durations, drop_first=drop_first)


def _numbers(array: Any) -> NDArray[np.float64]:
    return np.asarray(array, np.float64).ravel()
