"""The pointing game and attention correctness of a phrase's map.

A map points at a phrase if its maximum lies in any box of the phrase, edges included; of several equal maxima it is
the one nearest to their mean, so that a constant map points at its centre. Attention correctness is the share of the
map, cut off at 0 and scaled to sum 1, that lies in the union of the boxes. Phrases without a box are left out. Some
papers widen the boxes by 15 pixels: `tolerance`. Concentration is the correctness over the area of the boxes: 1 for a
constant map. A maximum is central if it lies in the middle 4x4 of 10x10 cells.

References: Zhang et al. 2016, arXiv:1608.00507 (pointing game); Liu et al. 2017, arXiv:1605.09553 (correctness).
"""

from dataclasses import dataclass

import numpy as np

from vislang.core.errors import EvalError

MEASURES = ("pointing", "correctness", "concentration", "central")
_CENTRAL = (0.3, 0.7)  # shares of the sides


@dataclass(frozen=True)
class PointedPhrase:
    """The outcome for one phrase of an image's row; `eval.metrics.grounding` averages and compares outcomes."""

    image: int
    kind: str
    pointing: float  # 1 for a hit; of a random point, the probability of one
    correctness: float  # 0..1
    concentration: float  # correctness over the share of the image that the boxes cover
    central: float  # 1 if the maximum lies in the middle of the image; of a random point, the probability
    off_centre: bool  # no box of the phrase holds the middle of the image


def peak(scores: np.ndarray) -> tuple[float, float]:
    """Return the maximum (x, y) of a map [R, C] in shares of its sides, the centre of its cell; see above for ties."""
    rows, columns = np.nonzero(scores == scores.max())
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return (columns[nearest] + 0.5) / scores.shape[1], (rows[nearest] + 0.5) / scores.shape[0]


def score_pointing(
    image: int, kind: str, scores: np.ndarray, boxes: np.ndarray, *, tolerance: float = 0.0
) -> PointedPhrase:
    """Score the map of a phrase, float [R, C] over the whole image.

    `image` is the row of the phrase's image; `boxes` are float [K, 4] in shares of its sides, K >= 1; `tolerance` is
    the share of the sides by which they are widened for pointing.

    Raises:
        EvalError: no box, or a map with no or non-finite numbers.
    """
    if len(boxes) == 0 or scores.size == 0 or not np.isfinite(scores).all():
        raise EvalError(f"got a map {list(scores.shape)} and {len(boxes)} boxes, expected finite numbers and a box")
    x, y = peak(scores)
    wide = boxes + np.array([-tolerance, -tolerance, tolerance, tolerance])
    hit = (wide[:, 0] <= x) & (x <= wide[:, 2]) & (wide[:, 1] <= y) & (y <= wide[:, 3])
    low, high = _CENTRAL
    correctness = attention_correctness(scores, boxes)
    return PointedPhrase(
        image,
        kind,
        pointing=float(hit.any()),
        correctness=correctness,
        concentration=correctness / _area(boxes),
        central=float(low <= x <= high and low <= y <= high),
        off_centre=_is_off_centre(boxes),
    )


def attention_correctness(scores: np.ndarray, boxes: np.ndarray) -> float:
    """Return the share of a map [R, C] that lies in boxes [K, 4]; cells that an edge cuts count by the part inside.

    A map without any positive number counts as constant.
    """
    weights = np.maximum(scores, 0.0)
    if weights.sum() == 0:
        weights = np.ones(scores.shape)
    weights = weights / weights.sum()
    return float((weights * box_coverage(boxes, scores.shape)).sum())


def box_coverage(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return float [R, C], the share of each cell that lies in the union of boxes [K, 4].

    The edges of boxes and cells cut the image into pieces [Y, X], each of them inside or outside as a whole.
    """
    y_cuts = _cuts(boxes[:, (1, 3)], shape[0])
    x_cuts = _cuts(boxes[:, (0, 2)], shape[1])
    y = (y_cuts[1:] + y_cuts[:-1]) / 2
    x = (x_cuts[1:] + x_cuts[:-1]) / 2
    across = (x >= boxes[:, :1]) & (x <= boxes[:, 2:3])  # [K, X]
    down = (y >= boxes[:, 1:2]) & (y <= boxes[:, 3:])  # [K, Y]
    inside = (down[:, :, None] & across[:, None, :]).any(axis=0)  # [Y, X]
    pieces = inside * np.diff(y_cuts)[:, None] * np.diff(x_cuts)[None]
    rows = np.minimum((y * shape[0]).astype(int), shape[0] - 1)
    columns = np.minimum((x * shape[1]).astype(int), shape[1] - 1)
    coverage = np.zeros(shape)
    np.add.at(coverage, (rows[:, None], columns[None]), pieces)
    return coverage * shape[0] * shape[1]


def _cuts(edges: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted edges of boxes [K, 2] and of `count` cells along one side, within 0..1."""
    return np.unique(np.clip(np.concatenate([edges.ravel(), np.linspace(0, 1, count + 1)]), 0, 1))


def random_pointing(image: int, kind: str, boxes: np.ndarray) -> PointedPhrase:
    """Return the expected outcome of a random point and of a constant map: the area of the boxes' union."""
    area = _area(boxes)
    low, high = _CENTRAL
    return PointedPhrase(
        image,
        kind,
        pointing=area,
        correctness=area,
        concentration=1.0,
        central=(high - low) ** 2,
        off_centre=_is_off_centre(boxes),
    )


def _area(boxes: np.ndarray) -> float:
    """Return the share of the image that boxes [K, 4] cover, more than 0."""
    return max(float(box_coverage(boxes, (1, 1))[0, 0]), 1e-6)


def _is_off_centre(boxes: np.ndarray) -> bool:
    left, top, right, bottom = boxes.T
    return not bool(((left <= 0.5) & (right >= 0.5) & (top <= 0.5) & (bottom >= 0.5)).any())


def centre_map(rows: int, columns: int, *, std: float = 0.25) -> np.ndarray:
    """Return a Gaussian around the centre, float [R, C]; `std` is in shares of the sides."""
    y = (np.arange(rows) + 0.5) / rows - 0.5
    x = (np.arange(columns) + 0.5) / columns - 0.5
    return np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * std**2))
