"""Style and content: Gram matrices of feature maps, and the maps themselves.

Letters: B pictures, h x w cells, C channels, R regions, M = h w.

References: Gatys, Ecker & Bethge 2015, arXiv:1508.06576; Gatys et al., Controlling Perceptual Factors, CVPR 2017,
arXiv:1611.07865 (regions); jcjohnson/neural-style.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from PIL import Image

from preimage.optimization.objectives import per_picture
from preimage.optimization.terms import Seen, Tensor, Term
from vislang.core.errors import unknown_name

# How a Gram matrix and the difference of two are scaled. "paper": F F' over all cells and squared differences over
# 4 C^2 M^2, here with each matrix over its own M, so that pictures of two sizes compare; "port": the authors' later
# code, F F' / M and the mean squared difference, times 1000 / C^2; "neural-style": F F' / (C M), mean squared.
# "relative", ours: squared differences over the squares of the target, so that weights mean the same in any network.
NORMALISATIONS = ("relative", "paper", "port", "neural-style")


def gram(features: Tensor, guides: Tensor | None = None, normalisation: str = "relative") -> Tensor:
    """Give the Gram matrices of maps.

    Args:
        features: float32 [B, h, w, C].
        guides: float32 [B, h, w, R], how much each cell belongs to each region; None: one region, all of it.
        normalisation: one of NORMALISATIONS.

    Returns:
        float32 [B, R, C, C], each over the cells that count.
    """
    channels, cells = features.shape[-1], features.shape[1] * features.shape[2]
    rows = ops.reshape(features, (-1, 1, cells, channels))
    count = float(cells)
    if guides is not None:
        weights = ops.transpose(ops.reshape(guides, (-1, cells, guides.shape[-1])), (0, 2, 1))[..., None]
        rows = rows * weights
        count = ops.maximum(ops.sum(ops.square(weights), axis=2, keepdims=True), 1e-6)
    product = ops.matmul(ops.transpose(rows, (0, 1, 3, 2)), rows) / count
    return product / channels if normalisation == "neural-style" else product


class Style(Term):
    """The squared distance of Gram matrices from those of another picture, summed over layers and regions.

    Args:
        targets: {tap: float [B, R, C, C]} of `gram`, with the same normalisation.
        guides: {tap: float [B, h, w, R]} of the pictures that are made; None: all cells.
        normalisation: one of NORMALISATIONS.
        weights: of the layers; None: all alike, with sum 1 ("relative", "paper") or each 1.
    """

    def __init__(
        self,
        targets: dict[str, np.ndarray],
        guides: dict[str, np.ndarray] | None = None,
        normalisation: str = "relative",
        weights: Sequence[float] | None = None,
    ):
        if normalisation not in NORMALISATIONS:
            raise unknown_name("normalisation", normalisation, NORMALISATIONS)
        self.taps, self.normalisation = tuple(targets), normalisation
        each = 1.0 / len(targets) if normalisation in ("relative", "paper") else 1.0
        self.weights = [each] * len(targets) if weights is None else list(weights)
        self.guided = guides is not None
        arrays = [np.asarray(target, np.float32) for target in targets.values()]
        self.arrays = (*arrays, *(np.asarray(guides[tap], np.float32) for tap in targets)) if guides else tuple(arrays)

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        targets, guides = arrays[: len(self.taps)], arrays[len(self.taps) :]
        total = 0.0
        for number, (tap, weight) in enumerate(zip(self.taps, self.weights, strict=True)):
            own = gram(seen.features[tap], guides[number] if self.guided else None, self.normalisation)
            difference = per_picture(ops.square(own - targets[number]))
            total = total + weight * difference / self._divisor(targets[number])
        return total

    def _divisor(self, target: Tensor) -> Any:
        """Give what the summed squared difference of one layer is divided by."""
        if self.normalisation == "relative":
            return per_picture(ops.square(target))
        square = float(target.shape[-1]) ** 2
        return {"paper": 4.0 * square, "port": square**2 / 1000.0, "neural-style": square}[self.normalisation]


class Content(Term):
    """Half the summed squared difference of maps ("paper"), its mean ("port", "neural-style"), or relative as in style.

    Args:
        tap: whose maps.
        target: float [B, ...].
        normalisation: one of NORMALISATIONS.
    """

    def __init__(self, tap: str, target: np.ndarray, normalisation: str = "relative"):
        self.taps, self.arrays = (tap,), (np.asarray(target, np.float32),)
        self.normalisation, self.count = normalisation, float(np.prod(target.shape[1:]))

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        (target,) = arrays
        difference = per_picture(ops.square(seen.features[self.taps[0]] - target))
        if self.normalisation == "relative":
            return difference / per_picture(ops.square(target))
        return 0.5 * difference if self.normalisation == "paper" else difference / self.count


def guides_of(regions: np.ndarray, cells: tuple[int, int], count: int) -> np.ndarray:
    """Bring a map of regions to a layer's cells.

    Args:
        regions: int [H, W], the number of each pixel's region, from 0.
        cells: h and w.
        count: R.

    Returns:
        float32 [h, w, R], the share of each region in each cell.
    """
    shares = [
        Image.fromarray((regions == number).astype(np.float32)).resize(cells[::-1], Image.Resampling.BOX)
        for number in range(count)
    ]
    return np.stack([np.asarray(share, np.float32) for share in shares], axis=-1)
