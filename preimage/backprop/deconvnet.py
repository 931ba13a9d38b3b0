"""One backward pass from a unit to the pixels, with three backward rules for ReLUs.

    gradient    g where the forward value was above 0
    deconvnet   g where g is above 0, whatever the forward value was
    guided      g where both are above 0

All other layers pass gradients as usual: convolutions by the transposed convolution with the same filters and without
biases, max pooling to the positions of the maxima. A deconvnet does not undo local contrast normalisation.

References: Zeiler & Fergus 2014, arXiv:1311.2901; Springenberg et al. 2015, arXiv:1412.6806.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from preimage.networks.activations import activation_name
from preimage.networks.network import Network, require_channels
from preimage.optimization.terms import per_image
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.sources import Skipped
from vislang.training.compile import compiled_gradient

Tensor = Any
RELU_RULES = ("gradient", "deconvnet", "guided")
_PASSED = {
    *("InputLayer", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "Dropout"),
    *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D"),
    *("Cropping2D", "Flatten", "Reshape", "Permute", "Add", "Average", "Concatenate", "Rescaling", "Identity"),
    *("Convolution", "Pooling", "InnerProduct", "Scale"),  # of vislang.backbones.caffe.load
}
_NORMALISATIONS = {"LRN"}


@dataclass(frozen=True)
class Projections:
    """Activations projected back to the pixels.

    Attributes:
        names: B names: path or index of each image.
        images: float32 [B, S, S, 3], RGB, the projections; `as_colours` makes them visible.
        activations: float32 [B], of the units that were projected.
        inputs: float32 [B, S, S, 3], RGB 0..255, the images at the network's size.
        skipped: images that could not be read, each with `source` and `reason`.
    """

    names: tuple[str, ...]
    images: np.ndarray
    activations: np.ndarray
    inputs: np.ndarray
    skipped: tuple[Skipped, ...] = ()


def project(
    network: Network, images: np.ndarray, layer: str, directions: np.ndarray, *, relu_rule: str = "deconvnet"
) -> np.ndarray:
    """Project <f, direction> back to the pixels.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255; they set the switches of pooling and the masks of ReLUs.
        directions: float32 [B, ...] of the layer's shape, such as one activation with all others 0.
        relu_rule: one of RELU_RULES.

    Returns:
        float32 [B, S, S, 3], RGB.

    Raises:
        ConfigError: an unknown rule, or a layer in between that the rule does not cover.
    """
    return Projector(network, layer, relu_rule)(images, directions)


class Projector:
    """A compiled backward pass; arguments as of `project`."""

    def __init__(self, network: Network, layer: str, relu_rule: str = "deconvnet"):
        if relu_rule not in RELU_RULES:
            raise unknown_name("ReLU rule", relu_rule, RELU_RULES)
        self._model = keras.Model(network.model.input, network.output(layer))
        if relu_rule != "gradient":
            self._model = _with_rule(network.name, self._model, relu_rule)
        self._network = network
        image = ((None, network.size, network.size, 3), "float32")
        self._compiled = compiled_gradient(self._product, image, ((None, *network.shape(layer)), "float32"))

    def __call__(self, images: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the projections, float32 [B, S, S, 3], RGB."""
        _, gradient = self._compiled(np.asarray(images, np.float32), np.asarray(directions, np.float32))
        return ops.convert_to_numpy(gradient)

    def _product(self, images: Tensor, directions: Tensor) -> Tensor:
        features = self._model(self._network.preprocess(images), training=False)
        return per_image(features * directions)


def strongest_unit(layer: str, features: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Return the direction of the largest activation of each image: its value there and 0 elsewhere.

    Args:
        features: float32 [B, ...].
        channel: where to search; None: all channels.

    Returns:
        float32 [B, ...] of the shape of `features`.

    Raises:
        ConfigError: a channel that the layer does not have.
    """
    values = features
    if channel is not None:
        require_channels(layer, features.shape, [channel])
        values = np.where(np.arange(features.shape[-1]) == channel, features, -np.inf)
    rows = np.arange(len(features))
    units = values.reshape(len(features), -1).argmax(axis=1)
    directions = np.zeros(features.shape, np.float32).reshape(len(features), -1)
    directions[rows, units] = features.reshape(len(features), -1)[rows, units]
    return directions.reshape(features.shape)


def as_colours(projections: np.ndarray) -> np.ndarray:
    """Scale projections float [B, S, S, 3] to colours uint8: 0 is grey, the 99.5th percentile of sizes saturates."""
    sizes = np.quantile(np.abs(projections).reshape(len(projections), -1), 0.995, axis=1)
    scaled = projections / np.maximum(sizes, 1e-12)[:, None, None, None]
    return (127.5 + 127.5 * np.clip(scaled, -1, 1)).round().astype(np.uint8)


def _with_rule(name: str, model: Any, relu_rule: str) -> Any:
    """Return the same network with another backward rule of its ReLUs."""

    def copy_of(layer: Any) -> Any:
        kind = type(layer).__name__
        activation = activation_name(layer)
        if kind == "ReLU" or (kind == "Activation" and activation in ("relu", "relu6")):
            return _RuledReLU(_limit(name, layer), relu_rule, name=layer.name)
        if kind in _NORMALISATIONS and relu_rule == "deconvnet":
            return _ForwardOnly(layer, name=layer.name)
        is_passed = kind in _PASSED or kind in _NORMALISATIONS or (kind == "Activation" and activation == "linear")
        if not is_passed:
            raise ConfigError(
                f"ReLU rule {relu_rule} does not cover layer {layer.name} ({kind}) of network {name}; choose a layer"
                " below it, or rule gradient"
            )
        copy = layer.__class__.from_config(layer.get_config())
        if activation in ("relu", "relu6"):
            copy.activation = _ruled_relu(_limit(name, layer), relu_rule)
        elif activation != "linear":
            raise ConfigError(
                f"ReLU rule {relu_rule} does not cover the {activation} of layer {layer.name} of network {name}; choose"
                f" pre:{layer.name}, or rule gradient"
            )
        return copy

    copy = keras.models.clone_model(model, clone_function=copy_of)
    copy.set_weights(model.get_weights())
    return copy


def _limit(name: str, layer: Any) -> float | None:
    """Return the largest value of a layer's ReLU, or None."""
    if type(layer).__name__ != "ReLU":
        return 6.0 if activation_name(layer) == "relu6" else None
    if layer.negative_slope or layer.threshold:
        raise ConfigError(
            f"layer {layer.name} of network {name} is a ReLU with a slope or a threshold, which no ReLU rule covers;"
            " choose a layer below it, or rule gradient"
        )
    return layer.max_value


class _RuledReLU(keras.layers.Layer):
    def __init__(self, limit: float | None, relu_rule: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.function = _ruled_relu(limit, relu_rule)

    def call(self, x: Tensor) -> Tensor:
        """Return the ReLU of x."""
        return self.function(x)


class _ForwardOnly(keras.layers.Layer):
    """A normalisation in the forward pass, the identity in the backward pass."""

    def __init__(self, inner: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x: Tensor) -> Tensor:
        """Return the normalised x."""
        return x + ops.stop_gradient(self.inner(x) - x)


def _ruled_relu(limit: float | None, relu_rule: str) -> Callable[[Tensor], Tensor]:
    """Return a ReLU with a backward rule; a saturated one passes nothing."""

    @ops.custom_gradient
    def relu(x: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        def backward(*arguments: Any, upstream: Any = None) -> Tensor:
            gradient = arguments[0] if upstream is None else upstream
            gradient = ops.maximum(gradient, 0.0)
            if relu_rule == "deconvnet":
                return gradient
            passes = x > 0
            if limit is not None:
                passes = ops.logical_and(passes, x < limit)
            return gradient * ops.cast(passes, gradient.dtype)

        value = ops.maximum(x, 0.0)
        if limit is not None:
            value = ops.minimum(value, limit)
        return value, backward

    return relu
