"""Objectives on the features of one tap: invert them, make them large, exaggerate them.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 (`Standardised`).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from preimage.optimization.terms import Seen, Tensor, Term
from vislang.core.errors import ConfigError


class Inversion(Term):
    """sum(mask (f - f0)^2) / sum(mask f0^2): 0 when a picture has the target's features.

    Args:
        tap: whose features.
        target: float [B, ...], f0.
        mask: float, of the shape of one picture's features or one that broadcasts to it; None: all count.

    Raises:
        ConfigError: a target that is 0 wherever it counts.
    """

    def __init__(self, tap: str, target: np.ndarray, mask: np.ndarray | None = None):
        target = np.asarray(target, np.float32)
        mask = np.ones(1, np.float32) if mask is None else np.asarray(mask, np.float32)
        norms = np.square(target, dtype=np.float64) * mask
        norms = norms.reshape(len(target), -1).sum(axis=1).astype(np.float32)
        if not np.all(norms > 0):
            raise ConfigError(
                f"the features at {tap} are all 0 for picture {int(np.argmin(norms))}, which no error can be relative"
                " to; choose another layer, or one before its ReLU: pre:LAYER"
            )
        self.taps, self.mask = (tap,), mask
        self.arrays = (target, norms)

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        target, norms = arrays
        return per_picture(self.mask * ops.square(seen.features[self.taps[0]] - target)) / norms


class Standardised(Term):
    """mean(((f - f0) / deviation)^2), each unit in its own deviation over natural pictures.

    Args:
        tap: whose features.
        target: float [B, ...], f0.
        deviation: float, of the shape of one picture's features; None: that of each target over its units.
    """

    def __init__(self, tap: str, target: np.ndarray, deviation: np.ndarray | None = None):
        target = np.asarray(target, np.float32)
        if deviation is None:
            deviation = target.reshape(len(target), -1).std(axis=1).reshape(-1, *[1] * (target.ndim - 1))
        if not np.all(np.asarray(deviation) > 0):
            raise ConfigError(f"a deviation at {tap} is not above 0; choose another layer")
        spread = np.array(np.broadcast_to(np.asarray(deviation, np.float32), target.shape))
        self.taps, self.arrays, self.count = (tap,), (target, spread), float(np.prod(target.shape[1:]))

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        target, deviation = arrays
        return per_picture(ops.square((seen.features[self.taps[0]] - target) / deviation)) / self.count


class Activation(Term):
    """-<f, direction>: the lower, the more of the direction is in the features.

    Args:
        tap: whose features.
        direction: float [B, ...].
    """

    def __init__(self, tap: str, direction: np.ndarray):
        self.taps, self.arrays = (tap,), (np.asarray(direction, np.float32),)

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        return -per_picture(seen.features[self.taps[0]] * arrays[0])


def caricature(tap: str, features: np.ndarray) -> Activation:
    """Exaggerate what a picture has: the direction is max(f0, 0) / ||max(f0, 0)||^2, so that the loss starts at -1.

    Args:
        tap: whose features.
        features: float [B, ...], f0.

    Raises:
        ConfigError: features without a positive number.
    """
    positive = np.maximum(np.asarray(features, np.float32), 0)
    norms = np.square(positive).reshape(len(positive), -1).sum(axis=1)
    if not np.all(norms > 0):
        raise ConfigError(f"no feature at {tap} is above 0 for picture {int(np.argmin(norms))}; choose another layer")
    return Activation(tap, positive / norms.reshape(-1, *[1] * (positive.ndim - 1)))


def unit_directions(shape: tuple[int, ...], channels: Sequence[int], *, whole: bool = False) -> np.ndarray:
    """Give one direction for each channel: of its middle unit, or of its mean.

    Args:
        shape: of one picture's features, [units] or [h, w, C].
        channels: numbers of channels, units or classes.
        whole: take the mean over the map instead of the unit in its middle.

    Returns:
        float32 [B, *shape]; the numbers of each direction sum to 1.

    Raises:
        ConfigError: a number that the layer does not have.
    """
    directions = np.zeros((len(channels), *shape), np.float32)
    for row, channel in zip(directions, channels, strict=True):
        if not 0 <= channel < shape[-1]:
            raise ConfigError(f"got channel {channel}, expected 0 to {shape[-1] - 1}")
        if len(shape) == 1:
            row[channel] = 1.0
        elif whole:
            row[..., channel] = 1.0 / np.prod(shape[:-1])
        else:
            row[(*(side // 2 for side in shape[:-1]), channel)] = 1.0
    return directions


def activation_weight(field: int, largest: np.ndarray) -> np.ndarray:
    """Give (100^2 / field^2) / M, which brings filters of all depths to one scale.

    Args:
        field: side of the receptive field in pixels.
        largest: float [B], M, the largest response of each channel to natural pictures.
    """
    return np.asarray((100.0 / field) ** 2 / np.maximum(largest, 1e-6), np.float32)


def central_cells(shape: tuple[int, ...], side: int = 5) -> np.ndarray:
    """Give a mask float32 [h, w, 1] of the middle side x side cells."""
    mask = np.zeros((*shape[:2], 1), np.float32)
    top, left = max(0, (shape[0] - side) // 2), max(0, (shape[1] - side) // 2)
    mask[top : top + side, left : left + side] = 1.0
    return mask


def channel_half(channels: int, half: int) -> np.ndarray:
    """Give a mask float32 [channels] of the first half (1) or the second (2), as of a network in two groups."""
    if half not in (1, 2):
        raise ConfigError(f"got half {half}, expected 1 or 2")
    mask = np.zeros(channels, np.float32)
    middle = channels // 2
    mask[slice(0, middle) if half == 1 else slice(middle, None)] = 1.0
    return mask


def per_picture(values: Tensor) -> Tensor:
    """Sum [B, ...] over all axes but the first."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
