"""Bounding boxes. A box is (x0, y0, x1, y1), x to the right and y down, in pixels or as shares of the image's sides."""

import numpy as np

WHOLE = (0.0, 0.0, 1.0, 1.0)  # of any image, in shares of its sides


def areas(boxes: np.ndarray) -> np.ndarray:
    """Compute the areas of boxes: float [...] of float [..., 4]; 0 for a box whose corners are swapped."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each pair of boxes: float [N, M] of float [N, 4] and [M, 4]."""
    shared = _shared(boxes, others)
    return _ratio(shared, areas(boxes)[:, None] + areas(others)[None, :] - shared)


def nesting(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the intersection of each pair of boxes over the smaller box: float [N, M] of float [N, 4] and [M, 4]."""
    return _ratio(_shared(boxes, others), np.minimum(areas(boxes)[:, None], areas(others)[None, :]))


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the area that each pair of boxes shares, float [N, M]."""
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return areas(np.concatenate([top_left, bottom_right], axis=-1))


def _ratio(shared: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with 0 where the whole has no area."""
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, *, threshold: float, limit: int) -> np.ndarray:
    """Choose the best boxes by greedy non-maximum suppression: int64 [K], rows of the chosen boxes, the best first.

    Args:
        boxes: float [N, 4].
        scores: float [N], higher is better; of equal ones the earlier comes first.
        threshold: intersection over union with a better box from which on a box is dropped.
        limit: largest number of boxes.
    """
    same = overlaps(boxes, boxes) >= threshold
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if len(kept) == limit:
            break
        if not same[row, kept].any():
            kept.append(int(row))
    return np.array(kept, np.int64)


def contain(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Test whether each box [N, 4] contains each point [M, 2] (x and y), edges included: bool [N, M]."""
    inside = (points[None] >= boxes[:, None, :2]) & (points[None] <= boxes[:, None, 2:])  # [N, M, 2]
    return np.logical_and(inside[..., 0], inside[..., 1])


def centres(boxes: np.ndarray) -> np.ndarray:
    """Return the centres of boxes float [N, 4]: float [N, 2], x and y."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2
