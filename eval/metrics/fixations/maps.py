"""Maps for the scoring of fixations: brought to a picture's size, smoothed, multiplied by a prior, made of fixations.

Smoothing is a product with two small matrices, so that it is exact, the same for maps and for fixations, and cheap.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError

Floats = NDArray[np.float64]
PRIORS = ("none", "multiply", "log-add")


def fitted(scores: np.ndarray, size: tuple[int, int]) -> Floats:
    """Bring a map to the size of a picture, bilinearly (the benchmark's `imresize` is bicubic, and overshoots).

    Args:
        scores: float or integer [h, w], higher where people are expected to look.
        size: (width, height) in pixels.

    Returns:
        float64 [height, width].

    Raises:
        EvalError: not two dimensions, empty, or a number that is not finite.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.size == 0:
        raise EvalError(
            f"a map of shape {list(scores.shape)} was given, expected [height, width]; average its channels"
        )
    bad = scores.size - int(np.isfinite(scores).sum())
    if bad:
        raise EvalError(
            f"{bad} of {scores.size} numbers of a map are NaN or infinite, expected finite ones; mend the model that"
            " made it, or replace them by the map's smallest number"
        )
    if scores.shape == size[::-1]:
        return scores.astype(np.float64, copy=False)
    from PIL import Image

    picture = Image.fromarray(scores.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float64)


def blurred(scores: Floats, share: float) -> Floats:
    """Smooth a map by a Gaussian; at an edge the weights inside of the picture are scaled to sum 1.

    Args:
        scores: float64 [H, W].
        share: its deviation in shares of the width; 0 leaves the map as it is.
    """
    if share <= 0:
        return scores
    height, width = scores.shape
    down, across = _weights(height, share * width), _weights(width, share * width)
    return (down @ scores.astype(np.float32) @ across.T).astype(np.float64)


@functools.lru_cache(maxsize=8)
def _weights(length: int, deviation: float) -> NDArray[np.float32]:
    places = np.arange(length)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def people_map(places: NDArray[np.int64], shape: tuple[int, int], deviation: float) -> Floats:
    """Give the sum of a Gaussian at each fixation, cut at the edges of the picture.

    Args:
        places: int64 [n, 2], rows and columns.
        shape: (height, width).
        deviation: of the Gaussians, in pixels.

    Returns:
        float64 [height, width]; all 0 without fixations.
    """
    down, across = (
        np.exp(-((np.arange(length)[:, None] - places[:, axis]) ** 2) / (2 * deviation**2))
        for axis, length in enumerate(shape)
    )
    return down @ across.T


def with_prior(scores: Floats, centre: Floats, prior: str) -> Floats:
    """Bring a centre prior into a map.

    Args:
        scores: float64 [H, W].
        centre: float64 [H, W], above 0.
        prior: "none"; "multiply": the map brought to 0..1, times the prior; "log-add": the map, standardised, is taken
            for a log density and the logarithm of the prior is added.

    Raises:
        EvalError: no such prior.
    """
    if prior == "none":
        return scores
    if prior == "multiply":
        return unit_range(scores) * centre
    if prior == "log-add":
        return (scores - scores.mean()) / (scores.std() or 1.0) + np.log(centre)
    raise EvalError(f"centre prior {prior!r} is not known, expected one of {', '.join(PRIORS)}")


def unit_range(scores: Floats) -> Floats:
    """Bring a map to 0..1; one that is equal everywhere becomes 0."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros(scores.shape)


def density(scores: Floats) -> Floats:
    """Bring a map to sum 1; below 0 it is lifted by its smallest number, and one without any mass becomes uniform."""
    lifted = scores - min(scores.min(), 0.0)
    total = lifted.sum()
    return lifted / total if total > 0 else np.full(scores.shape, 1 / scores.size)
