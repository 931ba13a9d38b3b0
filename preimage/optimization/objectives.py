"""Objectives on the features of one layer: invert them, maximise them, exaggerate them.

References: Mahendran & Vedaldi, CVPR 2015 and IJCV 2016; Kato & Harada 2015 (`StandardisedInversion`).
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from preimage.config import PreimageConfig
from preimage.networks.network import require_channels
from preimage.optimization.terms import SearchState, Tensor, Term, per_image
from vislang.core.errors import ConfigError, unknown_name

MASKS = ("central", "first-half", "second-half")
_CENTRAL = 5  # cells of a side of the central part


class Inversion(Term):
    """sum(mask (f - f0)^2) / sum(mask f0^2): 0 for an image with the target's features.

    Args:
        target: float [B, ...], f0, not 0 everywhere.
        mask: float, of the shape of one image's features or one that broadcasts to it; None: all ones.
    """

    def __init__(self, layer: str, target: np.ndarray, mask: np.ndarray | None = None):
        target = np.asarray(target, np.float32)
        self.mask = np.asarray(1.0 if mask is None else mask, np.float32)
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
        target: float [B, ...], f0.
        unit_std: float above 0, of the shape of one image's features; None: one number per target, the std over its
            units.
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


def inversion_objective(
    layer: str, target: np.ndarray, config: PreimageConfig, mask: np.ndarray | None, unit_std: np.ndarray | None
) -> Term:
    """Return the objective of a preset's inversions; a mask or std of the other objective is a ConfigError."""
    if config.objective == "standardised":
        if mask is not None:
            raise ConfigError("objective=standardised counts all features, got a mask; choose objective=relative")
        return StandardisedInversion(layer, target, unit_std)
    if unit_std is not None:
        raise ConfigError("objective=relative has no use for unit_std; leave it out or choose objective=standardised")
    return Inversion(layer, target, mask)


def relative_error(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return ||f - f0||^2 / ||f0||^2 of float [B, ...] and float [B, ...], float64 [B]."""
    difference = np.square(features.astype(np.float64) - target).reshape(len(target), -1).sum(axis=1)
    return difference / np.square(target, dtype=np.float64).reshape(len(target), -1).sum(axis=1)


class Activation(Term):
    """-<f, direction>: lower, the more the features point into the direction float [B, ...]."""

    def __init__(self, layer: str, direction: np.ndarray):
        self.layers = (layer,)
        self.arrays = (np.asarray(direction, np.float32),)

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return minus the inner product of each image, float32 [B]."""
        return -per_image(state.features[self.layers[0]] * arrays[0])


def caricature_objective(layer: str, features: np.ndarray) -> Activation:
    """Return the activation along max(f0, 0) / ||max(f0, 0)||^2 of features f0 [B, ...]; the loss starts at -1."""
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
    """Return one direction per channel, float32 [B, *shape] of sum 1: its unit in the middle of the map, or its mean.

    Args:
        shape: of one image's features, [units] or [h, w, C].
        channels: indices of channels, units or classes.
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


def feature_mask(layer: str, shape: tuple[int, ...], part: str) -> np.ndarray:
    """Return a mask float32 that keeps a part of the features of a shape, [units] or [h, w, C].

    Args:
        layer: named in errors.
        part: "central", the middle 5x5 cells: [h, w, 1]; "first-half" or "second-half" of the channels: [C].
    """
    if part not in MASKS:
        raise unknown_name("part of the features", part, MASKS)
    if part == "central":
        if len(shape) != 3:
            raise ConfigError(f"the central part is that of a map, got layer {layer} of shape {shape}; choose another")
        mask = np.zeros((*shape[:2], 1), np.float32)
        top = max(0, (shape[0] - _CENTRAL) // 2)
        left = max(0, (shape[1] - _CENTRAL) // 2)
        mask[top : top + _CENTRAL, left : left + _CENTRAL] = 1.0
        return mask
    first = np.arange(shape[-1]) < shape[-1] // 2
    return (first if part == "first-half" else ~first).astype(np.float32)


def like_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Reshape values [B] so that they broadcast over rows [B, ...]."""
    return values.reshape(-1, *[1] * (rows.ndim - 1))
