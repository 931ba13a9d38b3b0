"""The calibration of a captioner: the temperature of its word probabilities, and the confidence of its captions."""

from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import read_json

FILE = "calibration.json"  # inside the checkpoint folder
FIT_COMMAND = "vislang eval calibration --fit --model DIR"


@dataclass(frozen=True)
class Calibration:
    """How probabilities are calibrated.

        word probability = softmax(log p / temperature)        p the mean probability of the ensemble
        confidence = sigmoid(bias + log_prob_weight * mean log-probability of the words + cosine_weight * cosine)

    References: Guo et al. 2017, arXiv:1706.04599 (temperature); Platt 1999 (logistic regression of the score).
    """

    temperature: float  # above 0; below 1 sharpens
    bias: float = 0.0
    log_prob_weight: float = 0.0
    cosine_weight: float = 0.0  # of the scorers' cosine of caption and image; 0 without scorers

    def __post_init__(self) -> None:
        """Refuse what is no number, with a TypeError or ValueError."""
        if not (np.isfinite(astuple(self)).all() and self.temperature > 0):
            raise ValueError(f"got {self}, expected finite numbers, the temperature above 0")

    def confidence(self, mean_log_prob: float, cosine: float) -> float:
        """Compute the confidence of a caption, 0 to 1, to four digits."""
        score = self.bias + self.log_prob_weight * mean_log_prob + self.cosine_weight * cosine
        return round(float(np.exp(-np.logaddexp(0.0, -score))), 4)


def read_calibration(folder: Path) -> Calibration | None:
    """Read the calibration of a checkpoint; None where there is none, as before the end of a training.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FILE
    next_step = f"delete it and run: {FIT_COMMAND}"
    if not path.is_file():
        return None
    try:
        return Calibration(**read_json(path, "calibration", next_step))
    except (DataError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is no calibration ({error}); {next_step}") from error
