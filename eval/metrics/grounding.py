"""Phrase grounding: recall at an overlap of 0.5, and the pointing game with the best region.

A region finds a phrase if their intersection over union is at least 0.5 for any of its annotated boxes, and points at
it if its centre lies in any of them. Phrases without a box are left out. Papers that first merge the boxes of a phrase
into one have other numbers.

References: Plummer et al. 2015 (Flickr30k Entities), arXiv:1505.04870; Zhang et al. 2016 (pointing game),
    arXiv:1608.00507.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics.bootstrap import percentile_interval
from vislang.core.boxes import areas, centres, contain, overlaps
from vislang.core.errors import EvalError
from vislang.core.seeds import stream

MIN_OVERLAP = 0.5  # intersection over union
MEASURES = ("pointing", "r1", "r5", "r10", "bound", "pointing_bound")
RESAMPLES = 1000


@dataclass(frozen=True)
class GroundedPhrase:
    """The outcome for one phrase; each measure is 0 or 1, or a probability where a method draws at random."""

    image: int  # row of its image, for intervals over images
    kind: str  # of the phrase, such as "people"
    pointing: float  # the centre of the best region lies in an annotated box
    r1: float  # the best region overlaps an annotated box enough
    r5: float  # one of the best five does
    r10: float  # one of the best ten does
    bound: float  # any region does: the upper bound of every ranking of these regions
    pointing_bound: float  # the centre of any region lies in an annotated box


def ground_phrase(
    image: int, kind: str, regions: np.ndarray, boxes: np.ndarray, *, offered: np.ndarray | None = None
) -> GroundedPhrase:
    """Score a ranking of regions, float [R, 4], best first, against annotated boxes, float [K, 4], K >= 1.

    `image` is the row of the phrase's image; `offered`, float [R', 4], holds all proposals where the method ranks only
    some of them, for the bounds.

    Raises:
        EvalError: no region or no box.
    """
    found, inside = _match(regions, boxes)
    any_found, any_inside = found, inside
    if offered is not None:
        any_found, any_inside = _match(offered, boxes)
    return GroundedPhrase(
        image,
        kind,
        pointing=float(inside[0]),
        r1=float(found[0]),
        r5=float(found[:5].any()),
        r10=float(found[:10].any()),
        bound=float(any_found.any()),
        pointing_bound=float(any_inside.any()),
    )


def ground_at_random(image: int, kind: str, regions: np.ndarray, boxes: np.ndarray) -> GroundedPhrase:
    """Return the expected outcome of a random ranking of the regions; arguments as for `ground_phrase`."""
    found, inside = _match(regions, boxes)
    hits = int(found.sum())
    return GroundedPhrase(
        image,
        kind,
        pointing=float(inside.mean()),
        r1=_hit_probability(hits, len(found), 1),
        r5=_hit_probability(hits, len(found), 5),
        r10=_hit_probability(hits, len(found), 10),
        bound=float(found.any()),
        pointing_bound=float(inside.any()),
    )


def ground_point(image: int, kind: str, point: tuple[float, float], boxes: np.ndarray) -> GroundedPhrase:
    """Score a method that returns a point (x, y) and no region; its recalls are 0."""
    return ground_phrase(image, kind, np.array([[*point, *point]]), boxes)


def baseline_rankings(regions: np.ndarray) -> dict[str, np.ndarray]:
    """Return the regions as methods rank them that do not read the phrase.

    `regions` are float [R, 4], the whole image first, then by the score of the proposals.
    """
    proposals = regions[1:]
    largest = regions
    if len(proposals):
        largest = proposals[np.argsort(-areas(proposals), kind="stable")]
    return {
        "whole image": regions,
        "largest region": largest,
        "best proposal": np.concatenate([proposals, regions[:1]]),
    }


def phrase_metrics(outcomes: Sequence[Any], measures: Sequence[str] = MEASURES) -> dict[str, dict[str, float]]:
    """Average outcomes over all phrases ("all") and over each kind, in per cent; "count" is the number of phrases.

    An outcome is a `GroundedPhrase` or another object with `kind` and the measures, attributes to average.

    Raises:
        EvalError: no phrases.
    """
    if not outcomes:
        raise EvalError("no phrase has a box, expected one at least; check the annotations")
    table = np.stack([_column(outcomes, measure) for measure in measures], axis=1)  # [phrases, measures]
    kinds = _column(outcomes, "kind")
    metrics: dict[str, dict[str, float]] = {}
    for kind in ("all", *np.unique(kinds).tolist()):
        chosen = table
        if kind != "all":
            chosen = table[kinds == kind]
        means = 100 * chosen.mean(axis=0)
        metrics[kind] = {"count": len(chosen), **dict(zip(measures, means.tolist(), strict=True))}
    return metrics


def difference_interval(ours: Sequence[Any], other: Sequence[Any], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval over images, in points, of one method's gain in pointing over another.

    Raises:
        EvalError: the outcomes are of other phrases.
    """
    same = np.array_equal(_column(ours, "image"), _column(other, "image"))
    if not same or not np.array_equal(_column(ours, "kind"), _column(other, "kind")):
        raise EvalError("two methods were scored on other phrases, expected the same ones; run both on one set")
    gains = _column(ours, "pointing") - _column(other, "pointing")
    _, images = np.unique(_column(ours, "image"), return_inverse=True)
    sums = np.bincount(images, gains)
    counts = np.bincount(images)
    drawn = stream(seed, "grounding").integers(0, len(sums), (RESAMPLES, len(sums)))
    means = 100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return percentile_interval(means)


def _column(outcomes: Sequence[Any], measure: str) -> np.ndarray:
    return np.array([getattr(one, measure) for one in outcomes])


def _match(regions: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bool [R] twice: which regions overlap a box enough, and whose centre lies in one."""
    if len(regions) == 0 or len(boxes) == 0:
        raise EvalError(f"a phrase has {len(regions)} regions and {len(boxes)} boxes, expected one of each")
    found = np.any(overlaps(regions, boxes) >= MIN_OVERLAP, axis=1)
    return found, np.any(contain(boxes, centres(regions)), axis=0)


def _hit_probability(hits: int, total: int, drawn: int) -> float:
    """Return the probability that `drawn` of `total`, of which `hits` are hits, contain at least one hit."""
    missed = 1.0
    for number in range(min(drawn, total)):
        missed *= max(total - hits - number, 0) / (total - number)
    return 1.0 - missed
