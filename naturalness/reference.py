"""What the photographs of training score: the scale on which other images are judged.

Letters: N photographs, E experts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import read_json, write_json

FILE = "reference.json"  # inside the checkpoint folder
_HIGHEST = 99  # percentile of the photographs' values beyond which an image counts as flat
_NO_ERROR = 1e-12  # mean error below which its logarithm says nothing more


def error_values(errors: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of mean errors, float64 of any shape: higher, the better an image is predicted."""
    return -np.log(np.maximum(np.asarray(errors, np.float64), _NO_ERROR))


def capped_score(
    values: Sequence[float] | np.ndarray, highest: Sequence[float] | np.ndarray, scoring: Sequence[int]
) -> float:
    """Compute the score of an image.

        score = mean over the scoring experts of min(value, highest) - sum over all experts of max(0, value - highest)

    The model predicts best what has no content, a blank image best of all. So errors far below those of photographs
    are no sign of naturalness: what a value has beyond nearly all photographs counts against the image.

    Args:
        values: of E experts, from `error_values`.
        highest: E numbers, those of photographs.
        scoring: indices of the experts that score naturalness.
    """
    capped = np.minimum(values, highest)[list(scoring)]
    return float(capped.mean() - np.maximum(0.0, np.subtract(values, highest)).sum())


@dataclass(frozen=True)
class Reference:
    """The values of training photographs, one of each expert for each photograph; see `error_values`.

    Attributes:
        photographs: N.
        highest: E numbers, the 99th percentile of each expert's values.
        percentiles: 101 numbers, the 0th to the 100th percentile of the score.
    """

    photographs: int
    highest: tuple[float, ...]
    percentiles: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no such list of numbers, with a TypeError or ValueError."""
        numbers = np.array([*self.highest, *self.percentiles], np.float64)
        if len(self.percentiles) != 101 or not np.isfinite(numbers).all() or np.any(np.diff(self.percentiles) < 0):
            raise ValueError("expected finite numbers, 101 percentiles from the lowest to the highest")

    def is_flat(self, values: Sequence[float] | np.ndarray) -> bool:
        """Return whether any expert predicts an image better than nearly all photographs, for its E values."""
        return bool(np.any(np.asarray(values) > self.highest))

    def score(self, values: Sequence[float] | np.ndarray, scoring: Sequence[int]) -> float:
        """Compute the score of an image; see `capped_score`."""
        return capped_score(values, self.highest, scoring)

    def percentile(self, score: float) -> float:
        """Return the share of photographs that are less natural, in percent, 0 to 100."""
        return float(np.interp(score, self.percentiles, np.arange(101)))


def fit_reference(values: np.ndarray, scoring: Sequence[int]) -> Reference:
    """Measure the range and the distribution of the values of training photographs.

    Args:
        values: float [N, E].
        scoring: indices of the experts that score naturalness.
    """
    highest = np.percentile(values, _HIGHEST, axis=0)
    scores = [capped_score(row, highest, scoring) for row in values]
    percentiles = np.percentile(scores, np.arange(101))
    return Reference(len(values), _rounded(highest), _rounded(percentiles))


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(one), 4) for one in values)


def write_reference(folder: Path, reference: Reference) -> None:
    """Write the reference of a checkpoint."""
    write_json(folder / FILE, asdict(reference))


def read_reference(folder: Path, experts: int) -> Reference | None:
    """Read the reference of a checkpoint with so many experts; None where there is none, as before training ends.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FILE
    next_step = "copy or train the checkpoint anew"
    if not path.is_file():
        return None
    try:
        values = read_json(path, "reference", next_step)
        lists = {name: tuple(values[name]) for name in ("highest", "percentiles")}
        reference = Reference(**{**values, **lists})
        if len(reference.highest) != experts:
            raise ValueError(f"{len(reference.highest)} experts, expected {experts}")
        if type(reference.photographs) is not int:
            raise ValueError(f"photographs {reference.photographs!r}")
    except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is no reference ({error}); {next_step}") from error
    return reference
