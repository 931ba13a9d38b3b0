"""First and second moments of feature maps, summed picture by picture: all that statistics and least squares need.

Of pairs (a, b), a above b or to the left of it, neighbours or further apart, the products of both are summed as well.
From these sums follow, exactly and whatever the number of pictures: mean and deviation of each channel, principal
components, and the linear map that foretells a cell from the one before in each of the four directions.

Letters: B pictures, H x W cells, C channels, K components.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray


@dataclass
class PairSums:
    """Sums over pairs of cells (a, b), float64."""

    channels: int
    count: float = 0.0
    first: Array = field(init=False)  # [C], of a
    second: Array = field(init=False)  # [C], of b
    first_square: Array = field(init=False)  # [C, C]
    second_square: Array = field(init=False)
    product: Array = field(init=False)  # [C, C], a in rows

    def __post_init__(self) -> None:
        self.first = np.zeros(self.channels)
        self.second = np.zeros(self.channels)
        square = (self.channels, self.channels)
        self.first_square = np.zeros(square)
        self.second_square = np.zeros(square)
        self.product = np.zeros(square)

    def add(self, a: Array, b: Array) -> None:
        """Add pairs, float32 [n, C] each."""
        self.count += len(a)
        self.first += a.sum(axis=0, dtype=np.float64)
        self.second += b.sum(axis=0, dtype=np.float64)
        self.first_square += a.T @ a
        self.second_square += b.T @ b
        self.product += a.T @ b

    def turned(self) -> "PairSums":
        """Give the same pairs as (b, a)."""
        other = PairSums(self.channels, self.count)
        other.first = self.second
        other.second = self.first
        other.first_square = self.second_square
        other.second_square = self.first_square
        other.product = self.product.T
        return other


class MapMoments:
    """Sums over the cells of one tap, and over pairs of cells.

    Args:
        channels: C.
        per_picture: cells of each picture that count for mean, deviation and components; 0: all.
        distances: of the pairs that are summed as well, in cells; 1 for neighbours.

    Attributes:
        pairs: {distance: (sums over cells below each other, over cells beside each other)}.
    """

    def __init__(self, channels: int, *, per_picture: int = 0, distances: Iterable[int] = (1,)):
        self.channels = channels
        self.per_picture = per_picture
        self.cells = 0.0
        self.pictures = 0
        self.sum, self.square_sum, self.cube_sum = (np.zeros(channels) for _ in range(3))  # over all cells
        self.sampled = 0.0
        self.sample_sum = np.zeros(channels)
        self.products = np.zeros((channels, channels))  # over the sampled cells
        self.pairs = {distance: (PairSums(channels), PairSums(channels)) for distance in distances}

    def add(self, maps: Array, random: np.random.Generator) -> None:
        """Add the maps of pictures.

        Args:
            maps: float [B, H, W, C].
            random: chooses the cells that count for components.
        """
        maps = np.asarray(maps, np.float32)
        flat = maps.reshape(len(maps), -1, self.channels)
        self.pictures += len(maps)
        self.cells += flat.shape[0] * flat.shape[1]
        self.sum += flat.sum(axis=(0, 1), dtype=np.float64)
        squares = np.square(flat, dtype=np.float64)
        self.square_sum += squares.sum(axis=(0, 1))
        self.cube_sum += np.einsum("bnc,bnc->c", squares, flat)
        if self.per_picture:
            chosen = random.integers(flat.shape[1], size=(len(flat), self.per_picture))
            flat = np.take_along_axis(flat, chosen[:, :, None], axis=1)
        vectors = flat.reshape(-1, self.channels)
        self.sampled += len(vectors)
        self.sample_sum += vectors.sum(axis=0, dtype=np.float64)
        self.products += vectors.T @ vectors
        for distance, (down, right) in self.pairs.items():
            columns = maps.transpose(0, 2, 1, 3)
            for sums, one in ((down, maps), (right, columns)):
                first = one[:, :-distance]
                second = one[:, distance:]
                sums.add(first.reshape(-1, self.channels), second.reshape(-1, self.channels))

    def mean_and_deviation(self) -> tuple[Array, Array]:
        """Give float64 [C] each, over all cells.

        Channels that hardly vary, a tenth as much as usual, count as varying so much: their noise would outweigh all.
        """
        mean = self.sum / self.cells
        deviation = np.sqrt(np.maximum(self.square_sum / self.cells - mean**2, 0.0))
        least = 0.1 * float(np.median(deviation))
        return mean, np.maximum(deviation, least or 1.0)

    def skewness(self) -> Array:
        """Give float64 [C], the third moment of standardised cells: large for channels active seldom, but strongly."""
        mean, deviation = self.mean_and_deviation()
        third = self.cube_sum / self.cells - 3 * mean * self.square_sum / self.cells + 2 * mean**3
        return third / deviation**3

    def components(self, kept: int) -> tuple[Array, Array]:
        """Give the principal axes of standardised cells.

        Returns:
            float64 [C], the mean of the sampled cells after standardisation; [C, kept], the axes with the greatest
            variance first, each with its largest number positive.
        """
        mean, deviation = self.mean_and_deviation()
        middle = self.sample_sum / self.sampled
        covariance = self.products / self.sampled - np.outer(middle, middle)
        _, axes = np.linalg.eigh(covariance / np.outer(deviation, deviation))
        axes = axes[:, ::-1][:, :kept]
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(kept)])
        return (middle - mean) / deviation, axes * signs


@dataclass(frozen=True)
class LinearFit:
    """What foretells the next cell, and what that leaves, in K components.

    Attributes:
        kernel: float64 [K, K]; bias: [K]; foretold = cell @ kernel + bias.
        variance: float64 [K], of what is left.
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
    a = pairs.first / pairs.count @ projection - offset
    b = pairs.second / pairs.count @ projection - offset
    centred = {
        name: projection.T @ (square / pairs.count - np.outer(left, right) / pairs.count**2) @ projection
        for name, square, left, right in (
            ("aa", pairs.first_square, pairs.first, pairs.first),
            ("ab", pairs.product, pairs.first, pairs.second),
            ("bb", pairs.second_square, pairs.second, pairs.second),
        )
    }
    kernel = np.linalg.solve(centred["aa"] + ridge * np.eye(len(a)), centred["ab"])
    left = centred["bb"] - kernel.T @ centred["ab"] - centred["ab"].T @ kernel + kernel.T @ centred["aa"] @ kernel
    return LinearFit(kernel, b - a @ kernel, np.maximum(np.diag(left), 1e-6))
