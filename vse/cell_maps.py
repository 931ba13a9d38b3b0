"""Scores of cells as maps."""

import numpy as np
from scipy import ndimage

_BLUR = 0.05  # standard deviation in shares of the sides; chosen on dev


def smooth_cells(scores: np.ndarray) -> np.ndarray:
    """Smooth float [..., R, C] over the cells by a Gaussian, borders repeated: float32."""
    rows, columns = scores.shape[-2:]
    sigmas = (0.0,) * (scores.ndim - 2) + (_BLUR * rows, _BLUR * columns)
    return ndimage.gaussian_filter(np.asarray(scores, np.float32), sigmas, mode="nearest")
