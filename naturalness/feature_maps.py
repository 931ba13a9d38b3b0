"""Feature maps of pictures of any size, from a frozen CNN: whole, tile by tile, or as a graph with gradients.

Letters: B pictures, H x W pixels, C channels.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vislang.backbones.registry import load_backbone
from vislang.backbones.resize import at_input_size
from vislang.core.errors import ConfigError, unknown_name

Tensor = Any
DATA = "data"  # the layer that is the image itself, as the CNN takes it
LEAST = 96  # pixels of the shorter side
_WIDE = 3840  # pixels; a side that tells strides exactly
_TILE = 384  # pixels, at most and at least; no cell of the layers in use sees further than the margin
_MARGIN = 256


class FrozenLayers:
    """A CNN that takes pictures of any size and gives the maps of some layers.

    Args:
        backbone: a name of `vislang.backbones.registry` or a file.
        layers: names of layers with maps, or "data".
        mirrored: pixels of its mirror image that are put around a picture, and taken off its maps again; rounded up to
            whole cells of every layer.
        weights: as for `load_backbone`.
        preprocessing: as for `load_backbone`.

    Attributes:
        loaded: the backbone.
        channels: C of each layer.
        strides: pixels of the picture from one cell of each layer to the next.

    Raises:
        ConfigError: an unknown layer, one without a map, or a CNN that only takes pictures of one size.
    """

    def __init__(
        self,
        backbone: str,
        layers: Sequence[str],
        *,
        mirrored: int = 0,
        weights: Any = None,
        preprocessing: str | None = None,
    ):
        self.loaded = load_backbone(backbone, weights=weights, preprocessing=preprocessing)
        if self.loaded.model is None:
            raise ConfigError(f"backbone {backbone} is no Keras network whose layers can be reached; choose another")
        self.layers = tuple(layers)
        network = at_input_size(backbone, self.loaded.model, None)
        outputs = [network.input if layer == DATA else _layer_output(backbone, network, layer) for layer in layers]
        self.head = keras.Model(network.input, outputs)
        self.channels = tuple(int(output.shape[-1]) for output in outputs)
        shapes = self.head.compute_output_shape((1, _WIDE, _WIDE, 3))
        self.strides = tuple(round(_WIDE / shape[1]) for shape in shapes)
        self._cell = math.lcm(*self.strides)  # what starts at its multiples has its cells where the whole picture has
        self.mirrored = math.ceil(mirrored / self._cell) * self._cell

    def maps(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Give the maps of one picture, a large one tile by tile: memory grows with the maps, not with the layers.

        Args:
            picture: uint8 or float [H, W, 3], RGB, 0 to 255.

        Returns:
            {layer: float32 [h, w, C]}.

        Raises:
            ConfigError: it is too small.
        """
        height, width = picture.shape[:2]
        if min(height, width) < LEAST:
            raise ConfigError(
                f"the picture has {width} x {height} pixels, expected at least {LEAST} x {LEAST}; enlarge it"
            )
        if height * width <= (_TILE + 2 * _MARGIN) ** 2:
            found = self.tensors(np.asarray(picture, np.float32)[None])
            return {layer: np.asarray(maps[0]) for layer, maps in found.items()}
        edge = self.mirrored
        return self._cropped(
            self._tiled(np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), "reflect")), picture.shape
        )

    def tensors(self, pictures: Tensor) -> dict[str, Tensor]:
        """Give the maps of pictures as tensors, with gradients.

        Args:
            pictures: float32 [B, H, W, 3], RGB, 0 to 255.

        Returns:
            {layer: float32 [B, h, w, C]}.
        """
        edge = self.mirrored
        wide = pictures
        if edge:
            wide = ops.pad(pictures, ((0, 0), (edge, edge), (edge, edge), (0, 0)), "reflect")
        return self._cropped(self._whole(wide), tuple(pictures.shape[1:]))

    def _whole(self, pictures: Tensor) -> dict[str, Tensor]:
        preprocessing = self.loaded.preprocessing
        values = pictures[..., :: preprocessing.step] / np.float32(preprocessing.divisor)
        values = (values - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
        outputs = self.head(values, training=False)
        return dict(zip(self.layers, outputs if isinstance(outputs, (list, tuple)) else [outputs], strict=True))

    def _cropped(self, maps: dict[str, Tensor], shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Take off what the mirror image added to maps [..., h, w, C]."""
        if not self.mirrored:
            return maps
        found = {}
        for (layer, one), stride in zip(maps.items(), self.strides, strict=True):
            edge, height, width = self.mirrored // stride, *(math.ceil(side / stride) for side in shape[:2])
            found[layer] = one[..., edge : edge + height, edge : edge + width, :]
        return found

    def _tiled(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        height, width = picture.shape[:2]
        tile = max(1, _TILE // self._cell) * self._cell
        margin = math.ceil(_MARGIN / self._cell) * self._cell
        found: dict[str, list[list[np.ndarray]]] = {layer: [] for layer in self.layers}
        for top in range(0, height, tile):
            for rows in found.values():
                rows.append([])
            for left in range(0, width, tile):
                above = min(top, margin)
                before = min(left, margin)
                part = picture[top - above : top + tile + margin, left - before : left + tile + margin]
                tensors = self._whole(np.asarray(part, np.float32)[None])
                for (layer, maps), stride in zip(tensors.items(), self.strides, strict=True):
                    down, across = (
                        slice(skipped // stride, skipped // stride + math.ceil(min(tile, total - start) / stride))
                        for skipped, start, total in ((above, top, height), (before, left, width))
                    )
                    found[layer][-1].append(np.array(maps[0][down, across]))
        return {layer: np.concatenate([np.concatenate(row, axis=1) for row in rows]) for layer, rows in found.items()}


def _layer_output(backbone: str, network: Any, layer: str) -> Any:
    names = [layer.name for layer in network.layers]
    if layer not in names:
        raise unknown_name(f"layer of backbone {backbone}", layer, [DATA, *names])
    output = network.get_layer(layer).output
    if len(getattr(output, "shape", ())) != 4:
        raise ConfigError(f"layer {layer} of backbone {backbone} has no map, expected a layer with output [B, h, w, C]")
    return output
