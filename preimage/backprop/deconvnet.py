"""One backward pass from a unit to the pixels, with three backward rules for ReLUs.

    gradient    g where the forward value was above 0
    deconvnet   g where g is above 0, whatever the forward value was
    guided      g where both are above 0

All other layers pass gradients as usual: convolutions by the transposed convolution with the same filters and without
biases, max pooling to the positions of the maxima. A deconvnet does not undo local contrast normalisation.

References: Zeiler & Fergus 2014, arXiv:1311.2901; Springenberg et al. 2015, arXiv:1412.6806.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from preimage.networks.network import Network, require_channels
from preimage.optimization.terms import per_image
from vislang.backbones.activations import activation_name
from vislang.core.compile import compiled_gradient
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.sources import Skipped

Tensor = Any
RELU_RULES = ("gradient", "deconvnet", "guided")
_PASSED = {
    *("InputLayer", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "Dropout"),
    *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D"),
    *("Cropping2D", "Flatten", "Reshape", "Permute", "Add", "Average", "Concatenate", "Rescaling", "Identity"),
    *("Convolution", "Pooling", "InnerProduct", "Scale", "LRN"),  # of vislang.backbones.caffe.load
}


@dataclass(frozen=True)
class Projections:
    """Activations projected back to the pixels."""

    names: tuple[str, ...]  # path or index of each of the B images
    images: np.ndarray  # float32 [B, S, S, 3], RGB, the projections; `as_colours` makes them visible
    activations: np.ndarray  # float32 [B], of the units that were projected
    inputs: np.ndarray  # float32 [B, S, S, 3], RGB 0..255, the images at the network's size
    skipped: tuple[Skipped, ...] = ()


def project(
    network: Network, images: np.ndarray, layer: str, directions: np.ndarray, *, relu_rule: str = "deconvnet"
) -> np.ndarray:
    """Project <f, direction> back to the pixels.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255; they set the switches of pooling and the masks of ReLUs.
        directions: float32 [B, ...] of the layer's shape, such as one activation with all others 0.
        relu_rule: one of RELU_RULES; one that does not cover a layer in between is a ConfigError.

    Returns:
        float32 [B, S, S, 3], RGB.
    """
    if relu_rule not in RELU_RULES:
        raise unknown_name("ReLU rule", relu_rule, RELU_RULES)
    model = keras.Model(network.model.input, network.output(layer))
    if relu_rule != "gradient":
        model = _with_rule(network.name, model, relu_rule)

    def product(images: Tensor, directions: Tensor) -> Tensor:
        return per_image(model(network.preprocess(images), training=False) * directions)

    shape = (None, network.size, network.size, 3)
    product_and_gradient = compiled_gradient(product, (shape, "float32"), ((None, *network.shape(layer)), "float32"))
    _, gradient = product_and_gradient(np.asarray(images, np.float32), np.asarray(directions, np.float32))
    return ops.convert_to_numpy(gradient)


def strongest_unit(layer: str, features: np.ndarray, channel: int | Sequence[int] | None = None) -> np.ndarray:
    """Return the direction of the largest activation of each image, float32 [B, ...].

    It holds the value of the features, float32 [B, ...], there and 0 elsewhere. A channel, for all images or for each,
    restricts it to units of that channel.
    """
    values = features
    if channel is not None:
        channels = np.broadcast_to(np.asarray(channel), len(features))
        require_channels(layer, features.shape, channels.tolist())
        is_channel = np.arange(features.shape[-1]) == channels.reshape(-1, *[1] * (features.ndim - 1))
        values = np.where(is_channel, features, -np.inf)
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
            return keras.layers.Activation(_ruled_relu(_limit(name, layer), relu_rule), name=layer.name)
        if kind == "LRN" and relu_rule == "deconvnet":  # Caffe's normalisation: its gradient is that of the identity
            return keras.layers.Activation(lambda x: x + ops.stop_gradient(layer(x) - x), name=layer.name)
        if kind not in _PASSED and not (kind == "Activation" and activation == "linear"):
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
