"""Filters from white noise: a few gradient steps on a channel's mean activation, each of the same length.

    g <- g / (rms(g) + 1e-5);  x <- x + g

The defaults are those of the report that this method is from, which shows filter 110 (counted from 1) of conv5 of
VGG_CNN_S before its ReLU: x starts as U(-1, 1) + 100, is the network's input as it is, without its mean subtracted,
and is shown after 20 steps as x / 255. Its variants: 20 U(-1, 1) + 128 and 25 steps; 50 steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from preimage.networks.network import Network
from preimage.optimization.objectives import unit_directions
from preimage.optimization.optimizer import Preimages
from preimage.optimization.terms import per_image
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream
from vislang.training.compile import compiled_gradient

_FLOOR = 1e-5


def filters_from_noise(
    network: Network,
    layer: str,
    channels: Sequence[int],
    *,
    amplitude: float = 1.0,
    offset: float = 100.0,
    steps: int = 20,
    preprocess: bool | None = None,
    options: SearchOptions = SearchOptions(),
) -> Preimages:
    """Maximise channels from white noise; arguments, measures and errors as of `preimage.filters_from_noise`."""
    if steps < 1:
        raise ConfigError(f"steps got {steps}, expected 1 or more")
    layer = network.before_relu(layer)  # most units are inactive for noise and have no gradient behind their ReLU
    if preprocess is None:
        preprocess = not has_pixel_range(network)
    directions = unit_directions(layer, network.shape(layer), channels, channel_mean=True)
    directions = (directions > 0).astype(np.float32)
    noise = stream(options.seed, "preimage", "white noise").uniform(-1.0, 1.0, (network.size, network.size, 3))
    start = np.repeat((amplitude * noise + offset)[None], len(channels), axis=0).astype(np.float32)
    flipped = not preprocess and network.recipe.step == -1

    def activation(x: Any, directions: Any) -> Any:
        values = network.preprocess(x) if preprocess else x
        return per_image(network.features_of_input(values, [layer])[layer] * directions)

    def shown(x: Any) -> np.ndarray:
        images = np.clip(ops.convert_to_numpy(x), 0.0, 255.0)
        return images[..., ::-1] if flipped else images

    network.build([layer])
    x = ops.convert_to_tensor(start)
    specs = [((None, *start.shape[1:]), "float32"), ((None, *directions.shape[1:]), "float32")]
    loss_and_gradient = compiled_gradient(activation, *specs)
    losses = []
    for step in range(1, steps + 1):
        activations, gradient = loss_and_gradient(x, directions)
        if step == 1:
            _require_gradient(layer, channels, ops.convert_to_numpy(gradient))
        losses.append(-ops.convert_to_numpy(activations))
        x = x + gradient / (ops.sqrt(ops.mean(ops.square(gradient), axis=(1, 2, 3), keepdims=True)) + _FLOOR)
        if options.watch is not None and (step % options.watch_every == 0 or step == steps):
            options.watch(step, shown(x))
        if options.progress is not None:
            options.progress(1)
    images = shown(x)
    features = network.encode(images, [layer])[layer]
    channel_means = features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)
    mean_activation = channel_means[np.arange(len(channels)), list(channels)]
    return Preimages(images, np.stack(losses), {"mean_activation": mean_activation})


def has_pixel_range(network: Network) -> bool:
    """Return whether a network's input is RGB or BGR 0..255, apart from a mean."""
    return network.recipe.divisor == 1.0 and network.recipe.deviation == (1.0, 1.0, 1.0)


def _require_gradient(layer: str, channels: Sequence[int], gradient: np.ndarray) -> None:
    largest = np.abs(gradient).reshape(len(gradient), -1).max(axis=1)
    if not np.all(largest > 0):
        channel = channels[int(np.argmin(largest))]
        raise ConfigError(
            f"channel {channel} of layer {layer} has gradient 0 at the noise, so that no filter appears; choose another"
            " channel, or a layer before a ReLU: pre:LAYER"
        )
