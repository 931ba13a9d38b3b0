"""MIT1003: 1,003 images viewed freely for 3 s by 15 people, as samples of an eye tracker.

Each person's first fixation is left out, then those outside the image, as its authors and later comparisons do.
Coordinates stay as published; whether they count pixels from 0 or from 1 is not known.

Reference: Judd et al. 2009, Learning to predict where humans look, ICCV.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.fixations.gaze_samples import find_fixations
from datasets.fixations.records import FixationData, FixationRecord, build_record, read_mat
from vislang.core.errors import DataError
from vislang.core.files import keyed
from vislang.images.decode import image_size

_NEXT = "get ALLSTIMULI.zip and DATA.zip from the authors' page WherePeopleLook and unpack both into one folder"
_LONGEST_NAME = 63  # letters of a variable in MATLAB


def read_mit1003(folder: str | Path, *, drop_first: bool = True) -> FixationData:
    """Read MIT1003's own files.

    Args:
        folder: holds `ALLSTIMULI/*.jpeg` and `DATA/<person>/<image>.mat`. A person's damaged or missing file is
            skipped and listed; the image keeps its other people.
        drop_first: see `datasets.fixations.records.build_record`.

    Raises:
        DataError: one of the two folders is missing or empty, or two images differ in their suffix alone.
    """
    folder = Path(folder)
    images = _visible(folder / "ALLSTIMULI", "*.jp*g")
    people = [path for path in _visible(folder / "DATA", "*") if path.is_dir()]
    if not images or not people:
        raise DataError(
            f"{folder} holds {len(images)} images in ALLSTIMULI and {len(people)} people in DATA, expected some of"
            f" both; {_NEXT}"
        )
    stems = ((image.stem, image) for image in images)
    keyed(stems, f"{folder / 'ALLSTIMULI'}, names without suffix", "a person's file has that name; remove one")
    records: list[FixationRecord] = []
    skipped: list[tuple[str, str]] = []
    for image in images:
        try:
            records.append(_record(image, people, skipped, drop_first=drop_first))
        except DataError as error:
            skipped.append((image.name, str(error)))
    return FixationData(tuple(records), tuple(skipped))


def _visible(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def _record(image: Path, people: list[Path], skipped: list[tuple[str, str]], *, drop_first: bool) -> FixationRecord:
    size = image_size(image)
    subjects = []
    durations = []
    for person in people:
        path = person / f"{image.stem}.mat"
        points = np.zeros((0, 2))
        times = np.zeros(0)
        try:
            points, times = find_fixations(read_samples(path))
        except DataError as error:
            skipped.append((f"{person.name}/{path.name}", str(error)))
        subjects.append(points)
        durations.append(times)
    return build_record(image.name, image, size, subjects, durations, drop_first=drop_first)


def read_samples(path: Path) -> NDArray[np.float64]:
    """Read the samples of one person and one image: float64 [T, 2], x and y in pixels, 240 a second.

    The file holds one variable, named after the image (its first 63 letters), with `DATA(1).eyeData`.

    Raises:
        DataError: a missing or damaged file.
    """
    content = read_mat(path, _NEXT)
    names = [name for name in content if not name.startswith("__")]
    variable = path.stem[:_LONGEST_NAME]
    if variable not in names and len(names) == 1:
        variable = names[0]
    try:
        samples = np.asarray(content[variable]["DATA"][0, 0]["eyeData"].ravel()[0], np.float64)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no DATA(1).eyeData in a variable {variable!r} ({error}); {_NEXT}") from error
    if samples.ndim != 2 or samples.shape[1] < 2 or not len(samples):
        raise DataError(f"{path}: eyeData is {list(samples.shape)}, expected [samples, 2]; {_NEXT}")
    return samples[:, :2]
