"""Boxes in pictures. A box is (x0, y0, x1, y1), x to the right and y down, in pixels or as shares of the sides."""

import numpy as np

WHOLE = (0.0, 0.0, 1.0, 1.0)  # of any picture, in shares of its sides


def areas(boxes: np.ndarray) -> np.ndarray:
    """Give float [N] for [N, 4]; a box turned inside out has none."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def overlaps(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give intersection over union, float [N, M] of 0 to 1, for boxes [N, 4] and [M, 4]; boxes without area get 0."""
    corner = np.maximum(ones[:, None, :2], others[None, :, :2])
    far = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = areas(np.concatenate([corner, far], axis=-1))
    union = areas(ones)[:, None] + areas(others)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, *, threshold: float, most: int) -> np.ndarray:
    """Keep the best boxes that are not nearly the same as a better one (greedy non-maximum suppression).

    Args:
        boxes: float [N, 4].
        scores: float [N]; of equal ones the earlier comes first.
        threshold: intersection over union from which on two boxes are the same.
        most: so many at the end.

    Returns:
        int [K], K <= most, the best first.
    """
    order = np.argsort(-scores, kind="stable")
    same = overlaps(boxes, boxes) >= threshold
    kept: list[int] = []
    for number in order:
        if len(kept) == most:
            break
        if not same[number, kept].any():
            kept.append(int(number))
    return np.array(kept, np.int64)


def hold(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Say bool [N, M] whether each box [N, 4] holds each point [M, 2] (x, y), edges included."""
    inside = (points[None] >= boxes[:, None, :2]) & (points[None] <= boxes[:, None, 2:])  # [N, M, 2]
    return np.logical_and(inside[..., 0], inside[..., 1])


def centres(boxes: np.ndarray) -> np.ndarray:
    """Give the middles (x, y), float [N, 2]."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2
