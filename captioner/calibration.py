"""The calibration of a captioner: the temperature of its word probabilities, and the confidence of its captions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from eval.metrics.calibration import ReliabilityBin
from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import read_json

FILE = "calibration.json"  # inside the checkpoint folder
_NEXT = "run: python -m captioner.calibrate"


@dataclass(frozen=True)
class Calibration:
    """How probabilities are calibrated.

        word probability = softmax(log p / temperature)        p the mean probability of the ensemble
        confidence = sigmoid(bias + sum of weight * statistic of the caption)

    Attributes:
        temperature: above 0; below 1 sharpens.
        bias: of the confidence.
        weights: of the statistics of a caption, by their names (`captioner.inference.Written`).
        threshold: captions of at least this confidence, 0 to 1, are trusted.

    References: Guo et al. 2017, arXiv:1706.04599 (temperature); Platt 1999 (logistic regression of the score).
    """

    temperature: float = 1.0
    bias: float = 0.0
    weights: Mapping[str, float] | None = None
    threshold: float = 0.5

    def confidence(self, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the confidence of captions, float64 0 to 1, of the shape of each statistic."""
        score: np.ndarray | float = self.bias
        for name, weight in (self.weights or {}).items():
            score = score + weight * statistics[name]
        return expit(score)


@dataclass(frozen=True)
class CalibrationScores:
    """How well probabilities are calibrated on one split.

    Words are those of the human captions, end marks included, each predicted from the words before it; a prediction is
    right where the most probable word is the next one. A caption is good where its CIDEr-D is above the median of the
    split.

    Attributes:
        num_words: predictions.
        ece_before: expected calibration error of the words at temperature 1, 0 to 1.
        ece: the same at the fitted temperature.
        bins: reliability of the words at the fitted temperature.
        num_captions: captions written, one for each image.
        auc: of "confidence" and of each statistic: the probability that a good caption has more of it than another;
            empty where no caption is good.
        num_trusted: captions that are trusted.
        good_trusted: good captions among them.
        good_others: good captions among the others.
    """

    num_words: int
    ece_before: float
    ece: float
    bins: tuple[ReliabilityBin, ...]
    num_captions: int
    auc: dict[str, float]
    num_trusted: int
    good_trusted: int
    good_others: int


def read_calibration(folder: Path) -> Calibration | None:
    """Read the calibration of a checkpoint; None where there is none, as before the end of a training.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        values = read_json(path, "calibration", _NEXT)
        weights = {name: float(weight) for name, weight in values["weights"].items()}
        calibration = Calibration(
            float(values["temperature"]), float(values["bias"]), weights, float(values["threshold"])
        )
    except (AttributeError, DataError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no calibration ({error}); {_NEXT}") from error
    numbers = [calibration.temperature, calibration.bias, calibration.threshold, *weights.values()]
    if not (np.isfinite(numbers).all() and calibration.temperature > 0):
        raise CheckpointError(f"{path} holds {numbers}, expected finite numbers, the temperature above 0; {_NEXT}")
    return calibration
