"""Filters from white noise: a few gradient steps on a channel's mean activation, each of the same length.

    g <- g / (rms(g) + 1e-5);  x <- x + g

x starts as U(-1, 1) + 100 and, for networks whose input has the range 0..255, is this input itself, without the mean
subtracted. The report that this method is from shows filter 110 (counted from 1) of conv5 of VGG_CNN_S before its ReLU,
after 20 steps, as x / 255.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.options import SearchOptions
from vislang.core.errors import ConfigError
from vislang.core.model_kinds import require_kind
from vislang.core.seeds import stream

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages

_OFFSET = 100.0
_FLOOR = 1e-5


def filters_from_noise(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    steps: int = 20,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Maximise channels from white noise in a few steps, without a prior.

    Args:
        layer: of one that ends in a ReLU, the values before it are maximised.
        channels: indices, one image each.
        steps: number of updates.

    Returns:
        with the measure "mean_activation".

    Raises:
        ConfigError: an unknown layer or channel, or a channel that does not depend on the noise.

    Example:
        >>> filters_from_noise(network, "last", [1], steps=2).names
        ('last 1',)
    """
    import keras
    from keras import ops

    from preimage.optimization.objectives import unit_directions
    from preimage.optimization.optimizer import Preimages
    from preimage.optimization.terms import per_image
    from vislang.core.compile import compiled_gradient

    require_kind(network, "network")
    if steps < 1:
        raise ConfigError(f"steps got {steps}, expected 1 or more")
    names = tuple(f"{layer} {channel}" for channel in channels)
    layer = network.before_relu(layer)  # most units are inactive for noise and have no gradient behind their ReLU
    directions = unit_directions(layer, network.shape(layer), channels, channel_mean=True)
    directions = (directions > 0).astype(np.float32)
    is_input = network.preprocessing.divisor == 1.0 and network.preprocessing.std == (1.0, 1.0, 1.0)
    model = keras.Model(network.model.input, network.output(layer))

    def activation(x: Any, directions: Any) -> Any:
        values = x if is_input else network.preprocess(x)
        return per_image(model(values, training=False) * directions)

    shape = (None, network.size, network.size, 3)
    activation_and_gradient = compiled_gradient(
        activation, (shape, "float32"), ((None, *network.shape(layer)), "float32")
    )
    noise = stream(options.seed, "preimage", "white noise").uniform(-1.0, 1.0, shape[1:])
    x = np.repeat((noise + _OFFSET)[None], len(channels), axis=0).astype(np.float32)
    losses = []
    for step in range(1, steps + 1):
        activations, gradient = activation_and_gradient(x, directions)
        losses.append(-ops.convert_to_numpy(activations))
        largest = ops.convert_to_numpy(ops.max(ops.abs(gradient), axis=(1, 2, 3)))
        if step == 1 and not np.all(largest > 0):
            raise ConfigError(
                f"channel {channels[int(np.argmin(largest))]} of layer {layer} has gradient 0 at the noise, so that no"
                " filter appears; choose another channel, or a layer before a ReLU: pre:LAYER"
            )
        length = ops.sqrt(ops.mean(ops.square(gradient), axis=(1, 2, 3), keepdims=True))
        x = ops.convert_to_numpy(x + gradient / (length + _FLOOR))
        images = np.clip(x, 0.0, 255.0)
        if is_input and network.preprocessing.step == -1:
            images = images[..., ::-1]
        if options.watch is not None and (step % options.watch_every == 0 or step == steps):
            options.watch(step, images)
        if options.progress is not None:
            options.progress(1)
    features = network.encode(images, [layer])[layer]
    channel_means = features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)
    mean_activation = channel_means[np.arange(len(channels)), list(channels)]
    return Preimages(images, np.stack(losses), measures={"mean_activation": mean_activation}, names=names)
