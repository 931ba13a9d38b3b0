"""How well a map predicts where people looked: NSS, CC, SIM, KL divergence and information gain.

The areas under ROC are in `eval.metrics.fixations.auc`. Maps are float64 [H, W] of the picture's size (`fitted`),
places int64
[n, 2] rows and columns (`places_inside`), people's maps are fixations smoothed by a Gaussian (`people_map`). Each
fixation counts, even if two are on one pixel; the benchmark's binary maps count such a pixel once.

References: cvzoya/saliency, code_forMetrics; Bylinskii et al. 2019, arXiv:1604.03605; Kuemmerer et al. 2015 (IG).
"""

import numpy as np
from numpy.typing import NDArray

from eval.metrics.fixations.auc import Places, values_at
from eval.metrics.fixations.maps import density, unit_range
from vislang.core.errors import EvalError

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)


def nss(scores: Floats, places: Places) -> float:
    """Give the mean at the fixations of the map brought to mean 0 and deviation 1; higher is better, 0 is chance.

    The deviation is the sample's, as MATLAB's; pysaliency's is the population's, so its NSS is sqrt(N / (N - 1)) times
    ours, N being the number of pixels. 0 for a map that is equal everywhere, NaN without fixations.
    """
    _require_finite(scores)
    if not len(places):
        return float("nan")
    if scores.min() == scores.max():
        return 0.0
    return float((values_at(scores, places).mean() - scores.mean()) / scores.std(ddof=1))


def cc(scores: Floats, people: Floats) -> float:
    """Give Pearson's correlation of a map with the people's, -1 to 1, higher is better.

    0 if either is equal everywhere, where a correlation is not defined (pysaliency gives 0 if the first is alone in
    that, else NaN).
    """
    _require_pair(scores, people)
    one, two = scores - scores.mean(), people - people.mean()
    if scores.min() == scores.max() or people.min() == people.max():
        return 0.0
    return float((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()))


def sim(scores: Floats, people: Floats) -> float:
    """Give what two maps share, 0 to 1, higher is better: both are brought to 0..1, then to sum 1.

    A map that is equal everywhere counts as uniform (the benchmark gives NaN). pysaliency does not bring maps to 0..1,
    so it agrees where both have a 0.
    """
    _require_pair(scores, people)
    return float(np.minimum(density(unit_range(scores)), density(unit_range(people))).sum())


def kl(scores: Floats, people: Floats) -> float:
    """Give the divergence of a map from the people's in nats, 0 or more, lower is better.

    Both are brought to sum 1, without bringing them to 0..1 first; 2.2e-16 keeps the logarithms finite. Equal to
    pysaliency's `MIT_KLDiv` but for the sixth digit where the map is 0, since that rounds the 2.2e-16.
    """
    _require_pair(scores, people)
    ours, theirs = density(scores), density(people)
    return float((theirs * np.log(EPSILON + theirs / (ours + EPSILON))).sum())


def information_gain(scores: Floats, places: Places, baseline: Floats) -> float:
    """Give how many bits a fixation a map tells more than a baseline does; higher is better, NaN without fixations.

    Both are brought to 0..1, then to sum 1, as in the benchmark: a fixation on the map's lowest pixel costs some 35
    bits, so maps that were not made as densities come out far below 0. pysaliency defines it for densities only.

    Args:
        scores: float64 [H, W].
        places: int64 [n, 2].
        baseline: float64 [H, W]; which one decides the number, so that there is no default.
    """
    _require_pair(scores, baseline)
    if not len(places):
        return float("nan")
    ours, theirs = (values_at(density(unit_range(one)), places) for one in (scores, baseline))
    return float((np.log2(EPSILON + ours) - np.log2(EPSILON + theirs)).mean())


def _require_pair(scores: Floats, other: Floats) -> None:
    if scores.shape != other.shape:
        raise EvalError(
            f"maps of {list(scores.shape)} and {list(other.shape)} were given, expected one size; bring the first to"
            " the other's with eval.metrics.fixations.maps.fitted"
        )
    _require_finite(scores)
    _require_finite(other)


def _require_finite(scores: Floats) -> None:
    if not np.isfinite(scores.sum()):
        raise EvalError("a map holds NaN or infinite numbers, expected finite ones; mend the model that made it")
