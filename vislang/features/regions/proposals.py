"""PROPOSERS: ways to guess which boxes of a picture hold something, and the few that are kept of each picture."""

from abc import ABC, abstractmethod

import numpy as np
from PIL import Image

from vislang.core.boxes import WHOLE, areas, suppress

MOST = 19  # proposals kept beside the whole picture, as Karpathy and Fei-Fei 2015 do


class Proposer(ABC):
    """A way to guess boxes.

    Attributes:
        name: as it was asked for.
        fingerprint: changes when the boxes might.
        same: intersection over union from which on two of its boxes are one.
    """

    same = 0.5

    def __init__(self, name: str, fingerprint: str):
        self.name = name
        self.fingerprint = fingerprint

    @abstractmethod
    def propose(self, picture: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Guess.

        Args:
            picture: upright RGB, of any size.
            grid: float [H, W, F], its feature map.

        Returns:
            boxes float [K, 4] in shares of the sides, and scores float [K] of 0 to 1.
        """


def choose_regions(boxes: np.ndarray, scores: np.ndarray, *, same: float, most: int = MOST) -> np.ndarray:
    """Keep the whole picture and the best proposals that are not nearly the same.

    Args:
        boxes: float [K, 4] in shares of the sides; what lies outside is cut off.
        scores: float [K].
        same: intersection over union from which on two proposals are one.
        most: proposals kept.

    Returns:
        float32 [1 + most, 5]: box and score; the whole picture first with score 1, the others best first, rows of 0
        where there are not enough.
    """
    boxes = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0.0, 1.0)
    real = areas(boxes) > 0
    boxes = boxes[real]
    scores = np.asarray(scores, np.float32)[real]
    kept = suppress(boxes, scores, threshold=same, limit=most)
    regions = np.zeros((1 + most, 5), np.float32)
    regions[0] = [*WHOLE, 1.0]
    regions[1 : 1 + len(kept)] = np.concatenate([boxes[kept], scores[kept, None]], axis=1)
    return regions
