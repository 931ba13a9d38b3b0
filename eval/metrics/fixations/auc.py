"""Areas under the ROC curve of fixated against other pixels, as the MIT benchmark computes them and exactly.

The benchmark's own have coarse thresholds, random negatives and random jitter, and count several fixations on one
pixel once. The exact ones use every threshold (they are the probability that a fixation scores above a negative, ties
counting half) and count each fixation. All are 0 to 1, higher is better, 0.5 is chance and the result of a constant
map; all are NaN without fixations.

Maps are float64 [H, W], fixations int64 [n, 2], rows and columns.

References: cvzoya/saliency, code_forMetrics (AUC_Judd.m, AUC_Borji.m, AUC_shuffled.m); Judd et al. 2009; Borji et al.
    2013; Kuemmerer et al. 2018, arXiv:1704.08615 (why all thresholds and all negatives).
"""

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError

Floats = NDArray[np.float64]
Pixels = NDArray[np.int64]
SPLITS = 100  # draws of negatives
STEP = 0.1  # between thresholds
OTHERS = 10  # images whose fixations are negatives
_JITTER = 1e-7


def pixels_inside(points: Floats, size: tuple[int, int]) -> tuple[Pixels, int]:
    """Convert fixations, float [n, 2], x and y in pixels, to int64 [m, 2], rows and columns.

    `size` is (width, height); x in [0, 1) is the first column. Fixations outside of the image, NaN among them, are
    dropped; the second value is how many.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    inside = ((points >= 0) & (points < size)).all(axis=1)
    return np.floor(points[inside][:, ::-1]).astype(np.int64), int((~inside).sum())


def values_at(scores: Floats, pixels: Pixels) -> Floats:
    """Return float64 [n], a map [H, W] at pixels [n, 2], rows and columns."""
    return scores[pixels[:, 0], pixels[:, 1]]


def roc_auc(positives: Floats, negatives: Floats) -> float:
    """Return the probability that a positive lies above a negative, ties counting half; NaN if either is empty.

    Equal to pysaliency's `general_roc` with all thresholds.

    Raises:
        EvalError: a number that is not finite.
    """
    if not (np.isfinite(positives).all() and np.isfinite(negatives).all()):
        raise EvalError("got NaN or infinite scores, expected finite ones; repair the map that they come from")
    if not len(positives) or not len(negatives):
        return float("nan")
    if len(negatives) < len(positives):
        return _share_above(positives, np.sort(negatives))
    return 1.0 - _share_above(negatives, np.sort(positives))


def _share_above(many: Floats, ordered: Floats) -> float:
    below = np.searchsorted(ordered, many, side="left") + np.searchsorted(ordered, many, side="right")
    return float(below.sum(dtype=np.int64)) / (2 * len(ordered) * len(many))


def auc_judd(scores: Floats, pixels: Pixels, random: np.random.Generator, *, jitter: bool = True) -> float:
    """Return the benchmark's AUC-Judd: thresholds at the fixated pixels, negatives all pixels without a fixation.

    Tied scores make a jump that the trapezoid cuts on one side only, so with `jitter` up to 1e-7 is added to each pixel
    of `scores` first. pysaliency adds normal noise and counts a pixel as often as it was fixated.
    """
    pixels = np.unique(pixels, axis=0)
    count = len(pixels)
    if not count or count == scores.size or scores.min() == scores.max():
        return _constant_auc(count > 0)
    if jitter:
        scores = scores + random.random(scores.shape) * _JITTER
    thresholds = np.sort(values_at(scores, pixels))
    reached = np.searchsorted(thresholds, scores.ravel(), side="right")  # how many thresholds each pixel is not below
    above = np.cumsum(np.bincount(reached, minlength=count + 1)[::-1])[:count]  # highest threshold first
    hits = np.arange(1, count + 1)
    true = hits / count
    false = (above - hits) / (scores.size - count)
    return float(np.trapezoid([0.0, *true, 1.0], [0.0, *false, 1.0]))


def auc_judd_exact(scores: Floats, pixels: Pixels) -> float:
    """Return the area with all pixels without a fixation as negatives: pysaliency's `nonfixations="unfixated"`."""
    free = np.ones(scores.shape, bool)
    free[pixels[:, 0], pixels[:, 1]] = False
    return roc_auc(values_at(scores, pixels), scores[free])


def auc_borji(
    scores: Floats, pixels: Pixels, random: np.random.Generator, *, splits: int = SPLITS, step: float = STEP
) -> float:
    """Return the benchmark's AUC-Borji: as many random pixels as fixations are the negatives, drawn `splits` times.

    Thresholds are `step` apart, from 0 to the largest score; the map is brought to 0..1 first. NaN for fewer than 2
    fixated pixels.
    """
    pixels = np.unique(pixels, axis=0)
    if len(pixels) < 2 or scores.min() == scores.max():
        return _constant_auc(len(pixels) > 1)
    drawn = random.integers(scores.size, size=(splits, len(pixels)))
    return _stepwise(scores, values_at(scores, pixels), scores.ravel()[drawn], step)


def auc_borji_exact(scores: Floats, pixels: Pixels) -> float:
    """Return what AUC-Borji estimates, the area with all pixels as negatives: pysaliency's `nonfixations="uniform"`."""
    return roc_auc(values_at(scores, pixels), scores.ravel())


def auc_shuffled(
    scores: Floats,
    pixels: Pixels,
    others: Pixels,
    random: np.random.Generator,
    *,
    splits: int = SPLITS,
    step: float = STEP,
) -> float:
    """Return the benchmark's shuffled AUC: negatives are pixels that were fixated in other images.

    Of `others`, the fixations of 10 other images in this one's pixels, as many as there are fixations are drawn without
    replacement, or all if there are fewer; each pixel counts once. NaN for fewer than 2 fixated pixels or no others.
    """
    pixels = np.unique(pixels, axis=0)
    others = np.unique(others, axis=0)
    if len(pixels) < 2 or not len(others) or scores.min() == scores.max():
        return _constant_auc(len(pixels) > 1 and len(others) > 0)
    count = min(len(pixels), len(others))
    order = random.random((splits, len(others)))
    drawn = order.argpartition(count - 1, axis=1)[:, :count]
    return _stepwise(scores, values_at(scores, pixels), values_at(scores, others)[drawn], step)


def auc_shuffled_exact(scores: Floats, pixels: Pixels, others: Pixels) -> float:
    """Return the area with every fixation on other images as a negative: pysaliency's `nonfixations="shuffled"`."""
    return roc_auc(values_at(scores, pixels), values_at(scores, others))


def _stepwise(scores: Floats, positives: Floats, negatives: Floats, step: float) -> float:
    """Return the mean over splits of the area with thresholds 0, step, 2 step...; negatives [splits, m].

    Thresholds above the largest score of a split only repeat the corner (0, 0), so all splits share them.
    """
    low = scores.min()
    span = scores.max() - low
    thresholds = np.arange(int(1 / step + 1e-9), -1, -1) * step
    true = ((positives - low) / span >= thresholds[:, None]).mean(axis=1)  # [T]
    false = ((negatives - low) / span >= thresholds[:, None, None]).mean(axis=2)  # [T, splits]
    edge = np.zeros((1, false.shape[1]))
    false = np.concatenate([edge, false, edge + 1])
    return float(np.trapezoid(np.concatenate([[0.0], true, [1.0]])[:, None], false, axis=0).mean())


def _constant_auc(defined: bool) -> float:
    if defined:
        return 0.5
    return float("nan")
