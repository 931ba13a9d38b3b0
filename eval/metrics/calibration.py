"""Calibration of probabilities: whether predictions of a confidence are right as often as it says.

References: Guo et al. 2017, arXiv:1706.04599.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float  # mean, 0 to 1
    accuracy: float  # share of them that is right, 0 to 1


def reliability_bins(confidences: np.ndarray, correct: np.ndarray) -> list[ReliabilityBin]:
    """Sort predictions into NUM_BINS intervals of equal width; those without predictions are left out.

    Args:
        confidences: float [N], 0 to 1.
        correct: bool [N], whether each prediction is right.
    """
    confidences = np.asarray(confidences, np.float64)
    index = np.clip(np.ceil(confidences * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    bins = []
    for number in np.unique(index):
        inside = index == number
        bins.append(
            ReliabilityBin(
                low=float(number / NUM_BINS),
                high=float((number + 1) / NUM_BINS),
                count=int(inside.sum()),
                confidence=float(confidences[inside].mean()),
                accuracy=float(np.mean(correct[inside])),
            )
        )
    return bins


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Compute the mean of |accuracy - confidence| over all predictions, 0 (best) to 1; NaN without predictions."""
    if not bins:
        return float("nan")
    gaps = [abs(one.accuracy - one.confidence) for one in bins]
    return float(np.average(gaps, weights=[one.count for one in bins]))
