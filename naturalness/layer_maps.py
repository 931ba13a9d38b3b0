"""Feature maps of images of any size, whole or tile by tile, from any function that computes those of an array.

Letters: B images, H x W pixels, C channels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from vislang.core.errors import ConfigError
from vislang.images.preprocess import Preprocessing

Tensor = Any
MIN_SIDE = 96  # pixels of the shorter side
_TILE = 384  # pixels, at most
_MARGIN = 256  # pixels, at least; beyond the receptive field of the layers in use


class LayerMaps(ABC):
    """The maps of some layers of a CNN, for images of any size.

    Args:
        layers: their names.
        strides: pixels of the image from one cell of each layer to the next.
        preprocessing: of the CNN.
        pads: whether a layer has a cell for every stride of the image; networks without padding, such as AlexNet, lose
            cells at the edges: tiles would not fit together.
        mirrored: pixels of mirror padding around an image, cropped from its maps again; rounded up to whole cells of
            every layer.

    Raises:
        ConfigError: mirror padding for a CNN without padding.
    """

    def __init__(
        self, layers: Sequence[str], strides: Sequence[int], preprocessing: Preprocessing, *, pads: bool, mirrored: int
    ):
        if mirrored and not pads:
            raise ConfigError(f"the backbone loses cells at the edges; expected mirror_padding=0, got {mirrored}")
        self.layers = tuple(layers)
        self.strides = tuple(strides)
        self.preprocessing = preprocessing
        self.pads = pads
        # The cells of a tile that starts at a multiple are those of the whole image.
        self._cell = math.lcm(*self.strides)
        self.mirrored = math.ceil(mirrored / self._cell) * self._cell

    @abstractmethod
    def forward(self, values: Tensor) -> Sequence[Tensor]:
        """Return float32 [B, h, w, C] of each layer, for prepared images float32 [B, H, W, 3]."""

    def maps(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Compute {layer: float32 [h, w, C]} of one image, tile by tile if it is large.

        Args:
            image: uint8 or float [H, W, 3], RGB, 0 to 255.

        Raises:
            ConfigError: it is too small.
        """
        require_size(image)
        height, width = image.shape[:2]
        edge = self.mirrored
        padded = np.pad(image, ((edge, edge), (edge, edge), (0, 0)), "reflect")
        if not self.pads or height * width <= (_TILE + 2 * _MARGIN) ** 2:
            tensors = self._whole(np.asarray(padded, np.float32)[None])
            found = {layer: np.asarray(maps[0]) for layer, maps in tensors.items()}
        else:
            found = self._tiled(padded)
        return self._cropped(found, image.shape)

    def _whole(self, images: Tensor) -> dict[str, Tensor]:
        preprocessing = self.preprocessing
        values = images[..., :: preprocessing.step] / np.float32(preprocessing.divisor)
        values = (values - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
        return dict(zip(self.layers, self.forward(values), strict=True))

    def _cropped(self, maps: dict[str, Tensor], shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Crop the mirror padding from maps [..., h, w, C] of images of this shape."""
        if not self.mirrored:
            return maps
        found = {}
        for (layer, one), stride in zip(maps.items(), self.strides, strict=True):
            edge = self.mirrored // stride
            height, width = (math.ceil(side / stride) for side in shape[:2])
            found[layer] = one[..., edge : edge + height, edge : edge + width, :]
        return found

    def _tiled(self, image: np.ndarray) -> dict[str, np.ndarray]:
        height, width = image.shape[:2]
        tile = max(1, _TILE // self._cell) * self._cell
        margin = math.ceil(_MARGIN / self._cell) * self._cell
        found: dict[str, list[list[np.ndarray]]] = {layer: [] for layer in self.layers}
        for top in range(0, height, tile):
            for rows in found.values():
                rows.append([])
            for left in range(0, width, tile):
                above = min(top, margin)
                before = min(left, margin)
                part = image[top - above : top + tile + margin, left - before : left + tile + margin]
                tensors = self._whole(np.asarray(part, np.float32)[None])
                for (layer, maps), stride in zip(tensors.items(), self.strides, strict=True):
                    rows_of_tile = _cells(above, min(tile, height - top), stride)
                    columns_of_tile = _cells(before, min(tile, width - left), stride)
                    found[layer][-1].append(np.array(maps[0][rows_of_tile, columns_of_tile]))
        return {layer: np.concatenate([np.concatenate(row, axis=1) for row in rows]) for layer, rows in found.items()}


class ExportedLayers(LayerMaps):
    """The maps that a graph of a CNN computes.

    Args:
        graph: returns the maps of all layers, for prepared images.
        others: as for `LayerMaps`.
    """

    def __init__(self, graph: Any, *others: Any, mirrored: int):
        super().__init__(*others, pads=True, mirrored=mirrored)
        self.graph = graph

    def forward(self, values: Tensor) -> Sequence[Tensor]:
        """Return what the graph returns."""
        return self.graph.run([values], list(self.layers))


def require_size(image: np.ndarray) -> None:
    """Refuse an image [H, W, 3] that is too small, with a ConfigError."""
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ConfigError(
            f"the image has {width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}; enlarge it"
        )


def _cells(skipped: int, pixels: int, stride: int) -> slice:
    """Return the cells of so many pixels behind the skipped ones."""
    first = skipped // stride
    return slice(first, first + math.ceil(pixels / stride))
