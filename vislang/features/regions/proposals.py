"""Proposals: boxes of an image that may hold an object, and the few that are kept."""

from abc import ABC, abstractmethod

import numpy as np
from PIL import Image

from vislang.core.boxes import WHOLE, areas, suppress

MOST = 19  # proposals kept beside the whole image, as Karpathy and Fei-Fei 2015 do


class Proposer(ABC):
    """A method of proposing boxes.

    Attributes:
        name: as the user wrote it.
        fingerprint: changes when the boxes might.
        same: intersection over union from which on two of its boxes are one.
    """

    same = 0.5

    def __init__(self, name: str, fingerprint: str):
        self.name = name
        self.fingerprint = fingerprint

    @abstractmethod
    def propose(self, image: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Propose boxes for an upright RGB image with feature map float [H, W, F].

        Returns:
            boxes float [K, 4] in shares of the sides, and scores float [K] of 0 to 1.
        """


def choose_regions(boxes: np.ndarray, scores: np.ndarray, *, same: float) -> np.ndarray:
    """Keep the whole image and the best proposals that are not nearly the same.

    Args:
        boxes: float [K, 4] in shares of the sides; clipped to the image.
        scores: float [K].
        same: intersection over union from which on two proposals are one.

    Returns:
        float32 [1 + MOST, 5]: box and score; the whole image first with score 1, the others best first, rows of 0 where
        there are not enough.
    """
    boxes = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0.0, 1.0)
    real = areas(boxes) > 0
    boxes = boxes[real]
    scores = np.asarray(scores, np.float32)[real]
    kept = suppress(boxes, scores, threshold=same, limit=MOST)
    regions = np.zeros((1 + MOST, 5), np.float32)
    regions[0] = [*WHOLE, 1.0]
    regions[1 : 1 + len(kept)] = np.concatenate([boxes[kept], scores[kept, None]], axis=1)
    return regions
