"""Feature maps of images of any size, from a frozen Keras CNN: as arrays, or as a graph with gradients.

Letters: B images, H x W pixels, C channels.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from naturalness.layer_maps import LayerMaps
from vislang.backbones.activations import before_activation
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import load_backbone, require_keras
from vislang.backbones.resize import at_input_size
from vislang.core.errors import ConfigError, unknown_name

Tensor = Any
DATA = "data"  # the layer that is the image itself, as the CNN takes it
_WIDE = 3840  # pixels; a side that all strides divide


class FrozenLayers(LayerMaps):
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
        self.head = _head(backbone, self.loaded.model, layers)
        self.channels = tuple(int(output.shape[-1]) for output in self.head.outputs)
        shapes = self.head.compute_output_shape((1, _WIDE, _WIDE, 3))
        strides = [round(_WIDE / shape[1]) for shape in shapes]
        pads = all(shape[1] * stride == _WIDE for shape, stride in zip(shapes, strides, strict=True))
        super().__init__(layers, strides, self.loaded.preprocessing, pads=pads, mirrored=mirrored)

    def forward(self, values: Tensor) -> Sequence[Tensor]:
        """Return float32 [B, h, w, C] of each layer, with gradients, for prepared images float32 [B, H, W, 3]."""
        outputs = self.head(values, training=False)
        if isinstance(outputs, (list, tuple)):
            return outputs
        return [outputs]

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
