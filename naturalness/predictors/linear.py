"""Linear predictors of the next cell: least squares in closed form, one for each direction, in one graph.

Letters: B images, H x W cells, K components.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from naturalness.predictors.statistics import Array, LinearFit, MapMoments, linear_fit

Tensor = Any


class LinearPredictors(keras.layers.Layer):
    """Predict each cell from the one before it in the order of a scan."""

    def __init__(self, width: int, *, name: str | None = None):
        super().__init__(name=name)
        shape = (4, width, width)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="kernel")
        self.bias = self.add_weight(shape=(4, width), initializer="zeros", trainable=False, name="bias")
        self.built = True

    def call(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Predict cells; arguments and result as for `naturalness.predictors.lstm.DirectionalPredictors.call`."""
        before = (maps[:, :-1], maps[:, 1:], maps[:, :, :-1], maps[:, :, 1:])
        return tuple(ops.matmul(cells, self.kernel[n]) + self.bias[n] for n, cells in enumerate(before))

    def assign(self, fits: Sequence[LinearFit]) -> None:
        """Set the weights to what `fit_directions` found."""
        self.kernel.assign([fit.kernel for fit in fits])
        self.bias.assign([fit.bias for fit in fits])


def fit_directions(moments: MapMoments, projection: Array, offset: Array, ridge: float) -> tuple[LinearFit, ...]:
    """Fit all four directions, in the order of `naturalness.predictors.lstm.DIRECTIONS`.

    Args:
        moments: with pairs of the distance 1.
        projection: float64 [C, K].
        offset: float64 [K]; see `naturalness.predictors.statistics.linear_fit`.
        ridge: added to the variance of each component.

    Raises:
        ValueError: `moments` has no such pairs.
    """
    if 1 not in moments.pairs:
        raise ValueError("moments were summed without neighbours, expected the distance 1 among theirs")
    below, beside = moments.pairs[1]
    pairs = (below, below.turned(), beside, beside.turned())
    return tuple(linear_fit(one, projection, offset, ridge) for one in pairs)
