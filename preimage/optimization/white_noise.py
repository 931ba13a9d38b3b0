"""Filters from white noise: a few gradient steps on a channel's mean activation, each of the same length.

    g <- g / (rms(g) + 1e-5);  x <- x + g

The defaults are those of the report that this method is from, which shows filter 110 (counted from 1) of conv5 of
VGG_CNN_S before its ReLU: x starts as U(-1, 1) + 100, is the network's input as it is, without its mean subtracted,
and is shown after 20 steps as x / 255. Its variants: 20 U(-1, 1) + 128 and 25 steps; 50 steps.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.options import SearchOptions
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages

_FLOOR = 1e-5


def filters_from_noise(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    amplitude: float = 1.0,
    offset: float = 100.0,
    steps: int = 20,
    preprocess: bool | None = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Maximise channels from white noise in a few steps, without a prior.

    Args:
        network: from `load_network`.
        layer: its name; of a layer that ends in a ReLU, the values before it.
        channels: indices, one image each.
        amplitude: of the noise, uniform from -amplitude to amplitude.
        offset: added to the noise.
        steps: number of updates.
        preprocess: whether the noise passes the network's preprocessing; None: only for networks whose input is not of
            the range 0..255.
        options: of the search.

    Returns:
        with the measure "mean_activation".

    Raises:
        ConfigError: an unknown layer or channel, less than 1 step, or a channel that does not depend on the noise.

    Example:
        >>> filters_from_noise(network, "last", [1], steps=2).names
        ('last 1',)
    """
    from preimage.optimization.objectives import unit_directions
    from preimage.optimization.optimizer import Preimages

    if steps < 1:
        raise ConfigError(f"steps got {steps}, expected 1 or more")
    names = tuple(f"{layer} {channel}" for channel in channels)
    layer = network.before_relu(layer)  # most units are inactive for noise and have no gradient behind their ReLU
    if preprocess is None:
        preprocess = not has_pixel_range(network)
    directions = unit_directions(layer, network.shape(layer), channels, channel_mean=True)
    directions = (directions > 0).astype(np.float32)
    noise = stream(options.seed, "preimage", "white noise").uniform(-1.0, 1.0, (network.size, network.size, 3))
    x = np.repeat((amplitude * noise + offset)[None], len(channels), axis=0).astype(np.float32)
    losses = []
    update = _update_of(network, layer, preprocess)
    for step in range(1, steps + 1):
        x, activations, gradient = update(x, directions)
        losses.append(-activations)
        if step == 1:
            _require_gradient(layer, channels, gradient)
        images = np.clip(x, 0.0, 255.0)
        if not preprocess and network.preprocessing.step == -1:
            images = images[..., ::-1]
        if options.watch is not None and (step % options.watch_every == 0 or step == steps):
            options.watch(step, images)
        if options.progress is not None:
            options.progress(1)
    features = network.encode(images, [layer])[layer]
    channel_means = features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)
    mean_activation = channel_means[np.arange(len(channels)), list(channels)]
    return Preimages(images, np.stack(losses), measures={"mean_activation": mean_activation}, names=names)


def _update_of(network: "Network", layer: str, preprocess: bool) -> Callable[..., Any]:
    """Return a function of x float32 [B, S, S, 3] and directions: the next x, the activations [B], and the gradient."""
    from keras import ops

    from preimage.optimization.terms import per_image
    from vislang.training.compile import compiled_gradient

    network.build([layer])

    def activation(x: Any, directions: Any) -> Any:
        values = network.preprocess(x) if preprocess else x
        return per_image(network.features_of_input(values, [layer])[layer] * directions)

    specs = [((None, network.size, network.size, 3), "float32"), ((None, *network.shape(layer)), "float32")]
    activation_and_gradient = compiled_gradient(activation, *specs)

    def update(x: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        activations, gradient = activation_and_gradient(x, directions)
        x = x + gradient / (ops.sqrt(ops.mean(ops.square(gradient), axis=(1, 2, 3), keepdims=True)) + _FLOOR)
        return ops.convert_to_numpy(x), ops.convert_to_numpy(activations), ops.convert_to_numpy(gradient)

    return update


def has_pixel_range(network: "Network") -> bool:
    """Return whether a network's input is RGB or BGR 0..255, apart from a mean."""
    return network.preprocessing.divisor == 1.0 and network.preprocessing.std == (1.0, 1.0, 1.0)


def _require_gradient(layer: str, channels: Sequence[int], gradient: np.ndarray) -> None:
    largest = np.abs(gradient).reshape(len(gradient), -1).max(axis=1)
    if not np.all(largest > 0):
        channel = channels[int(np.argmin(largest))]
        raise ConfigError(
            f"channel {channel} of layer {layer} has gradient 0 at the noise, so that no filter appears; choose another"
            " channel, or a layer before a ReLU: pre:LAYER"
        )
