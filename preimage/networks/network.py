"""A network to look into: RGB images in, features of any of its layers out, differentiable in between.

A layer is named by its own name; as "pre:LAYER", its values before its activation; as "scores", the class scores before
the softmax; or by a name of the backbone's own, such as "pooled" and "grid". Caffe networks also have "blob:NAME".
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from preimage.networks.receptive_fields import ReceptiveField, receptive_field_of
from vislang.backbones.activations import before_activation, ends_in_relu, is_softmax
from vislang.backbones.feature_name import LAYER, FeatureName
from vislang.core.compile import compiled
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.preprocess import Preprocessing, prepare

Tensor = Any
SCORES = "scores"
_GREY = (123.68, 116.779, 103.939)  # RGB mean of ImageNet, for preprocessing that subtracts none
_BATCH = 16  # images encoded at a time


class Network:
    """A network with named layers, `size` S pixels of a side and the colour `mean`, float32 [3], RGB 0..255.

    Args:
        name: as it was given to `load_network`.
        model: a functional Keras model with one square image input.
        preprocessing: how its images are prepared.
        aliases: {name: layer}, further names of layers.
        find_output: returns the symbolic output of names that only the importer knows.
        classes: names of its classes; () where the network does not hold them.
    """

    kind = "network"  # of `vislang.core.model_kinds`

    def __init__(
        self,
        name: str,
        model: Any,
        preprocessing: Preprocessing,
        aliases: dict[str, str] | None = None,
        find_output: Callable[[str], Any] | None = None,
        classes: Sequence[str] = (),
    ):
        self.name = name
        self.model = model
        self.preprocessing = preprocessing
        self.classes = tuple(classes)
        self.size = preprocessing.size
        self.mean = np.array(preprocessing.mean[:: preprocessing.step], np.float32) * preprocessing.divisor
        if not self.mean.any():
            self.mean = np.array(_GREY, np.float32)
        self._aliases = aliases or {}
        self._find_output = find_output
        self._heads: dict[tuple[str, ...], Any] = {}
        self._outputs: dict[str, Any] = {}
        self._encoders: dict[tuple[str, ...], Callable] = {}

    @property
    def layer_names(self) -> list[str]:
        """Names of all layers, without those before activations."""
        names = list(self._aliases)
        names += [layer.name for layer in self.model.layers[1:]]
        if self.has_classes:
            names.append(SCORES)
        return list(dict.fromkeys(names))

    @property
    def has_classes(self) -> bool:
        """Whether the network ends in a softmax."""
        return is_softmax(self.model.layers[-1])

    def before_relu(self, layer: str) -> str:
        """Return the name of the values before a layer's ReLU, which do not saturate; other layers' names as they are.

        For a concatenation of branches that all end in a ReLU, it is the concatenation of the values before them.
        """
        name = self._aliases.get(layer, layer)
        if name in self._keras_names() and ends_in_relu(self.model.get_layer(name)):
            return str(replace(FeatureName.parse(layer), before_relu=True))
        return layer

    def output(self, layer: str) -> Any:
        """Return the symbolic output of a layer; an unknown one, or scores without classes, is a ConfigError."""
        if layer not in self._outputs:
            self._outputs[layer] = self._output(layer)
        return self._outputs[layer]

    def _output(self, layer: str) -> Any:
        if layer == SCORES:
            if not self.has_classes:
                raise ConfigError(
                    f"network {self.name} ends without a softmax and has no class scores; choose a layer, such as"
                    f" {self.model.layers[-1].name}"
                )
            return before_activation(self.model.layers[-1])
        feature = FeatureName.parse(layer)
        name = self._aliases.get(feature.layer, feature.layer)
        if feature.kind == LAYER and name in self._keras_names():
            found = self.model.get_layer(name)
            output = found.output
            if feature.before_relu:
                output = before_activation(found)
            if layer == "pooled" and len(output.shape) == 4:
                output = ops.mean(output, axis=(1, 2))
            return output
        if self._find_output is not None and not feature.before_relu:
            return self._find_output(layer)
        raise unknown_name(f"layer of network {self.name}", layer, self.layer_names)

    def _keras_names(self) -> set[str]:
        return {layer.name for layer in self.model.layers}

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of one image's features at a layer, [h, w, C] or [units]."""
        return tuple(self.output(layer).shape[1:])

    def require_channels(self, layer: str, channels: Sequence[int]) -> None:
        """Refuse channels that a layer does not have."""
        require_channels(layer, self.shape(layer), channels)

    def receptive_field(self, layer: str) -> ReceptiveField:
        """Return the receptive fields of a layer's units."""
        return receptive_field_of(self.output(layer), self.size)

    def preprocess(self, images: Tensor) -> Tensor:
        """Return the model's input, float32 [B, S, S, 3], of images float32 [B, S, S, 3], RGB 0..255."""
        preprocessing = self.preprocessing
        ordered = images if preprocessing.step == 1 else ops.flip(images, axis=-1)
        values = ordered / preprocessing.divisor - np.array(preprocessing.mean, np.float32)
        return values / np.array(preprocessing.std, np.float32)

    def build(self, layers: Sequence[str]) -> None:
        """Build the model that ends in some layers; it copies weights, which cannot be done inside a compiled graph."""
        layers = tuple(layers)
        if layers and layers not in self._heads:
            self._heads[layers] = keras.Model(self.model.input, [self.output(layer) for layer in layers])

    def features(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return {layer: float32 [B, ...]}, the features of tensors float32 [B, S, S, 3], RGB 0..255.

        What lies behind the last layer is not computed.
        """
        layers = tuple(layers)
        if not layers:
            return {}
        self.build(layers)
        outputs = self._heads[layers](self.preprocess(images), training=False)
        if not isinstance(outputs, (list, tuple)):
            outputs = [outputs]
        return dict(zip(layers, outputs, strict=True))

    def resized(self, source: Any) -> np.ndarray:
        """Decode what `decode_image` takes and bring it to the network's size: float32 [S, S, 3], RGB 0..255."""
        plain = replace(self.preprocessing, step=1, divisor=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        return prepare(source, plain)

    def encode(self, images: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return {layer: float32 [B, ...]}, the features of arrays float32 [B, S, S, 3], RGB 0..255."""
        layers = tuple(layers)
        if layers not in self._encoders:
            self.build(layers)
            shape = (None, self.size, self.size, 3)
            self._encoders[layers] = compiled(lambda x: list(self.features(x, layers).values()), (shape, "float32"))
        batches = []
        for first in range(0, len(images), _BATCH):
            outputs = self._encoders[layers](np.asarray(images[first : first + _BATCH], np.float32))
            batches.append([ops.convert_to_numpy(output) for output in outputs])
        return {layer: np.concatenate(parts) for layer, *parts in zip(layers, *batches, strict=True)}


def require_channels(layer: str, shape: tuple[int, ...], channels: Sequence[int]) -> None:
    """Refuse channels that a layer of a shape, [h, w, C] or [units], does not have, as a ConfigError."""
    for channel in channels:
        if not 0 <= channel < shape[-1]:
            raise ConfigError(f"layer {layer} got channel {channel}, expected 0 to {shape[-1] - 1}")
