"""MIT1003: 1,003 pictures looked at freely for 3 s by 15 people, as samples of an eye tracker.

The first fixation of each person is left out, then those outside of the picture: so did its authors and all who
compare with them. Coordinates stay as published; whether they count pixels from 0 or from 1 is not known.

Reference: Judd et al. 2009, Learning to predict where humans look, ICCV.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.fixations.gaze_samples import find_fixations
from datasets.fixations.records import FixationData, FixationRecord, build_record, read_mat
from vislang.core.errors import DataError
from vislang.images.decode import image_size

_NEXT = "get ALLSTIMULI.zip and DATA.zip from the authors' page WherePeopleLook and unpack both into one folder"
_LONGEST_NAME = 63  # letters of a variable in MATLAB


def read_mit1003(folder: str | Path, *, drop_first: bool = True) -> FixationData:
    """Read MIT1003's own files.

    Args:
        folder: holds `ALLSTIMULI/*.jpeg` and `DATA/<person>/<picture>.mat`. A person's damaged or missing file is
            skipped and listed; the picture keeps its other people.
        drop_first: see `datasets.fixations.records.build_record`.

    Raises:
        DataError: one of the two folders is missing or empty.
    """
    folder = Path(folder)
    pictures = sorted(path for path in (folder / "ALLSTIMULI").glob("*.jp*g") if not path.name.startswith("."))
    people = sorted(path for path in (folder / "DATA").glob("*") if path.is_dir() and not path.name.startswith("."))
    if not pictures or not people:
        raise DataError(
            f"{folder} holds {len(pictures)} pictures in ALLSTIMULI and {len(people)} people in DATA, expected some of"
            f" both; {_NEXT}"
        )
    records: list[FixationRecord] = []
    skipped: list[tuple[str, str]] = []
    for picture in pictures:
        try:
            records.append(_record(picture, people, skipped, drop_first=drop_first))
        except DataError as error:
            skipped.append((picture.name, str(error)))
    return FixationData(tuple(records), tuple(skipped))


def _record(picture: Path, people: list[Path], skipped: list[tuple[str, str]], *, drop_first: bool) -> FixationRecord:
    size, points, times = image_size(picture), [], []
    for person in people:
        path = person / f"{picture.stem}.mat"
        try:
            places, lengths = find_fixations(read_samples(path))
        except DataError as error:
            skipped.append((f"{person.name}/{path.name}", str(error)))
            places, lengths = np.zeros((0, 2)), np.zeros(0)
        points.append(places)
        times.append(lengths)
    return build_record(picture.name, picture, size, points, times, drop_first=drop_first)


def read_samples(path: Path) -> NDArray[np.float64]:
    """Read the samples of one person and one picture: float64 [T, 2], x and y in pixels, 240 a second.

    The file holds one variable, called as the picture (its first 63 letters), with `DATA(1).eyeData`.

    Raises:
        DataError: a missing or damaged file.
    """
    content = read_mat(path, _NEXT)
    names = [name for name in content if not name.startswith("__")]
    wanted = path.stem[:_LONGEST_NAME]
    try:
        struct = content[wanted if wanted in names or len(names) != 1 else names[0]]
        samples = np.asarray(struct["DATA"][0, 0]["eyeData"].ravel()[0], np.float64)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no DATA(1).eyeData in a variable {wanted!r} ({error}); {_NEXT}") from error
    if samples.ndim != 2 or samples.shape[1] < 2 or not len(samples):
        raise DataError(f"{path}: eyeData is {list(samples.shape)}, expected [samples, 2]; {_NEXT}")
    return samples[:, :2]
