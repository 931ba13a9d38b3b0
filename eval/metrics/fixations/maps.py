"""Maps for the scoring of fixations: resizing, smoothing, centre priors, and maps of fixations.

Smoothing is a product with two small matrices, so that it is exact, the same for maps and for fixations, and cheap.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError, unknown_name

Floats = NDArray[np.float64]
PRIORS = ("none", "multiply", "log-add")


def resize_map(scores: np.ndarray, size: tuple[int, int]) -> Floats:
    """Resize a map [h, w] to (width, height), float64, bilinearly.

    The benchmark's `imresize` is bicubic, and overshoots.

    Raises:
        EvalError: not two dimensions, empty, or a number that is not finite.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.size == 0:
        raise EvalError(f"got a map of shape {list(scores.shape)}, expected [height, width]; average its channels")
    bad = scores.size - int(np.isfinite(scores).sum())
    if bad:
        raise EvalError(
            f"{bad} of {scores.size} numbers of a map are NaN or infinite, expected finite ones; repair the model that"
            " made it, or replace them by the map's smallest number"
        )
    if scores.shape == size[::-1]:
        return scores.astype(np.float64, copy=False)
    from PIL import Image

    grey = Image.fromarray(scores.astype(np.float32))
    return np.asarray(grey.resize(size, Image.Resampling.BILINEAR), np.float64)


def blur_map(scores: Floats, share: float) -> Floats:
    """Smooth a map, float64 [H, W], by a Gaussian; at an edge the weights inside the image are scaled to sum 1.

    `share` is the standard deviation in shares of the width; 0 leaves the map as it is.
    """
    if share <= 0:
        return scores
    height, width = scores.shape
    down = _weights(height, share * width)
    across = _weights(width, share * width)
    return (down @ scores.astype(np.float32) @ across.T).astype(np.float64)


@functools.lru_cache(maxsize=8)
def _weights(length: int, std: float) -> NDArray[np.float32]:
    positions = np.arange(length)
    weights = np.exp(-((positions[:, None] - positions) ** 2) / (2 * std**2))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def fixation_map(pixels: NDArray[np.int64], shape: tuple[int, int], std: float) -> Floats:
    """Return the sum of a Gaussian at each fixation, float64 [height, width], cut at the edges of the image.

    `pixels` are int64 [n, 2], rows and columns; `std` of the Gaussians is in pixels.
    """
    down = _gaussians(shape[0], pixels[:, 0], std)
    across = _gaussians(shape[1], pixels[:, 1], std)
    return down @ across.T


def _gaussians(length: int, centres: NDArray[np.int64], std: float) -> Floats:
    """Return float64 [length, n], one Gaussian a column."""
    return np.exp(-((np.arange(length)[:, None] - centres) ** 2) / (2 * std**2))


def add_prior(scores: Floats, centre: Floats, prior: str) -> Floats:
    """Combine a map, float64 [H, W], with a centre prior above 0.

    "multiply": the map scaled to 0..1, times the prior; "log-add": the standardised map is taken as a log density and
    the logarithm of the prior is added.

    Raises:
        ConfigError: no such prior.
    """
    if prior == "none":
        return scores
    if prior == "multiply":
        return unit_range(scores) * centre
    if prior == "log-add":
        return (scores - scores.mean()) / (scores.std() or 1.0) + np.log(centre)
    raise unknown_name("centre prior", prior, PRIORS)


def unit_range(scores: Floats) -> Floats:
    """Scale a map to 0..1; a constant map becomes 0."""
    low = scores.min()
    high = scores.max()
    if high == low:
        return np.zeros(scores.shape)
    return (scores - low) / (high - low)


def density(scores: Floats) -> Floats:
    """Scale a map to sum 1: a negative minimum is subtracted first, and a map without mass becomes uniform."""
    lifted = scores - min(scores.min(), 0.0)
    total = lifted.sum()
    if total <= 0:
        return np.full(scores.shape, 1 / scores.size)
    return lifted / total
