"""Style and content losses: Gram matrices of feature maps, and the maps themselves.

Letters: B images, h x w cells, C channels, R regions, M = h w.

References: Gatys, Ecker & Bethge 2015, arXiv:1508.06576; Gatys et al., Controlling Perceptual Factors, CVPR 2017,
arXiv:1611.07865 (regions); jcjohnson/neural-style.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from PIL import Image

from preimage.optimization.terms import SearchState, Tensor, Term, per_image
from vislang.core.errors import unknown_name

# How a Gram matrix and the difference of two are scaled. "paper": F F' over all cells and squared differences over
# 4 C^2 M^2, here with each matrix over its own M, so that images of two sizes compare; "port": the authors' later
# code, F F' / M and the mean squared difference, times 1000 / C^2; "neural-style": F F' / (C M), mean squared.
# "relative", ours: squared differences over the squares of the target, so that weights mean the same in any network.
NORMALISATIONS = ("relative", "paper", "port", "neural-style")


def gram(features: Tensor, guides: Tensor | None = None, normalisation: str = "relative") -> Tensor:
    """Return the Gram matrices of maps.

    Args:
        features: float32 [B, h, w, C].
        guides: float32 [B, h, w, R], weight of each cell in each region; None: one region of all cells.
        normalisation: one of NORMALISATIONS.

    Returns:
        float32 [B, R, C, C], each over the cells of its region.
    """
    channels = features.shape[-1]
    cells = features.shape[1] * features.shape[2]
    rows = ops.reshape(features, (-1, 1, cells, channels))
    count = float(cells)
    if guides is not None:
        weights = ops.transpose(ops.reshape(guides, (-1, cells, guides.shape[-1])), (0, 2, 1))[..., None]
        rows = rows * weights
        count = ops.maximum(ops.sum(ops.square(weights), axis=2, keepdims=True), 1e-6)
    product = ops.matmul(ops.transpose(rows, (0, 1, 3, 2)), rows) / count
    return product / channels if normalisation == "neural-style" else product


class StyleLoss(Term):
    """Squared distance of Gram matrices from those of another image, summed over layers and regions.

    Args:
        targets: {layer: float [B, R, C, C]} of `gram`, with the same normalisation.
        guides: {layer: float [B, h, w, R]} of the images that are made; None: all cells.
        normalisation: one of NORMALISATIONS; with "relative" and "paper" layers are averaged, otherwise added.
    """

    def __init__(
        self,
        targets: dict[str, np.ndarray],
        guides: dict[str, np.ndarray] | None = None,
        normalisation: str = "relative",
    ):
        if normalisation not in NORMALISATIONS:
            raise unknown_name("normalisation", normalisation, NORMALISATIONS)
        self.layers = tuple(targets)
        self.normalisation = normalisation
        self.weight = 1.0 / len(targets) if normalisation in ("relative", "paper") else 1.0
        self.guided = bool(guides)
        arrays = [np.asarray(target, np.float32) for target in targets.values()]
        if guides:
            arrays += [np.asarray(guides[layer], np.float32) for layer in targets]
        self.arrays = tuple(arrays)

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the loss of each image, float32 [B]."""
        total = 0.0
        for index, layer in enumerate(self.layers):
            guides = arrays[len(self.layers) + index] if self.guided else None
            own = gram(state.features[layer], guides, self.normalisation)
            difference = per_image(ops.square(own - arrays[index]))
            total = total + self.weight * difference / self._divisor(arrays[index])
        return total

    def _divisor(self, target: Tensor) -> Any:
        """Return what the summed squared difference of one layer is divided by."""
        if self.normalisation == "relative":
            return per_image(ops.square(target))
        square = float(target.shape[-1]) ** 2
        return {"paper": 4.0 * square, "port": square**2 / 1000.0, "neural-style": square}[self.normalisation]


class ContentLoss(Term):
    """Half the summed squared difference of maps from a target float [B, ...] ("paper"), its mean ("port",
    "neural-style"), or the sum over that of the squared target ("relative").
    """

    def __init__(self, layer: str, target: np.ndarray, normalisation: str = "relative"):
        self.layers = (layer,)
        self.arrays = (np.asarray(target, np.float32),)
        self.normalisation = normalisation
        self.count = float(np.prod(target.shape[1:]))

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the loss of each image, float32 [B]."""
        (target,) = arrays
        difference = per_image(ops.square(state.features[self.layers[0]] - target))
        if self.normalisation == "relative":
            return difference / per_image(ops.square(target))
        return 0.5 * difference if self.normalisation == "paper" else difference / self.count


def guides_of(regions: np.ndarray, cells: tuple[int, int], count: int) -> np.ndarray:
    """Return the share of each of `count` regions in each cell of a layer, float32 [h, w, R].

    Args:
        regions: int [H, W], index of each pixel's region, from 0.
        cells: h and w.
    """
    guides = np.zeros((*cells, count), np.float32)
    for region in range(count):
        mask = Image.fromarray((regions == region).astype(np.float32))
        guides[..., region] = np.asarray(mask.resize(cells[::-1], Image.Resampling.BOX))
    return guides
