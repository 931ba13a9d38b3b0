"""What a generator sees of an image: its descriptors on a common scale, one by one and as their mean."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


class ImageScaling(keras.layers.Layer):
    """Brings features to a scale that a network learns from.

    Args:
        scaling: "none", "unit" (length 1), "standardised" (per dimension, by training mean and deviation), or
            "standardised_unit" (that, then length 1).
        num_features: F.
    """

    def __init__(self, scaling: str, num_features: int, **options: Any):
        super().__init__(**options)
        self.scaling = scaling
        # Rows: of the mean over descriptors, of single descriptors. Known from the training images, never learned.
        self.shift = self.add_weight(shape=(2, num_features), initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=(2, num_features), initializer="ones", trainable=False, name="scale")
        self.built = True

    def standardise_with(self, means: np.ndarray, deviations: np.ndarray) -> None:
        """Take the statistics of the training images.

        Args:
            means: float32 [2, F], of the mean over descriptors and of single descriptors.
            deviations: float32 [2, F] >= 0; a dimension that never varies is left at its own scale.
        """
        self.shift.assign(means)
        self.scale.assign(1.0 / np.where(deviations > 1e-6, deviations, 1.0))

    def mean(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        """Give float32 [B, F], the scaled mean of the real descriptors.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real ones.
        """
        real = ops.cast(mask, descriptors.dtype)[..., None]  # [B, N, 1]
        mean = ops.sum(descriptors * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
        return self._scaled(mean, 0)

    def each(self, descriptors: Tensor) -> Tensor:
        """Give float32 [B, N, F], every descriptor scaled."""
        return self._scaled(descriptors, 1)

    def _scaled(self, features: Tensor, row: int) -> Tensor:
        if self.scaling == "unit":
            return ops.normalize(features, axis=-1, epsilon=1e-12)
        scaled = (features - self.shift[row]) * self.scale[row]
        return ops.normalize(scaled, axis=-1, epsilon=1e-12) if self.scaling == "standardised_unit" else scaled
