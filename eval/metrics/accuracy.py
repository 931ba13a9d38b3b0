"""How often networks name the right class, in each domain, and what they take for what.

Letters: S networks that differ in their seed, N pictures, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.bootstrap import mean_interval
from vislang.core.errors import EvalError


def accuracy_summary(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Give the accuracy of networks on the same pictures.

    Args:
        right: bool [S, N], whether each named the class of each picture.

    Returns:
        "pictures" N; "per_seed" and their "mean" in per cent; "deviation" over seeds (None of one); "interval", 95 %
        bootstrap over pictures of the mean over seeds.

    Raises:
        EvalError: no pictures or no networks.
    """
    right = np.asarray(right, np.float64)
    if right.ndim != 2 or not right.size:
        raise EvalError(f"got answers of shape {list(right.shape)}, expected one or more networks and pictures")
    per_seed = 100 * right.mean(axis=1)
    return {
        "pictures": right.shape[1],
        "mean": float(per_seed.mean()),
        "deviation": float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None,
        "per_seed": per_seed.tolist(),
        "interval": _percent(mean_interval(right.mean(axis=0))),
    }


def accuracy_difference(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> dict[str, Any]:
    """Give how far the first networks are ahead of others on the same pictures, drawing the same ones for both.

    Args:
        right: bool [S, N].
        other: bool [T, N].

    Returns:
        "mean" in points and its "interval", as in `accuracy_summary`.

    Raises:
        EvalError: other pictures.
    """
    right, other = np.asarray(right, np.float64), np.asarray(other, np.float64)
    if right.shape[1] != other.shape[1]:
        raise EvalError(f"got answers to {right.shape[1]} and {other.shape[1]} pictures, expected the same ones")
    ahead = right.mean(axis=0) - other.mean(axis=0)
    return {"mean": 100 * float(ahead.mean()), "interval": _percent(mean_interval(ahead))}


def confusion_matrix(truth: Sequence[str], answers: Sequence[Sequence[str]], classes: Sequence[str]) -> list[list[int]]:
    """Count what was taken for what.

    Args:
        truth: the class of each picture.
        answers: of each network, the class that it named for each picture.
        classes: in the order of rows and columns.

    Returns:
        int [C, C]: rows are true classes, columns answers; they sum to S x N.
    """
    places = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for one in answers:
        for true, said in zip(truth, one, strict=True):
            counts[places[true], places[said]] += 1
    return counts.tolist()


def usual_mistakes(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], count: int
) -> list[tuple[str, str, int]]:
    """Give the most frequent mistakes: true class, answer, how often; of equal ones the first in the matrix."""
    found = [
        (true, said, int(confusion[row][column]))
        for row, true in enumerate(classes)
        for column, said in enumerate(classes)
        if row != column and confusion[row][column]
    ]
    return sorted(found, key=lambda one: -one[2])[:count]


def _percent(ends: tuple[float, float] | None) -> list[float]:
    assert ends is not None  # only NaN gives no interval
    return [100 * end for end in ends]
