"""Accuracy of classifiers and their confusions.

Letters: S networks that differ in their seed, N images, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.metrics.bootstrap import mean_interval
from vislang.core.errors import EvalError


@dataclass(frozen=True)
class Accuracy:
    """Accuracy, 0..100, of S networks: mean over seeds, its 95 % interval over images, and of each network."""

    mean: float
    interval: tuple[float, float]
    per_seed: list[float]


def accuracy(correct: ArrayLike) -> Accuracy:
    """Compute the accuracy of networks on the same images from bool [S, N]: which predictions are right.

    Raises:
        EvalError: no images or no networks.
    """
    correct = np.asarray(correct, np.float64)
    if correct.ndim != 2 or not correct.size:
        raise EvalError(f"got predictions of shape {list(correct.shape)}, expected one or more networks and images")
    per_seed = 100 * correct.mean(axis=1)
    return Accuracy(float(per_seed.mean()), _percent_interval(correct.mean(axis=0)), per_seed.tolist())


def accuracy_gain(correct: ArrayLike, other: ArrayLike) -> tuple[float, tuple[float, float]]:
    """Return the gain, in points, of networks, bool [S, N], over others, bool [T, N], and its paired 95 % interval.

    Raises:
        EvalError: other images.
    """
    correct = np.asarray(correct, np.float64)
    other = np.asarray(other, np.float64)
    if correct.shape[1] != other.shape[1]:
        raise EvalError(f"got predictions of {correct.shape[1]} and {other.shape[1]} images, expected the same ones")
    gain = correct.mean(axis=0) - other.mean(axis=0)
    return 100 * float(gain.mean()), _percent_interval(gain)


def confusion_matrix(
    labels: Sequence[str], predictions: Sequence[Sequence[str]], classes: Sequence[str]
) -> list[list[int]]:
    """Count predictions by true class: int [C, C], rows are true classes; they sum to S x N.

    `labels` are the classes of N images, `predictions` those by each of S networks; `classes` orders rows and columns.
    """
    index = list(classes).index
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for predicted in predictions:
        for label, guess in zip(labels, predicted, strict=True):
            counts[index(label), index(guess)] += 1
    return counts.tolist()


def most_confused(confusion: Sequence[Sequence[int]], classes: Sequence[str], count: int) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes as (true class, prediction, times); equal ones in the matrix's order."""
    mistakes = []
    for row, label in enumerate(classes):
        for column, guess in enumerate(classes):
            if row != column and confusion[row][column]:
                mistakes.append((label, guess, int(confusion[row][column])))
    return sorted(mistakes, key=lambda mistake: -mistake[2])[:count]


def _percent_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    interval = mean_interval(values)
    if interval is None:
        raise EvalError("got NaN for every image, expected numbers")
    return 100 * interval[0], 100 * interval[1]
