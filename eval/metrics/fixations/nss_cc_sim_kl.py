"""NSS, CC, SIM, KL divergence and information gain of saliency maps.

Maps are float64 [H, W] of the image's size (`resize_map`), fixations int64 [n, 2] rows and columns (`pixels_inside`),
fixation maps are fixations smoothed by a Gaussian (`fixation_map`). Each fixation counts, even if two are on one
pixel; the benchmark's binary maps count such a pixel once.

References: cvzoya/saliency, code_forMetrics; Bylinskii et al. 2019, arXiv:1604.03605; Kuemmerer et al. 2015 (IG).
"""

import numpy as np
from numpy.typing import NDArray

from eval.metrics.fixations.auc import Pixels, values_at
from eval.metrics.fixations.maps import density, unit_range
from vislang.core.errors import EvalError

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)


def nss(scores: Floats, pixels: Pixels) -> float:
    """Return the mean of the standardised map at the fixations; higher is better, 0 is chance.

    The standard deviation is the sample's, as MATLAB's; pysaliency's is the population's, so its NSS is
    sqrt(N / (N - 1)) times ours, N being the number of pixels. 0 for a constant map, NaN without fixations.
    """
    _require_finite(scores)
    if not len(pixels):
        return float("nan")
    if scores.min() == scores.max():
        return 0.0
    return float((values_at(scores, pixels).mean() - scores.mean()) / scores.std(ddof=1))


def cc(scores: Floats, fixated: Floats) -> float:
    """Return Pearson's correlation of a map with the fixation map, -1 to 1, higher is better.

    0 if either is constant, where a correlation is not defined (pysaliency: 0 if only the first is, else NaN).
    """
    _require_pair(scores, fixated)
    if scores.min() == scores.max() or fixated.min() == fixated.max():
        return 0.0
    ours = scores - scores.mean()
    theirs = fixated - fixated.mean()
    return float((ours * theirs).sum() / np.sqrt((ours**2).sum() * (theirs**2).sum()))


def sim(scores: Floats, fixated: Floats) -> float:
    """Return the similarity of two maps, 0 to 1, higher is better: both are scaled to 0..1, then to sum 1.

    A constant map counts as uniform (the benchmark returns NaN). pysaliency does not scale maps to 0..1, so it agrees
    where both have a 0.
    """
    _require_pair(scores, fixated)
    return float(np.minimum(density(unit_range(scores)), density(unit_range(fixated))).sum())


def kl(scores: Floats, fixated: Floats) -> float:
    """Return the KL divergence of a map from the fixation map in nats, 0 or more, lower is better.

    Both are scaled to sum 1, not to 0..1 first; 2.2e-16 keeps the logarithms finite. Equal to
    pysaliency's `MIT_KLDiv` but for the sixth digit where the map is 0, since that rounds the 2.2e-16.
    """
    _require_pair(scores, fixated)
    ours = density(scores)
    theirs = density(fixated)
    return float((theirs * np.log(EPSILON + theirs / (ours + EPSILON))).sum())


def information_gain(scores: Floats, pixels: Pixels, baseline: Floats) -> float:
    """Return the information gain over a baseline map in bits per fixation; higher is better, NaN without fixations.

    Both are scaled to 0..1, then to sum 1, as in the benchmark: a fixation on the map's lowest pixel costs some 35
    bits, so maps that were not made as densities come out far below 0. pysaliency defines it for densities only.
    """
    _require_pair(scores, baseline)
    if not len(pixels):
        return float("nan")
    ours = values_at(density(unit_range(scores)), pixels)
    theirs = values_at(density(unit_range(baseline)), pixels)
    return float((np.log2(EPSILON + ours) - np.log2(EPSILON + theirs)).mean())


def _require_pair(scores: Floats, other: Floats) -> None:
    if scores.shape != other.shape:
        raise EvalError(
            f"got maps of {list(scores.shape)} and {list(other.shape)}, expected one size; resize the first with"
            " eval.metrics.fixations.maps.resize_map"
        )
    _require_finite(scores)
    _require_finite(other)


def _require_finite(scores: Floats) -> None:
    if not np.isfinite(scores.sum()):
        raise EvalError("a map holds NaN or infinite numbers, expected finite ones; repair the model that made it")
