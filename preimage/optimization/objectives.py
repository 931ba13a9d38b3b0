"""Objectives on the features of one layer: invert them, maximise them, exaggerate them.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 (`StandardisedInversion`).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from preimage.networks.network import require_channels
from preimage.optimization.terms import SearchState, Tensor, Term, per_image
from vislang.core.errors import ConfigError


class Inversion(Term):
    """sum(mask (f - f0)^2) / sum(mask f0^2): 0 for an image with the target's features.

    Args:
        layer: whose features.
        target: float [B, ...], f0.
        mask: float, of the shape of one image's features or one that broadcasts to it; None: all ones.

    Raises:
        ConfigError: a target that is 0 wherever the mask is not.
    """

    def __init__(self, layer: str, target: np.ndarray, mask: np.ndarray | None = None):
        target = np.asarray(target, np.float32)
        if mask is None:
            mask = np.ones(1)
        self.mask = np.asarray(mask, np.float32)
        squares = np.square(target, dtype=np.float64) * self.mask
        norms = squares.reshape(len(target), -1).sum(axis=1).astype(np.float32)
        if not np.all(norms > 0):
            raise ConfigError(
                f"the features of layer {layer} are all 0 for image {int(np.argmin(norms))}, so that no relative error"
                " exists; choose another layer, or one before its ReLU: pre:LAYER"
            )
        self.layers = (layer,)
        self.arrays = (target, norms)

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the relative squared error of each image, float32 [B]."""
        target, norms = arrays
        return per_image(self.mask * ops.square(state.features[self.layers[0]] - target)) / norms


class StandardisedInversion(Term):
    """mean(((f - f0) / std)^2), each unit relative to its standard deviation over natural images.

    Args:
        layer: whose features.
        target: float [B, ...], f0.
        unit_std: float, of the shape of one image's features; None: one number per target, the std over its units.

    Raises:
        ConfigError: a std of 0.
    """

    def __init__(self, layer: str, target: np.ndarray, unit_std: np.ndarray | None = None):
        target = np.asarray(target, np.float32)
        if unit_std is None:
            unit_std = like_rows(target.reshape(len(target), -1).std(axis=1), target)
        if not np.all(np.asarray(unit_std) > 0):
            raise ConfigError(f"a standard deviation at layer {layer} is 0, expected all above 0; choose another layer")
        std = np.array(np.broadcast_to(np.asarray(unit_std, np.float32), target.shape))
        self.layers = (layer,)
        self.arrays = (target, std)
        self.count = float(np.prod(target.shape[1:]))

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the mean squared standardised error of each image, float32 [B]."""
        target, std = arrays
        return per_image(ops.square((state.features[self.layers[0]] - target) / std)) / self.count


class Activation(Term):
    """-<f, direction>: lower, the more the features point into the direction.

    Args:
        layer: whose features.
        direction: float [B, ...].
    """

    def __init__(self, layer: str, direction: np.ndarray):
        self.layers = (layer,)
        self.arrays = (np.asarray(direction, np.float32),)

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return minus the inner product of each image, float32 [B]."""
        return -per_image(state.features[self.layers[0]] * arrays[0])


def caricature_objective(layer: str, features: np.ndarray) -> Activation:
    """Return the activation along max(f0, 0) / ||max(f0, 0)||^2, so that the loss starts at -1.

    Args:
        layer: whose features.
        features: float [B, ...], f0.

    Raises:
        ConfigError: features without a positive value.
    """
    positive = np.maximum(np.asarray(features, np.float32), 0)
    norms = np.square(positive).reshape(len(positive), -1).sum(axis=1)
    if not np.all(norms > 0):
        raise ConfigError(
            f"no feature of layer {layer} is above 0 for image {int(np.argmin(norms))}; choose another layer"
        )
    return Activation(layer, positive / like_rows(norms, positive))


def unit_directions(
    layer: str, shape: tuple[int, ...], channels: Sequence[int], *, channel_mean: bool = False
) -> np.ndarray:
    """Return one direction per channel: its unit in the middle of the map, or its mean over the map.

    Args:
        layer: named in errors.
        shape: of one image's features, [units] or [h, w, C].
        channels: indices of channels, units or classes.
        channel_mean: average over the map instead of taking the unit in its middle.

    Returns:
        float32 [B, *shape]; the values of each direction sum to 1.

    Raises:
        ConfigError: an index that the layer does not have.
    """
    require_channels(layer, shape, channels)
    directions = np.zeros((len(channels), *shape), np.float32)
    for row, channel in zip(directions, channels, strict=True):
        if len(shape) == 1:
            row[channel] = 1.0
        elif channel_mean:
            row[..., channel] = 1.0 / np.prod(shape[:-1])
        else:
            row[shape[0] // 2, shape[1] // 2, channel] = 1.0
    return directions


def activation_weight(field_size: int, max_activations: np.ndarray) -> np.ndarray:
    """Return (100^2 / field_size^2) / M, which brings channels of all layers to one scale (IJCV 2016, section 4).

    Args:
        field_size: side of the receptive field in pixels.
        max_activations: float [B], M, the largest activation of each channel on natural images.
    """
    return np.asarray((100.0 / field_size) ** 2 / np.maximum(max_activations, 1e-6), np.float32)


def central_cells(shape: tuple[int, ...], side: int = 5) -> np.ndarray:
    """Return a mask float32 [h, w, 1] of the middle side x side cells."""
    mask = np.zeros((*shape[:2], 1), np.float32)
    top = max(0, (shape[0] - side) // 2)
    left = max(0, (shape[1] - side) // 2)
    mask[top : top + side, left : left + side] = 1.0
    return mask


def channel_half(channels: int, half: int) -> np.ndarray:
    """Return a mask float32 [channels] of the first half (1) or the second (2), as of a network in two groups.

    Raises:
        ConfigError: another half.
    """
    if half not in (1, 2):
        raise ConfigError(f"got half {half}, expected 1 or 2")
    mask = np.zeros(channels, np.float32)
    middle = channels // 2
    if half == 1:
        mask[:middle] = 1.0
    else:
        mask[middle:] = 1.0
    return mask


def like_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Reshape values [B] so that they broadcast over rows [B, ...]."""
    return values.reshape(-1, *[1] * (rows.ndim - 1))
