"""Maps from losses, step by step as in the original, with its constants.

Letters: F frames (1 for an image), T words, R x C cells; the original's code keeps the cells in one axis.

References: Ramanishka et al. 2017, arXiv:1612.07360; the order of the steps and the constants are those of its code.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image
from scipy import ndimage

BLUR = (2.0, 1.0, 1.0)  # standard deviations along frames, rows and columns
SIDE = 300  # pixels of a drawing
_ENLARGED = 360


def smoothed_in_time(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Average each frame's features with those before and after it, mirrored at both ends; one frame of delay."""
    before = current = None
    for following in frames:
        if current is not None:
            yield (before + current + following) / 3
        before = current
        if current is None:
            before = following
        current = following
    if current is not None:
        yield (before + 2 * current) / 3


def normalised_over_time(scores: np.ndarray) -> np.ndarray:
    """Scale each word's scores to 0 to 1 over frames and cells (0 if constant), subtract their mean, clip at 0.

    Args:
        scores: float [F, T, R, C], log q.
    """
    within = (0, 2, 3)
    unit = _unit(scores, within)
    return np.clip(unit - unit.mean(axis=within, keepdims=True), 0.0, 1.0)


def normalised_over_sentence(scores: np.ndarray) -> np.ndarray:
    """Scale each frame's scores to 0 to 1 over its words and cells; constant scores, where the original divides by 0,
    become 0.
    """
    return _unit(scores, (1, 2, 3))


def blurred(scores: np.ndarray) -> np.ndarray:
    """Smooth each word's scores along frames, rows and columns."""
    frames, rows, columns = BLUR
    return ndimage.gaussian_filter(scores, sigma=(frames, 0.0, rows, columns))


def original_maps(losses: np.ndarray) -> np.ndarray:
    """Return the maps of the original, float [F, T, R, C], for losses of that shape."""
    return blurred(normalised_over_sentence(normalised_over_time(-np.asarray(losses, np.float64))))


def rendered(scores: np.ndarray) -> np.ndarray:
    """Enlarge one map as the original does, uint8 [300, 300].

    It is padded by one cell of its minimum and enlarged twice, of which the middle is kept. Cells are then 36 pixels
    wide, not 300 / 8, with a margin of 6 pixels.

    Args:
        scores: float [8, 8], 0 to 1.
    """
    padded = np.pad(scores, 1, constant_values=scores.min())
    image = Image.fromarray((255 * padded).astype(np.uint8))
    for side in (SIDE, _ENLARGED):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    margin = (_ENLARGED - SIDE) // 2
    return np.asarray(image.crop((margin, margin, margin + SIDE, margin + SIDE)))


def _unit(scores: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    low = scores.min(axis=axes, keepdims=True)
    high = scores.max(axis=axes, keepdims=True)
    return np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)
