"""Does a cell belong where it is? How far each cell is from what its distant neighbours, in the same picture, go with.

Of two cells, `reach` cells apart, a Gaussian tells how much likelier they are together than each by itself, their
pointwise mutual information. In canonical variables x of the one and y of the other, with correlations r,

    log p(a, b) / (p(a) p(b)) = sum_i  -log(1 - r_i^2) / 2 - (r_i^2 (x_i^2 + y_i^2) - 2 r_i x_i y_i) / (2 (1 - r_i^2))

What is rare or busy is unlikely both ways, and does not count; what is pasted in goes with nothing around it.

Letters: B pictures, H x W cells, C channels, N canonical variables.

References: Hotelling 1936, Relations between two sets of variates, for the variables.
"""

from dataclasses import dataclass
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


def canonical(pairs: PairSums, deviation: Array, kept: int, ridge: float) -> Canonical:
    """Find the directions in which two cells go together most.

    Args:
        pairs: sums over (a, b).
        deviation: float64 [C], by which channels are divided before.
        kept: N.
        ridge: added to the variance of each channel, after division.

    Raises:
        ValueError: there are no pairs.
    """
    if not pairs.count:
        raise ValueError("no pair of cells was seen, expected maps larger than the reach")
    means = pairs.first / pairs.count, pairs.second / pairs.count
    scale = np.outer(deviation, deviation)
    identity = np.eye(len(deviation))
    own = []
    for square, mean in zip((pairs.first_square, pairs.second_square), means, strict=True):
        own.append(np.linalg.cholesky((square / pairs.count - np.outer(mean, mean)) / scale + ridge * identity))
    both = (pairs.product / pairs.count - np.outer(*means)) / scale
    whitened = np.linalg.solve(own[1], np.linalg.solve(own[0], both).T).T
    left, correlation, right = np.linalg.svd(whitened)
    first, second = (
        np.linalg.solve(root.T, axes[:, :kept]) / deviation[:, None]
        for root, axes in zip(own, (left, right.T), strict=True)
    )
    return Canonical(first, means[0] @ first, second, means[1] @ second, np.minimum(correlation[:kept], _LARGEST))


class Belonging(keras.layers.Layer):
    """Canonical variables of cells below and to the right of each other.

    Args:
        channels: C of the tap.
        reach: cells from one of a pair to the other.
    """

    def __init__(self, channels: int, reach: int, *, name: str | None = None):
        super().__init__(name=name)
        self.reach = reach
        self.width = (channels + 1) // 2

        def constant(*shape: int, called: str) -> Tensor:
            return self.add_weight(shape=(2, *shape), initializer="zeros", trainable=False, name=called)

        self.first, self.second = (constant(channels, self.width, called=name) for name in ("first", "second"))
        self.first_centre = constant(self.width, called="first_centre")
        self.second_centre = constant(self.width, called="second_centre")
        self.correlation = constant(self.width, called="correlation")
        self.built = True

    def fit(self, moments: MapMoments, ridge: float) -> None:
        """Take what sums over the training pictures say."""
        deviation = moments.mean_and_deviation()[1]
        found = [canonical(pairs, deviation, self.width, ridge) for pairs in moments.pairs[self.reach]]
        for field in ("first", "second", "first_centre", "second_centre", "correlation"):
            getattr(self, field).assign(np.stack([getattr(one, field) for one in found]))

    def call(self, maps: Tensor) -> Tensor:
        """Give minus the pointwise mutual information of each cell with its distant neighbours, per variable.

        Args:
            maps: float32 [B, H, W, C].

        Returns:
            float32 [B, H, W]: the mean over the one to four neighbours that a cell has `reach` cells away; above 0
            where it goes with them less than cells do by chance; 0 where it has none.
        """
        height, width = maps.shape[1:3]
        total = ops.zeros_like(maps[..., 0])
        count = np.zeros((height, width), np.float32)
        for axis, size in ((0, height), (1, width)):
            if size <= self.reach:
                continue
            found = self._of_pairs(maps, axis)
            for before, after in ((self.reach, 0), (0, self.reach)):  # both cells of a pair
                edges = [(0, 0), (0, 0)]
                edges[axis] = (before, after)
                total = total + ops.pad(found, ((0, 0), *edges))
                count += np.pad(np.ones(found.shape[1:], np.float32), edges)
        return total / np.maximum(count, 1.0)

    def _of_pairs(self, maps: Tensor, axis: int) -> Tensor:
        a, b = (
            (maps[:, : -self.reach], maps[:, self.reach :])
            if axis == 0
            else (maps[:, :, : -self.reach], maps[:, :, self.reach :])
        )
        x = ops.matmul(a, self.first[axis]) - self.first_centre[axis]
        y = ops.matmul(b, self.second[axis]) - self.second_centre[axis]
        r = self.correlation[axis]
        squares = ops.square(r) * (ops.square(x) + ops.square(y))
        distance = (squares - 2.0 * r * x * y) / (1.0 - ops.square(r))
        return ops.mean(0.5 * distance + 0.5 * ops.log1p(-ops.square(r)), axis=-1)
