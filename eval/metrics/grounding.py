"""How well phrases find their place in a picture: recall at an overlap, and the pointing game.

A phrase counts as found by a region if their intersection over union is at least 0.5 for any of its true boxes, and as
pointed at if the middle of the region lies in any of them. Phrases without a box take no part. Papers that first merge
the boxes of a phrase into one have other numbers.

References: Plummer et al. 2015 (Flickr30k Entities), arXiv:1505.04870; Zhang et al. 2016 (pointing game),
    arXiv:1608.00507.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vislang.core.boxes import areas, centres, contain, overlaps
from vislang.core.errors import EvalError
from vislang.core.seeds import stream

ENOUGH = 0.5  # intersection over union
PLACES = (1, 5, 10)
MEASURES = ("pointing", "r1", "r5", "r10", "bound", "pointing_bound")
RESAMPLES = 1000


@dataclass(frozen=True)
class Found:
    """What came of one phrase; each number is 0 or 1, or a probability where a method draws at random.

    Attributes:
        image: number of its picture, for intervals over pictures.
        kind: of the phrase, such as "people".
        pointing: the best region's middle lies in a true box.
        r1: the best region overlaps a true box enough.
        r5: one of the best five does.
        r10: one of the best ten does.
        bound: any region does: no order of them could do better.
        pointing_bound: the middle of any region lies in a true box.
    """

    image: int
    kind: str
    pointing: float
    r1: float
    r5: float
    r10: float
    bound: float
    pointing_bound: float


def find(image: int, kind: str, regions: np.ndarray, truth: np.ndarray, *, offered: np.ndarray | None = None) -> Found:
    """Judge an order of regions.

    Args:
        image: see `Found`.
        kind: see `Found`.
        regions: float [R, 4], best first.
        truth: float [K, 4] in the same unit, K >= 1.
        offered: float [R', 4], all that the proposals hold, where the method orders fewer; for the bounds.

    Raises:
        EvalError: no region or no true box.
    """
    over, inside = _judged(regions, truth)
    r1, r5, r10 = (float(over[:place].any()) for place in PLACES)
    any_over, any_inside = (over, inside) if offered is None else _judged(offered, truth)
    return Found(image, kind, float(inside[0]), r1, r5, r10, float(any_over.any()), float(any_inside.any()))


def find_at_random(image: int, kind: str, regions: np.ndarray, truth: np.ndarray) -> Found:
    """Give what a random order of the regions is expected to come to; arguments as for `find`."""
    over, inside = _judged(regions, truth)
    r1, r5, r10 = (_chance(int(over.sum()), len(over), place) for place in PLACES)
    return Found(image, kind, float(inside.mean()), r1, r5, r10, float(over.any()), float(inside.any()))


def find_point(image: int, kind: str, point: tuple[float, float], truth: np.ndarray) -> Found:
    """Judge a method that gives a point and no region; its recalls are 0."""
    return find(image, kind, np.array([[*point, *point]]), truth)


def baseline_orders(regions: np.ndarray) -> dict[str, np.ndarray]:
    """Give the regions as methods would order them that never read the phrase.

    Args:
        regions: float [R, 4], the whole picture first, then by the proposer's score.
    """
    largest = np.argsort(-areas(regions[1:]), kind="stable") + 1
    return {
        "whole image": regions,
        "largest region": regions[largest] if len(largest) else regions,
        "best proposal": np.concatenate([regions[1:], regions[:1]]),
    }


def grounding_metrics(found: Sequence[Any], measures: Sequence[str] = MEASURES) -> dict[str, dict[str, float]]:
    """Average over phrases, in percent, over all ("all") and over each kind; "count" is how many there are.

    Args:
        found: what came of each phrase, of `Found` or of another class with `kind` and the measures.
        measures: which.

    Raises:
        EvalError: no phrases.
    """
    if not found:
        raise EvalError("no phrase has a true box, expected one at least; check the annotations")
    table = np.array([[getattr(one, name) for name in measures] for one in found])
    kinds = np.array([one.kind for one in found])
    rows = {"all": np.ones(len(found), bool), **{kind: kinds == kind for kind in dict.fromkeys(sorted(kinds))}}
    return {
        name: {"count": int(chosen.sum()), **dict(zip(measures, 100 * table[chosen].mean(axis=0), strict=True))}
        for name, chosen in rows.items()
    }


def difference_interval(
    ours: Sequence[Any], other: Sequence[Any], measure: str = "pointing", *, seed: int = 0
) -> tuple[float, float]:
    """Give the 95 % interval, in percent points, of how far one method is ahead; pictures are drawn again.

    Raises:
        EvalError: the two were not asked the same phrases.
    """
    if [(one.image, one.kind) for one in ours] != [(one.image, one.kind) for one in other]:
        raise EvalError("two methods were asked other phrases, so they cannot be compared; run both on one set")
    gains = np.array([getattr(one, measure) - getattr(two, measure) for one, two in zip(ours, other, strict=True)])
    _, images = np.unique([one.image for one in ours], return_inverse=True)
    sums, counts = np.bincount(images, gains), np.bincount(images)
    drawn = stream(seed, "grounding").integers(0, len(sums), (RESAMPLES, len(sums)))
    means = 100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _judged(regions: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give bool [R] twice: which regions overlap a true box enough, and whose middle lies in one."""
    if len(regions) == 0 or len(truth) == 0:
        raise EvalError(f"a phrase has {len(regions)} regions and {len(truth)} true boxes, expected one of each")
    over = np.logical_or.reduce(overlaps(regions, truth) >= ENOUGH, axis=1)
    return over, np.logical_or.reduce(contain(truth, centres(regions)), axis=0)


def _chance(hits: int, total: int, drawn: int) -> float:
    """Give the chance that of `drawn` out of `total`, of which `hits` are good, one at least is good."""
    missed = 1.0
    for number in range(min(drawn, total)):
        missed *= max(total - hits - number, 0) / (total - number)
    return 1.0 - missed
