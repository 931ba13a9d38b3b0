"""Pointwise mutual information of each cell with distant cells of the same image: anomalies have little.

For two cells a fixed distance apart, a Gaussian model gives the ratio of their joint likelihood to that of each alone.
In canonical variables x of the one and y of the other, with correlations r,

    log p(a, b) / (p(a) p(b)) = sum_i  -log(1 - r_i^2) / 2 - (r_i^2 (x_i^2 + y_i^2) - 2 r_i x_i y_i) / (2 (1 - r_i^2))

Rare or busy cells are unlikely in numerator and denominator alike; a pasted object shares no information with its
surroundings.

Letters: B images, H x W cells, C channels, N canonical variables.

References: Hotelling 1936, Relations between two sets of variates, for the variables.
"""

from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras import ops

from naturalness.predictors.statistics import Array, MapMoments, PairSums

Tensor = Any
_LARGEST = 0.999  # correlation; beyond, a division by almost nothing


@dataclass(frozen=True)
class Canonical:
    """The canonical variables of pairs of cells (a, b).

    Attributes:
        first: float64 [C, N]; x = a @ first - first_centre.
        first_centre: float64 [N].
        second: float64 [C, N], of b likewise.
        second_centre: float64 [N].
        correlation: float64 [N], 0 to below 1, the largest first.
    """

    first: Array
    first_centre: Array
    second: Array
    second_centre: Array
    correlation: Array


def canonical(pairs: PairSums, std: Array, width: int, ridge: float) -> Canonical:
    """Find the directions in which two cells are most correlated.

    Args:
        pairs: sums over (a, b).
        std: float64 [C], by which channels are divided before.
        width: N.
        ridge: added to the variance of each channel, after division.

    Raises:
        ConfigError: there are no pairs.
    """
    first_mean, second_mean = pairs.means()
    scale = np.outer(std, std)
    first_root = _root(pairs.first_square / pairs.count, first_mean, scale, ridge)
    second_root = _root(pairs.second_square / pairs.count, second_mean, scale, ridge)
    covariance = (pairs.product / pairs.count - np.outer(first_mean, second_mean)) / scale
    whitened = np.linalg.solve(second_root, np.linalg.solve(first_root, covariance).T).T
    left, correlation, right = np.linalg.svd(whitened)
    first = np.linalg.solve(first_root.T, left[:, :width]) / std[:, None]
    second = np.linalg.solve(second_root.T, right.T[:, :width]) / std[:, None]
    return Canonical(
        first=first,
        first_centre=first_mean @ first,
        second=second,
        second_centre=second_mean @ second,
        correlation=np.minimum(correlation[:width], _LARGEST),
    )


def _root(second_moment: Array, mean: Array, scale: Array, ridge: float) -> Array:
    """Return the Cholesky factor of a scaled covariance, float64 [C, C]."""
    covariance = (second_moment - np.outer(mean, mean)) / scale
    return np.linalg.cholesky(covariance + ridge * np.eye(len(mean)))


class MutualInformation(keras.layers.Layer):
    """Canonical variables of cells below and to the right of each other.

    Args:
        channels: C of the layer.
        distance: cells between the two of a pair.
    """

    def __init__(self, channels: int, distance: int, *, name: str | None = None):
        super().__init__(name=name)
        self.distance = distance
        self.width = (channels + 1) // 2
        # Of cells below and to the right of each other. The order is that of the checkpoint.
        self.first = self._constant((2, channels, self.width), "first")
        self.second = self._constant((2, channels, self.width), "second")
        self.first_centre = self._constant((2, self.width), "first_centre")
        self.second_centre = self._constant((2, self.width), "second_centre")
        self.correlation = self._constant((2, self.width), "correlation")
        self.built = True

    def _constant(self, shape: tuple[int, ...], name: str) -> keras.Variable:
        return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

    def fit(self, moments: MapMoments, ridge: float) -> None:
        """Set the variables from sums over the training images; see `canonical`."""
        _, std = moments.mean_and_std()
        both = [canonical(pairs, std, self.width, ridge) for pairs in moments.pairs[self.distance]]
        for field in fields(Canonical):
            getattr(self, field.name).assign(np.stack([getattr(one, field.name) for one in both]))

    def call(self, maps: Tensor) -> Tensor:
        """Compute minus the pointwise mutual information of each cell with its distant neighbours, per variable.

        Args:
            maps: float32 [B, H, W, C].

        Returns:
            float32 [B, H, W]: the mean over the one to four neighbours that a cell has at the distance; above 0
            where they are less likely together than by chance; 0 where it has none.
        """
        total = ops.zeros_like(maps[..., 0])
        count = ops.zeros_like(total)
        for axis in (0, 1):
            places = ops.arange(ops.shape(maps)[1 + axis], dtype="int32")
            first = places - self.distance  # of each cell, the other of the pair in which it comes second
            found = self._of_pairs(maps, axis, places)
            for row, is_pair in (
                (places, places + self.distance < ops.shape(maps)[1 + axis]),
                (ops.maximum(first, 0), first >= 0),
            ):
                weights = ops.reshape(ops.cast(is_pair, "float32"), (1, -1, 1) if axis == 0 else (1, 1, -1))
                total = total + ops.take(found, row, axis=1 + axis) * weights
                count = count + weights
        return total / ops.maximum(count, 1.0)

    def _of_pairs(self, maps: Tensor, axis: int, places: Tensor) -> Tensor:
        """Compute float32 [B, H, W] of each cell with that a distance behind it; at the end, with the last one."""
        last = ops.shape(maps)[1 + axis] - 1
        a = maps
        b = ops.take(maps, ops.minimum(places + self.distance, last), axis=1 + axis)
        x = ops.matmul(a, self.first[axis]) - self.first_centre[axis]
        y = ops.matmul(b, self.second[axis]) - self.second_centre[axis]
        r = self.correlation[axis]
        squares = ops.square(r) * (ops.square(x) + ops.square(y))
        distance = (squares - 2.0 * r * x * y) / (1.0 - ops.square(r))
        return ops.mean(0.5 * distance + 0.5 * ops.log1p(-ops.square(r)), axis=-1)
