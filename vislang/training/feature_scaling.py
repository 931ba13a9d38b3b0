"""The scale on which a network reads image features."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
_ZERO = 1e-24  # squared length of a vector without a direction
_TINY = 1e-6  # standard deviation of a feature that never varies
SCALINGS = ("none", "unit", "standardised", "standardised_unit")


class FeatureScaling(keras.layers.Layer):
    """Scale image descriptors, one by one or as their mean over an image.

    The mean over descriptors varies less than a single descriptor, so each has statistics of its own. They come from
    the training images and are never learned.

    Args:
        scaling: "none"; "unit", to length 1; "standardised", (x - mean) / std for each feature; or
            "standardised_unit", standardised and then to length 1.
    """

    def __init__(self, scaling: str, num_features: int, **options: Any):
        super().__init__(**options)
        self.scaling = scaling
        self.mean_shift = self._statistic("mean_shift", "zeros", num_features)
        self.mean_scale = self._statistic("mean_scale", "ones", num_features)
        self.each_shift = self._statistic("each_shift", "zeros", num_features)
        self.each_scale = self._statistic("each_scale", "ones", num_features)
        self.built = True

    def _statistic(self, name: str, initializer: str, num_features: int) -> keras.Variable:
        return self.add_weight(shape=(num_features,), initializer=initializer, trainable=False, name=name)

    def set_statistics(self, means: np.ndarray, stds: np.ndarray) -> None:
        """Set the statistics of the training images; without effect unless features are standardised.

        Args:
            means: float32 [2, F], of the mean over descriptors and of single descriptors.
            stds: float32 [2, F] >= 0; a feature that never varies is not scaled.
        """
        if not self.scaling.startswith("standardised"):
            return
        scales = 1.0 / np.where(stds > _TINY, stds, 1.0)
        self.mean_shift.assign(means[0])
        self.mean_scale.assign(scales[0])
        self.each_shift.assign(means[1])
        self.each_scale.assign(scales[1])

    def mean(self, descriptors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scaled mean of each image's descriptors, float32 [B, F].

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors; None: all are.
        """
        if mask is None:
            mean = ops.mean(descriptors, axis=1)
        else:
            real = ops.cast(mask, descriptors.dtype)[..., None]  # [B, N, 1]
            mean = ops.sum(descriptors * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
        return self._scaled(mean, self.mean_shift, self.mean_scale)

    def each(self, descriptors: Tensor) -> Tensor:
        """Return every descriptor scaled, float32 [B, N, F] as given."""
        return self._scaled(descriptors, self.each_shift, self.each_scale)

    def _scaled(self, features: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        if self.scaling == "none":
            return features
        if self.scaling == "unit":
            return unit_length(features)
        scaled = (features - shift) * scale
        if self.scaling == "standardised_unit":
            return unit_length(scaled)
        return scaled


def unit_length(vectors: Tensor) -> Tensor:
    """Scale float [..., D] to Euclidean length 1; a zero vector stays zero, and no gradient passes it.

    Keras' own `normalize` has a gradient of NaN there.
    """
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    is_zero = squares < _ZERO
    return vectors * ops.where(is_zero, 0.0, ops.rsqrt(ops.where(is_zero, 1.0, squares)))
