"""How well a map of a phrase lies on the thing that the phrase names: the pointing game and attention correctness.

The pointing game asks whether the highest point of the map lies in any true box of the phrase, edges included; of
several equal ones it is the one nearest to their middle. Attention correctness is the share of the map, cut off at 0
and brought to sum 1, that lies in the union of the boxes. Phrases without a box take no part. Some papers widen the
boxes by 15 pixels: `tolerance`.

References: Zhang et al. 2016, arXiv:1608.00507 (pointing game); Liu et al. 2017, arXiv:1605.09553 (correctness).
"""

from dataclasses import dataclass

import numpy as np

from vislang.core.errors import EvalError

MEASURES = ("pointing", "correctness")


@dataclass(frozen=True)
class Pointed:
    """What came of one phrase; both measures are 0 to 1. `eval.metrics.grounding` averages and compares them.

    Attributes:
        image: number of its picture, for intervals over pictures.
        kind: of the phrase, such as "people".
        pointing: 1 for a hit; of a random point, the chance of one.
        correctness: see the module.
    """

    image: int
    kind: str
    pointing: float
    correctness: float


def peak(scores: np.ndarray) -> tuple[float, float]:
    """Give the highest point (x, y) of a map [R, C] in shares of its sides, the middle of its cell.

    Of several equal ones it is the one nearest to their mean, so that a map without any peak points at its middle.
    """
    rows, columns = np.nonzero(scores == scores.max())
    middle = rows.mean(), columns.mean()
    nearest = np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)
    return (columns[nearest] + 0.5) / scores.shape[1], (rows[nearest] + 0.5) / scores.shape[0]


def point(image: int, kind: str, scores: np.ndarray, boxes: np.ndarray, *, tolerance: float = 0.0) -> Pointed:
    """Judge a map.

    Args:
        image: see `Pointed`.
        kind: see `Pointed`.
        scores: float [R, C] over the whole picture.
        boxes: float [K, 4] in shares of the picture's sides, K >= 1.
        tolerance: share of the sides by which boxes are widened for pointing.

    Raises:
        EvalError: no box, or a map that holds no number.
    """
    if len(boxes) == 0 or scores.size == 0 or not np.isfinite(scores).all():
        raise EvalError(
            f"a map {list(scores.shape)} and {len(boxes)} boxes were given, expected finite numbers and a box"
        )
    across, down = peak(scores)
    wide = boxes + np.array([-tolerance, -tolerance, tolerance, tolerance])
    hit = (wide[:, 0] <= across) & (across <= wide[:, 2]) & (wide[:, 1] <= down) & (down <= wide[:, 3])
    return Pointed(image, kind, float(hit.any()), correctness(scores, boxes))


def correctness(scores: np.ndarray, boxes: np.ndarray) -> float:
    """Give the share of a map that lies in the boxes; cells that an edge cuts count by the part inside.

    A map without any positive number counts as equal everywhere.
    """
    positive = np.maximum(scores, 0.0)
    total = positive.sum()
    weights = positive / total if total > 0 else np.full(scores.shape, 1.0 / scores.size)
    return float((weights * covered(boxes, scores.shape)).sum())


def covered(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give float [R, C], the share of each cell that lies in the union of boxes [K, 4]."""
    cuts = [
        np.unique(np.clip(np.concatenate([boxes[:, (axis, axis + 2)].ravel(), np.linspace(0, 1, count + 1)]), 0, 1))
        for axis, count in ((0, shape[1]), (1, shape[0]))
    ]
    middles = [(edges[1:] + edges[:-1]) / 2 for edges in cuts]
    across = (middles[0] >= boxes[:, :1]) & (middles[0] <= boxes[:, 2:3])  # [K, X]
    down = (middles[1] >= boxes[:, 1:2]) & (middles[1] <= boxes[:, 3:])  # [K, Y]
    inside = (down[:, :, None] & across[:, None, :]).any(axis=0)  # [Y, X]
    pieces = inside * np.diff(cuts[1])[:, None] * np.diff(cuts[0])[None]
    cells = [
        np.minimum((middle * count).astype(int), count - 1) for middle, count in zip(middles, shape[::-1], strict=True)
    ]
    result = np.zeros(shape)
    np.add.at(result, (cells[1][:, None], cells[0][None]), pieces)
    return result * shape[0] * shape[1]


def point_at_random(image: int, kind: str, boxes: np.ndarray) -> Pointed:
    """Give what a random point, and a map that is equal everywhere, come to: the area of the boxes' union."""
    area = float(covered(boxes, (1, 1))[0, 0])
    return Pointed(image, kind, area, area)


def centre_map(rows: int, columns: int, *, deviation: float = 0.25) -> np.ndarray:
    """Give a Gaussian around the middle, float [R, C]; the deviation is in shares of the sides."""
    down, across = ((np.arange(count) + 0.5) / count - 0.5 for count in (rows, columns))
    return np.exp(-(down[:, None] ** 2 + across[None] ** 2) / (2 * deviation**2))
