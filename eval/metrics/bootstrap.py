"""Bootstrap over images: 95 % intervals of retrieval metrics, for one run and for the difference of two.

Images are resampled with all their captions, since captions of one image are not independent. The ranks stay: the
interval is over queries, not over collections.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import METRICS, RECALLS, retrieval_metrics
from vislang.core.errors import EvalError
from vislang.core.seeds import stream

RESAMPLES = 1000


@dataclass(frozen=True)
class Difference:
    """How far run B is from run A on one metric: `b - a`, its 95 % interval, and the two-sided p-value, 0..1."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_intervals(
    runs: Sequence[Sequence[Ranks]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of each metric, averaged over runs that ranked the same images.

    `runs` holds, for each training seed, the ranks of its folds.

    Raises:
        EvalError: no runs, runs over other images, or less than 40 resamples.
    """
    if not runs:
        raise EvalError("got no runs, expected the ranks of at least one")
    for run in runs[1:]:
        _require_same_queries(runs[0], run)
    return percentile_intervals([resampled_metrics(run, resamples=resamples, seed=seed) for run in runs])


def paired_comparison(
    ranks_a: Sequence[Ranks], ranks_b: Sequence[Ranks], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Compare two runs that ranked the same images and captions, from the ranks of their folds, on the same draws.

    The smallest p-value is 2 / (resamples + 1).

    Raises:
        EvalError: the runs did not rank the same images and captions, or less than 40 resamples.
    """
    _require_same_queries(ranks_a, ranks_b)
    a = retrieval_metrics(ranks_a).to_json()
    b = retrieval_metrics(ranks_b).to_json()
    drawn_a = resampled_metrics(ranks_a, resamples=resamples, seed=seed)
    drawn_b = resampled_metrics(ranks_b, resamples=resamples, seed=seed)
    return {name: paired_difference(a[name], b[name], drawn_b[name] - drawn_a[name]) for name in METRICS}


def paired_difference(a: float, b: float, resampled: NDArray[np.float64]) -> Difference:
    """Compare one metric of two runs; `resampled` is float64 [resamples], b - a on the same draws."""
    tail = 1 + min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    p_value = min(1.0, float(2 * tail) / (len(resampled) + 1))
    return Difference(a, b, b - a, *percentile_interval(resampled), p_value)


def difference_lines(a: str, b: str, differences: Mapping[str, Difference], digits: int = 3) -> list[str]:
    """Format the comparison of two runs, of which `a` and `b` are the names, as a plain table."""
    lines = [f"A = {a}", f"B = {b}", f"{'metric':<10}{'A':>9}{'B':>9}{'B - A':>9}   95 % interval        p"]
    for name, one in differences.items():
        interval = f"[{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
        line = f"{name:<10}{one.a:>9.{digits}f}{one.b:>9.{digits}f}{one.difference:>+9.{digits}f}"
        lines.append(f"{line}   {interval:<19}{one.p_value:>7.4f}")
    return lines


def resampled_metrics(
    folds: Sequence[Ranks], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Compute every metric, float64 [resamples], on many draws of the images, with replacement, inside each fold.

    The draws depend on the seed and on the number of images only, so runs can be paired.

    Raises:
        EvalError: less than 40 resamples.
    """
    require_resamples(resamples)
    totals = {name: np.zeros(resamples) for name in METRICS}
    for index, fold in enumerate(folds):
        num_images = len(fold.image_to_text)
        random = stream(seed, "bootstrap", index, num_images)
        directions = (
            ("i2t", fold.image_to_text, np.arange(num_images)),
            ("t2i", fold.text_to_image, fold.image_of_caption),
        )
        image_sums = {name: _sums_by_image(ranks, owners, num_images) for name, ranks, owners in directions}
        for draw in range(resamples):
            times_drawn = np.bincount(random.integers(num_images, size=num_images), minlength=num_images)  # [N]
            for direction, ranks, owners in directions:
                queries, *sums = times_drawn @ image_sums[direction]
                for name, total in zip(_MEANS, sums, strict=True):
                    totals[f"{direction}_{name}"][draw] += total / queries
                totals[f"{direction}_medr"][draw] += _weighted_median_rank(ranks, times_drawn[owners])
    for values in totals.values():
        values /= len(folds)
    totals["rsum"] = np.sum([totals[name] for name in RECALLS], axis=0)
    return totals


def mean_interval(values: NDArray[np.float64], *, resamples: int = RESAMPLES) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a mean over images, float [N]; for a difference, pass the differences.

    NaN is left out; None is returned where all are.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    drawn = stream(0, "bootstrap", 0, len(values)).integers(len(values), size=(resamples, len(values)))
    return percentile_interval(values[drawn].mean(axis=1))


_MEANS: dict[str, Callable[[NDArray[np.int64]], NDArray]] = {
    "r1": lambda ranks: 100 * (ranks < 1),
    "r5": lambda ranks: 100 * (ranks < 5),
    "r10": lambda ranks: 100 * (ranks < 10),
    "meanr": lambda ranks: ranks + 1,
    "mrr": lambda ranks: 1 / (ranks + 1),
}


def _sums_by_image(ranks: NDArray[np.int64], owners: NDArray[np.int64], num_images: int) -> NDArray[np.float64]:
    """Return float64 [N, 1 + metrics]: the number of queries of each image, and their sum for each mean in `_MEANS`."""
    sums = [np.bincount(owners, minlength=num_images)]
    for value in _MEANS.values():
        sums.append(np.bincount(owners, weights=value(ranks), minlength=num_images))
    return np.stack(sums, axis=1)


def _weighted_median_rank(ranks: NDArray[np.int64], times: NDArray[np.int64]) -> float:
    """Return floor(median) + 1 of a sample in which ranks[q] occurs times[q] times."""
    up_to = np.cumsum(np.bincount(ranks, weights=times))  # the number of samples of this rank or a better one
    middle = [(up_to[-1] - 1) // 2, up_to[-1] // 2]
    return float(np.floor(np.searchsorted(up_to, middle, side="right").mean()) + 1)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of float64 [resamples]."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def percentile_intervals(runs: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, tuple[float, float]]:
    """Return the interval of the mean over runs of each score that all have, float64 [resamples] on the same draws."""
    intervals = {}
    for name in runs[0]:
        if all(name in run for run in runs):
            intervals[name] = percentile_interval(np.mean([run[name] for run in runs], axis=0))
    return intervals


def require_resamples(resamples: int) -> None:
    """Refuse less than 40 resamples, which have no 2.5 % tail.

    Raises:
        EvalError: too few.
    """
    if resamples < 40:
        raise EvalError(f"got {resamples} resamples, expected at least 40 for a 95 % interval")


def _require_same_queries(ranks_a: Sequence[Ranks], ranks_b: Sequence[Ranks]) -> None:
    if _sizes(ranks_a) != _sizes(ranks_b):
        raise EvalError(
            f"the runs ranked {_sizes(ranks_a)} and {_sizes(ranks_b)}; expected the same images and captions, "
            "rank both with the same data set, split and protocol"
        )
    for a, b in zip(ranks_a, ranks_b, strict=True):
        if not np.array_equal(a.image_of_caption, b.image_of_caption):
            raise EvalError("the runs assign captions to different images; rank both with the same captions file")


def _sizes(folds: Sequence[Ranks]) -> str:
    words = [f"{len(fold.image_to_text)} images x {len(fold.text_to_image)} captions" for fold in folds]
    return " + ".join(words) or "nothing"
