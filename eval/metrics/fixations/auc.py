"""How well a map tells looked-at places from others: areas under the ROC curve, as the MIT benchmark's and exactly.

The benchmark's own have coarse thresholds, random negatives and random jitter, and count several fixations on one
pixel once. The exact ones use every threshold (they are the chance that a fixation lies higher than a negative, ties
counting half) and count each fixation. All are 0 to 1, higher is better, 0.5 is chance and the result of a map that is
equal everywhere; all are NaN without fixations.

References: cvzoya/saliency, code_forMetrics (AUC_Judd.m, AUC_Borji.m, AUC_shuffled.m); Judd et al. 2009; Borji et al.
    2013; Kuemmerer et al. 2018, arXiv:1704.08615 (why all thresholds and all negatives).
"""

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
SPLITS, STEP, OTHERS = 100, 0.1, 10
_JITTER = 1e-7


def places_inside(points: Floats, size: tuple[int, int]) -> tuple[Places, int]:
    """Turn fixations into pixels; those outside of the picture are dropped and counted.

    Args:
        points: float [n, 2], x and y in pixels; x in [0, 1) is the first column.
        size: (width, height).

    Returns:
        int64 [m, 2], rows and columns, and how many were dropped, NaN among them.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    inside = ((points >= 0) & (points < size)).all(axis=1)
    return np.floor(points[inside][:, ::-1]).astype(np.int64), int((~inside).sum())


def values_at(scores: Floats, places: Places) -> Floats:
    """Give the numbers of a map [H, W] at places [n, 2], rows and columns."""
    return scores[places[:, 0], places[:, 1]]


def area(positives: Floats, negatives: Floats) -> float:
    """Give the chance that a positive lies above a negative, ties counting half; NaN if one of the two is empty.

    Equal to pysaliency's `general_roc` with all thresholds.

    Raises:
        EvalError: a number that is not finite.
    """
    if not (np.isfinite(positives).all() and np.isfinite(negatives).all()):
        raise EvalError("NaN or infinite scores were given, expected finite ones; mend the map that they come from")
    if not len(positives) or not len(negatives):
        return float("nan")
    turned = len(negatives) < len(positives)
    few, many = (np.sort(negatives), positives) if turned else (np.sort(positives), negatives)
    below = np.searchsorted(few, many, side="left") + np.searchsorted(few, many, side="right")
    share = float(below.sum(dtype=np.int64)) / (2 * len(few) * len(many))  # of the many above the few
    return share if turned else 1.0 - share


def auc_judd(scores: Floats, places: Places, random: np.random.Generator, *, jitter: bool = True) -> float:
    """Give the benchmark's AUC-Judd: thresholds at the fixated pixels, negatives all pixels without a fixation.

    Tied scores make a jump that the trapezoid cuts on one side only, so up to 1e-7 is added to each pixel first.
    pysaliency adds normal noise and counts a pixel as often as it was looked at.

    Args:
        scores: float64 [H, W].
        places: int64 [n, 2], rows and columns.
        random: for the jitter.
        jitter: whether to add it.
    """
    places = np.unique(places, axis=0)
    count = len(places)
    if not count or count == scores.size or scores.min() == scores.max():
        return _without_choice(count)
    if jitter:
        scores = scores + random.random(scores.shape) * _JITTER
    thresholds = np.sort(values_at(scores, places))
    reached = np.searchsorted(thresholds, scores.ravel(), side="right")  # how many thresholds each pixel is not below
    above = np.cumsum(np.bincount(reached, minlength=count + 1)[::-1])[:count]  # highest threshold first
    hits = np.arange(1, count + 1)
    true, false = hits / count, (above - hits) / (scores.size - count)
    return float(np.trapezoid([0.0, *true, 1.0], [0.0, *false, 1.0]))


def auc_judd_exact(scores: Floats, places: Places) -> float:
    """Give the area with all pixels without a fixation as negatives: pysaliency's `nonfixations="unfixated"`."""
    free = np.ones(scores.shape, bool)
    free[places[:, 0], places[:, 1]] = False
    return area(values_at(scores, places), scores[free])


def auc_borji(
    scores: Floats, places: Places, random: np.random.Generator, *, splits: int = SPLITS, step: float = STEP
) -> float:
    """Give the benchmark's AUC-Borji: as many random pixels as fixations are the negatives, again and again.

    Args:
        scores: float64 [H, W].
        places: int64 [n, 2]; NaN for fewer than 2 pixels.
        random: for the negatives.
        splits: how often they are drawn.
        step: between thresholds, from 0 to the largest score; the map is brought to 0..1 first.
    """
    places = np.unique(places, axis=0)
    if len(places) < 2 or scores.min() == scores.max():
        return _without_choice(len(places) if len(places) > 1 else 0)
    drawn = random.integers(scores.size, size=(splits, len(places)))
    return _stepwise(scores, values_at(scores, places), scores.ravel()[drawn], step)


def auc_borji_exact(scores: Floats, places: Places) -> float:
    """Give what AUC-Borji estimates, the area with all pixels as negatives: pysaliency's `nonfixations="uniform"`."""
    return area(values_at(scores, places), scores.ravel())


def auc_shuffled(
    scores: Floats,
    places: Places,
    others: Places,
    random: np.random.Generator,
    *,
    splits: int = SPLITS,
    step: float = STEP,
) -> float:
    """Give the benchmark's shuffled AUC: negatives are pixels that people looked at in other pictures.

    Args:
        scores: float64 [H, W].
        places: int64 [n, 2]; NaN for fewer than 2 pixels.
        others: int64 [m, 2], fixations of 10 other pictures in this one's pixels; each pixel counts once. As many as
            there are fixations are drawn without replacement, or all if there are fewer; NaN if there are none.
        random: for the draws.
        splits: how often they are drawn.
        step: see `auc_borji`.
    """
    places, others = np.unique(places, axis=0), np.unique(others, axis=0)
    if len(places) < 2 or not len(others) or scores.min() == scores.max():
        return _without_choice(len(places) if len(places) > 1 and len(others) else 0)
    count = min(len(places), len(others))
    order = random.random((splits, len(others)))
    drawn = order.argpartition(count - 1, axis=1)[:, :count]
    return _stepwise(scores, values_at(scores, places), values_at(scores, others)[drawn], step)


def auc_shuffled_exact(scores: Floats, places: Places, others: Places) -> float:
    """Give the area with every fixation on other pictures as a negative: pysaliency's `nonfixations="shuffled"`."""
    return area(values_at(scores, places), values_at(scores, others))


def _stepwise(scores: Floats, positives: Floats, negatives: Floats, step: float) -> float:
    """Give the mean over splits of the area with thresholds 0, step, 2 step...; negatives [splits, m].

    Thresholds above the largest score of a split only repeat the corner (0, 0), so all splits share them.
    """
    low, high = scores.min(), scores.max()
    thresholds = np.arange(int(1 / step + 1e-9), -1, -1) * step
    true = ((positives - low) / (high - low) >= thresholds[:, None]).mean(axis=1)  # [T]
    false = ((negatives - low) / (high - low) >= thresholds[:, None, None]).mean(axis=2)  # [T, splits]
    edge = np.zeros((1, false.shape[1]))
    false = np.concatenate([edge, false, edge + 1])
    return float(np.trapezoid(np.concatenate([[0.0], true, [1.0]])[:, None], false, axis=0).mean())


def _without_choice(count: int) -> float:
    return 0.5 if count else float("nan")
