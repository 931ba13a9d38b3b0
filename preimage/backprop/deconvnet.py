"""One backward pass from a unit to the picture, with three rules for how it passes a ReLU.

    gradient    g where the forward value was above 0
    deconvnet   g where g is above 0, whatever the forward value was
    guided      g where both are above 0

All else is passed as gradients are: convolutions by the transposed convolution with the same filters and without
biases, max pooling by the places that won on the way up. A deconvnet does not undo local contrast normalisation.

References: Zeiler & Fergus 2014, arXiv:1311.2901; Springenberg et al. 2015, arXiv:1412.6806.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from preimage.networks.network import Network
from vislang.core.errors import ConfigError, unknown_name
from vislang.training.compile import compiled_gradient

Tensor = Any
RULES = ("gradient", "deconvnet", "guided")
_PASSED = {
    *("InputLayer", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "Dropout"),
    *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D"),
    *("Cropping2D", "Flatten", "Reshape", "Permute", "Add", "Average", "Concatenate", "Rescaling", "Identity"),
    *("Convolution", "Pooling", "InnerProduct", "Scale"),  # of vislang.backbones.caffe.load
}
_NORMALISATIONS = {"LRN"}


def project(
    network: Network, pictures: np.ndarray, layer: str, directions: np.ndarray, *, rule: str = "deconvnet"
) -> np.ndarray:
    """Bring <f, direction> back to the pixels.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255; they set the switches of pooling and the masks of ReLUs.
        layer: the tap.
        directions: float32 [B, ...] of the tap's shape, such as one activation with all others 0.
        rule: one of RULES.

    Returns:
        float32 [B, S, S, 3], RGB.

    Raises:
        ConfigError: an unknown rule, or a layer on the way that the rule says nothing about.
    """
    return Projector(network, layer, rule)(pictures, directions)


class Projector:
    """A compiled backward pass; arguments as of `project`."""

    def __init__(self, network: Network, layer: str, rule: str = "deconvnet"):
        if rule not in RULES:
            raise unknown_name("rule", rule, RULES)
        model = keras.Model(network.model.input, network.output(layer))
        self._model = model if rule == "gradient" else _with_rule(network.name, model, rule)
        self._network, self._shape = network, network.shape(layer)
        picture = ((None, network.size, network.size, 3), "float32")
        self._compiled = compiled_gradient(self._product, picture, ((None, *self._shape), "float32"))

    def __call__(self, pictures: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Give float32 [B, S, S, 3]."""
        _, slope = self._compiled(np.asarray(pictures, np.float32), np.asarray(directions, np.float32))
        return ops.convert_to_numpy(slope)

    def _product(self, pictures: Tensor, directions: Tensor) -> Tensor:
        features = self._model(self._network.normalised(pictures), training=False)
        return ops.sum(features * directions, axis=tuple(range(1, len(self._shape) + 1)))


def strongest_unit(features: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Give the direction of the largest activation of each picture, its own value there and 0 elsewhere.

    Args:
        features: float32 [B, ...].
        channel: where to look; None: all channels.
    """
    flat = features.reshape(len(features), -1, features.shape[-1])
    looked = flat if channel is None else np.where(np.arange(flat.shape[-1]) == channel, flat, -np.inf)
    best = looked.reshape(len(features), -1).argmax(axis=1)
    directions = np.zeros(features.shape, np.float32).reshape(len(features), -1)
    rows = np.arange(len(features))
    directions[rows, best] = features.reshape(len(features), -1)[rows, best]
    return directions.reshape(features.shape)


def shown(projection: np.ndarray) -> np.ndarray:
    """Bring projections to colours: 0 is grey, the 99.5th percentile of sizes is full; uint8 [B, S, S, 3]."""
    sizes = np.quantile(np.abs(projection).reshape(len(projection), -1), 0.995, axis=1)
    scaled = projection / np.maximum(sizes, 1e-12)[:, None, None, None]
    return (127.5 + 127.5 * np.clip(scaled, -1, 1)).round().astype(np.uint8)


def _with_rule(name: str, model: Any, rule: str) -> Any:
    """Give the same network, whose ReLUs go back by a rule."""

    def twin(layer: Any) -> Any:
        kind = type(layer).__name__
        if kind == "ReLU" or (kind == "Activation" and layer.activation.__name__ in ("relu", "relu6")):
            return _RuledReLU(_limit(name, layer), rule, name=layer.name)
        if kind in _NORMALISATIONS:
            return _NotUndone(layer, name=layer.name) if rule == "deconvnet" else layer.__class__.from_config(
                layer.get_config()
            )  # fmt: skip
        if kind not in _PASSED and not (kind == "Activation" and layer.activation.__name__ == "linear"):
            raise ConfigError(
                f"rule {rule} cannot go back through layer {layer.name} ({kind}) of network {name}; choose a layer"
                " below it, or rule gradient"
            )
        copy = layer.__class__.from_config(layer.get_config())
        fused = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if fused in ("relu", "relu6"):
            copy.activation = _ruled(6.0 if fused == "relu6" else None, rule)
        elif fused != "linear":
            raise ConfigError(
                f"rule {rule} cannot go back through the {fused} of layer {layer.name} of network {name}; choose"
                f" pre:{layer.name}, or rule gradient"
            )
        return copy

    turned = keras.models.clone_model(model, clone_function=twin)
    turned.set_weights(model.get_weights())
    return turned


def _limit(name: str, layer: Any) -> float | None:
    if type(layer).__name__ == "Activation":
        return 6.0 if layer.activation.__name__ == "relu6" else None
    if layer.negative_slope or layer.threshold:
        raise ConfigError(
            f"layer {layer.name} of network {name} is a ReLU with a slope or a threshold, which the rules say nothing"
            " about; choose a layer below it, or rule gradient"
        )
    return layer.max_value


class _RuledReLU(keras.layers.Layer):
    def __init__(self, limit: float | None, rule: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.function = _ruled(limit, rule)

    def call(self, x: Tensor) -> Tensor:
        return self.function(x)


class _NotUndone(keras.layers.Layer):
    """A normalisation on the way up, the identity on the way down."""

    def __init__(self, inner: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x: Tensor) -> Tensor:
        return x + ops.stop_gradient(self.inner(x) - x)


def _ruled(limit: float | None, rule: str) -> Callable[[Tensor], Tensor]:
    """Give a ReLU with its own way back; one that is cut off above passes nothing where it is."""

    @ops.custom_gradient
    def relu(x: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        def back(*arguments: Any, upstream: Any = None) -> Tensor:
            slope = arguments[0] if upstream is None else upstream
            slope = ops.maximum(slope, 0.0)
            if rule == "deconvnet":
                return slope
            passes = x > 0 if limit is None else ops.logical_and(x > 0, x < limit)
            return slope * ops.cast(passes, slope.dtype)

        value = ops.maximum(x, 0.0)
        return (value if limit is None else ops.minimum(value, limit)), back

    return relu
