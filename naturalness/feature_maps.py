"""Feature maps of images of any size, from a frozen CNN: whole, tile by tile, or as a graph with gradients.

Letters: B images, H x W pixels, C channels.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vislang.backbones.activations import before_activation
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import load_backbone, require_keras
from vislang.backbones.resize import at_input_size
from vislang.core.errors import ConfigError, unknown_name

Tensor = Any
DATA = "data"  # the layer that is the image itself, as the CNN takes it
MIN_SIDE = 96  # pixels of the shorter side
_WIDE = 3840  # pixels; a side that all strides divide
_TILE = 384  # pixels, at most
_MARGIN = 256  # pixels, at least; beyond the receptive field of the layers in use


class FrozenLayers:
    """The maps of some layers of a CNN, for images of any size.

    Args:
        backbone: a name of `vislang.backbones.registry` or a file.
        layers: names of layers with maps; "pre:LAYER" for the values before the ReLU that a layer holds; or "data".
        mirrored: pixels of mirror padding around an image, cropped from its maps again; rounded up to whole cells of
            every layer.
        weights: as for `load_backbone`.

    Attributes:
        loaded: the backbone.
        channels: C of each layer.
        strides: pixels of the image from one cell of each layer to the next.

    Raises:
        ConfigError: an unknown layer, one without a map, or a CNN that only takes images of one size.
    """

    def __init__(
        self,
        backbone: str,
        layers: Sequence[str],
        *,
        mirrored: int = 0,
        weights: Any = None,
    ):
        require_keras(backbone)
        self.loaded = load_backbone(backbone, weights=weights)
        self.layers = tuple(layers)
        self.head = _head(backbone, self.loaded.model, self.layers)
        self.channels = tuple(int(output.shape[-1]) for output in self.head.outputs)
        shapes = self.head.compute_output_shape((1, _WIDE, _WIDE, 3))
        self.strides = tuple(round(_WIDE / shape[1]) for shape in shapes)
        # Networks without padding, such as AlexNet, lose cells at the edges: tiles would not fit together.
        self._pads = all(shape[1] * stride == _WIDE for shape, stride in zip(shapes, self.strides, strict=True))
        if mirrored and not self._pads:
            raise ConfigError(
                f"backbone {backbone} loses cells at the edges; expected mirror_padding=0, got {mirrored}"
            )
        # The cells of a tile that starts at a multiple are those of the whole image.
        self._cell = math.lcm(*self.strides)
        self.mirrored = math.ceil(mirrored / self._cell) * self._cell

    def maps(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Compute {layer: float32 [h, w, C]} of one image, tile by tile if it is large.

        Args:
            image: uint8 or float [H, W, 3], RGB, 0 to 255.

        Raises:
            ConfigError: it is too small.
        """
        require_size(image)
        height, width = image.shape[:2]
        if not self._pads or height * width <= (_TILE + 2 * _MARGIN) ** 2:
            found = self.tensors(np.asarray(image, np.float32)[None])
            return {layer: np.asarray(maps[0]) for layer, maps in found.items()}
        edge = self.mirrored
        padded = np.pad(image, ((edge, edge), (edge, edge), (0, 0)), "reflect")
        return self._cropped(self._tiled(padded), image.shape)

    def tensors(self, images: Tensor) -> dict[str, Tensor]:
        """Compute {layer: float32 [B, h, w, C]} of images, with gradients.

        Args:
            images: float32 [B, H, W, 3], RGB, 0 to 255.
        """
        edge = self.mirrored
        padded = images
        if edge:
            padded = ops.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), "reflect")
        return self._cropped(self._whole(padded), tuple(images.shape[1:]))

    def _whole(self, images: Tensor) -> dict[str, Tensor]:
        preprocessing = self.loaded.preprocessing
        values = images[..., :: preprocessing.step] / np.float32(preprocessing.divisor)
        values = (values - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
        outputs = self.head(values, training=False)
        if not isinstance(outputs, (list, tuple)):
            outputs = [outputs]
        return dict(zip(self.layers, outputs, strict=True))

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


def _head(backbone: str, network: Any, layers: Sequence[str]) -> Any:
    """Return a model from images of any size to the maps of layers; what lies behind them is cut off.

    Dense layers over a flattened map, as in VGG, take images of one size only.
    """
    outputs = [_layer_output(backbone, network, layer) for layer in layers if layer != DATA]
    if not outputs:
        images = keras.Input((None, None, network.input_shape[-1]))
        return keras.Model(images, [images for _ in layers])
    cut = at_input_size(backbone, keras.Model(network.input, outputs), None)
    found = iter(cut.outputs)
    return keras.Model(cut.input, [cut.input if layer == DATA else next(found) for layer in layers])


def _layer_output(backbone: str, network: Any, layer: str) -> Any:
    names = [layer.name for layer in network.layers]
    feature = FeatureName.parse(layer)
    if feature.layer not in names:
        raise unknown_name(f"layer of backbone {backbone}", layer, [DATA, *names])
    found = network.get_layer(feature.layer)
    output = before_activation(found) if feature.before_relu else found.output
    if len(getattr(output, "shape", ())) != 4:
        raise ConfigError(f"layer {layer} of backbone {backbone} has no map, expected a layer with output [B, h, w, C]")
    return output
