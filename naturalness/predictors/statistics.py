"""First and second moments of feature maps, summed image by image: all that statistics and least squares need.

Of pairs (a, b), a above b or to the left of it, neighbours or further apart, the products of both are summed as well.
From these sums follow, exactly and whatever the number of images: mean and std of each channel, principal components,
and the linear map that predicts a cell from the one before in each of the four directions.

Letters: B images, H x W cells, C channels, K components.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vislang.core.errors import ConfigError

Array = np.ndarray
# Of the variances of residuals, as a share of the largest. Where channels depend on one another, the last components
# are rounding errors, which must not count as much as the others.
SMALLEST_VARIANCE = 1e-3


@dataclass
class PairSums:
    """Sums over pairs of cells (a, b), float64.

    Attributes:
        count: number of pairs.
        first: [C], of a.
        second: [C], of b.
        first_square: [C, C], of the products of a with itself.
        second_square: [C, C], of b likewise.
        product: [C, C], of a, in rows, with b.
    """

    count: float
    first: Array
    second: Array
    first_square: Array
    second_square: Array
    product: Array

    @classmethod
    def empty(cls, channels: int) -> "PairSums":
        """Return the sums over no pairs of cells with C channels."""
        vectors = np.zeros((2, channels))
        matrices = np.zeros((3, channels, channels))
        return cls(0.0, *vectors, *matrices)

    def add(self, a: Array, b: Array) -> None:
        """Add n pairs, float32 [n, C] each."""
        self.count += len(a)
        self.first += a.sum(axis=0, dtype=np.float64)
        self.second += b.sum(axis=0, dtype=np.float64)
        self.first_square += a.T @ a
        self.second_square += b.T @ b
        self.product += a.T @ b

    def means(self) -> tuple[Array, Array]:
        """Return the means of a and of b, float64 [C] each.

        Raises:
            ConfigError: no pairs were added.
        """
        if not self.count:
            raise ConfigError(
                "the training maps hold no two cells that far apart, expected larger maps; lower information_distance"
                " or choose a shallower layer"
            )
        return self.first / self.count, self.second / self.count

    def turned(self) -> "PairSums":
        """Return the same pairs as (b, a)."""
        squares = (self.second_square, self.first_square)
        return PairSums(self.count, self.second, self.first, *squares, self.product.T)


class MapMoments:
    """Sums over the cells of one layer, and over pairs of cells.

    Args:
        per_image: cells of each image that count for components; 0: all.
        distances: of the pairs that are summed as well, in cells; 1 for neighbours.

    Attributes:
        pairs: {distance: (sums over cells below each other, over cells beside each other)}.
    """

    def __init__(self, channels: int, *, per_image: int = 0, distances: Iterable[int] = (1,)):
        self.channels = channels
        self.per_image = per_image
        # over all cells
        self.cells = 0.0
        self.sum = np.zeros(channels)
        self.square_sum = np.zeros(channels)
        self.cube_sum = np.zeros(channels)
        # over the sampled cells
        self.sampled = 0.0
        self.sample_sum = np.zeros(channels)
        self.products = np.zeros((channels, channels))
        self.pairs = {distance: (PairSums.empty(channels), PairSums.empty(channels)) for distance in distances}

    def add(self, maps: Array, random: np.random.Generator) -> None:
        """Add the maps of images.

        Args:
            maps: float [B, H, W, C].
            random: chooses the cells that count for components.
        """
        maps = np.asarray(maps, np.float32)
        flat = maps.reshape(len(maps), -1, self.channels)
        self.cells += flat.shape[0] * flat.shape[1]
        self.sum += flat.sum(axis=(0, 1), dtype=np.float64)
        squares = np.square(flat, dtype=np.float64)
        self.square_sum += squares.sum(axis=(0, 1))
        self.cube_sum += np.einsum("bnc,bnc->c", squares, flat)
        if self.per_image:
            chosen = random.integers(flat.shape[1], size=(len(flat), self.per_image))
            flat = np.take_along_axis(flat, chosen[:, :, None], axis=1)
        vectors = flat.reshape(-1, self.channels)
        self.sampled += len(vectors)
        self.sample_sum += vectors.sum(axis=0, dtype=np.float64)
        self.products += vectors.T @ vectors
        columns = maps.transpose(0, 2, 1, 3)
        for distance, (below, beside) in self.pairs.items():
            self._add_pairs(below, maps, distance)
            self._add_pairs(beside, columns, distance)

    def _add_pairs(self, sums: PairSums, maps: Array, distance: int) -> None:
        """Add the pairs of cells that lie a distance apart along the second axis."""
        first = maps[:, :-distance].reshape(-1, self.channels)
        second = maps[:, distance:].reshape(-1, self.channels)
        sums.add(first, second)

    def mean_and_std(self) -> tuple[Array, Array]:
        """Return float64 [C] each, over all cells.

        Channels that hardly vary, below a tenth of the median std, get a tenth of it: otherwise their noise would
        outweigh all others.
        """
        mean = self.sum / self.cells
        std = np.sqrt(np.maximum(self.square_sum / self.cells - mean**2, 0.0))
        least = 0.1 * float(np.median(std))
        return mean, np.maximum(std, least or 1.0)

    def skewness(self) -> Array:
        """Return the third moment of standardised cells, float64 [C]: large for channels rarely but strongly active."""
        mean, std = self.mean_and_std()
        third = self.cube_sum / self.cells - 3 * mean * self.square_sum / self.cells + 2 * mean**3
        return third / std**3

    def components(self, width: int) -> tuple[Array, Array]:
        """Return the principal axes of standardised cells.

        Returns:
            float64 [C], the mean of the sampled cells after standardisation; [C, K], the axes with the greatest
            variance first, each with its largest element positive.
        """
        mean, std = self.mean_and_std()
        sample_mean = self.sample_sum / self.sampled
        covariance = self.products / self.sampled - np.outer(sample_mean, sample_mean)
        _, axes = np.linalg.eigh(covariance / np.outer(std, std))
        axes = axes[:, ::-1][:, :width]
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(width)])
        return (sample_mean - mean) / std, axes * signs


@dataclass(frozen=True)
class LinearFit:
    """A linear predictor of the next cell, in K components: prediction = cell @ kernel + bias.

    Attributes:
        kernel: float64 [K, K].
        bias: float64 [K].
        variance: float64 [K], of the residuals; none below `SMALLEST_VARIANCE` times the largest.
    """

    kernel: Array
    bias: Array
    variance: Array


def linear_fit(pairs: PairSums, projection: Array, offset: Array, ridge: float) -> LinearFit:
    """Fit the second of each pair to the first by least squares, both in components.

    Args:
        pairs: sums over (a, b).
        projection: float64 [C, K]; a cell's components are cell @ projection - offset.
        offset: float64 [K].
        ridge: added to the variance of each component of a.
    """
    first_mean, second_mean = pairs.means()
    a = first_mean @ projection - offset
    b = second_mean @ projection - offset

    def covariance(products: Array, left: Array, right: Array) -> Array:
        centred = products / pairs.count - np.outer(left, right) / pairs.count**2
        return projection.T @ centred @ projection

    aa = covariance(pairs.first_square, pairs.first, pairs.first)
    ab = covariance(pairs.product, pairs.first, pairs.second)
    bb = covariance(pairs.second_square, pairs.second, pairs.second)
    kernel = np.linalg.solve(aa + ridge * np.eye(len(a)), ab)
    residual = bb - kernel.T @ ab - ab.T @ kernel + kernel.T @ aa @ kernel
    variance = np.diag(residual)
    floor = max(1e-6, SMALLEST_VARIANCE * variance.max())
    return LinearFit(kernel, b - a @ kernel, np.maximum(variance, floor))
