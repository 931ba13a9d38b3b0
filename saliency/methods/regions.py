"""Maps of words from the regions of an image: an aligner says which regions show a word.

A map is the mean of bumps, one for each region, weighted by the probability that the region shows the word.

Letters: T words, R regions.

References: Karpathy and Fei-Fei 2015, arXiv:1412.2306 (products of words and regions).
"""

from collections.abc import Sequence

import numpy as np

from vislang.core.boxes import areas

SIDE = 28  # cells in both directions
_SHARPNESS = 2.0  # of the softmax over regions of products in standard deviations
_SPREAD = 0.3  # standard deviation of a region's bump in shares of its sides


def region_maps(scores: np.ndarray, boxes: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Compute maps, float32 [T, SIDE, SIDE], 0 to 1; those of an empty text, which has no place, are 0.

    Args:
        scores: float [T, R], products and priors in standard deviations over the regions.
        boxes: float [R, 4] in shares of the sides, rows of 0 for padding.
        texts: T of them, "" for words without a place.
    """
    real = areas(boxes) > 0
    shifted = _SHARPNESS * (scores[:, real] - scores[:, real].max(axis=1, keepdims=True))
    chances = np.exp(shifted)
    chances /= chances.sum(axis=1, keepdims=True)
    maps = np.einsum("tr,rij->tij", chances, bumps(boxes[real])).astype(np.float32)
    maps /= maps.max(axis=(1, 2), keepdims=True)
    maps[[not text for text in texts]] = 0.0
    return maps


def bumps(boxes: np.ndarray) -> np.ndarray:
    """Return a Gaussian around the centre of each box, float [R, SIDE, SIDE], of height 1 and in its proportions."""
    centres = (boxes[:, :2] + boxes[:, 2:4]) / 2
    sizes = _SPREAD * (boxes[:, 2:4] - boxes[:, :2])
    places = (np.arange(SIDE) + 0.5) / SIDE
    across, down = (
        np.exp(-0.5 * np.square((places - centres[:, axis, None]) / sizes[:, axis, None])) for axis in (0, 1)
    )
    return down[:, :, None] * across[:, None, :]
