"""A filter seen from white noise: a few steps up the slope of its mean response, each of the same length.

    g <- g / (rms(g) + 1e-5);  x <- x + g

The defaults are those of the report that this recipe is from, which saw filter 110 (counted from 1) of conv5 of
VGG_CNN_S before its ReLU: x starts as U(-1, 1) + 100, is fed to the network as it is, without a mean taken off, and is
shown after 20 steps as x / 255. Its variants: 20 U(-1, 1) + 128 and 25 steps; 50 steps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from preimage.networks.network import Network
from preimage.optimization.objectives import unit_directions
from vislang.core.seeds import stream
from vislang.training.compile import compiled_gradient

_FLOOR = 1e-5


def filters_from_noise(
    network: Network,
    layer: str,
    channels: Sequence[int],
    *,
    spread: float = 1.0,
    middle: float = 100.0,
    steps: int = 20,
    raw: bool = True,
    seed: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """See filters.

    Args:
        network: see `preimage.networks.network`.
        layer: the tap; "pre:LAYER" where the layer holds its ReLU.
        channels: counted from 0, one picture each.
        spread: x starts as spread * U(-1, 1) + middle.
        middle: see there.
        steps: how many.
        raw: feed x as it is, as the report does; else by the network's recipe. Networks that expect -1..1 need that.
        seed: of the noise, the same for all filters.
        progress: called with 1 after each step.

    Returns:
        float32 [B, S, S, 3], RGB 0..255, clipped.
    """
    directions = (unit_directions(network.shape(layer), channels, whole=True) > 0).astype(np.float32)
    noise = stream(seed, "preimage", "white noise").uniform(-1.0, 1.0, (network.size, network.size, 3))
    x = ops.convert_to_tensor(np.repeat((spread * noise + middle)[None], len(channels), axis=0).astype(np.float32))
    network.prepare([layer])

    def response(x: Any, directions: Any) -> Any:
        values = x if raw else network.normalised(x)
        features = network.features_of_input(values, [layer])[layer]
        return ops.sum(features * directions, axis=tuple(range(1, len(features.shape))))

    shapes = [((None, *x.shape[1:]), "float32"), ((None, *directions.shape[1:]), "float32")]
    slope_of = compiled_gradient(response, *shapes)
    for _ in range(steps):
        _, slope = slope_of(x, directions)
        x = x + slope / (ops.sqrt(ops.mean(ops.square(slope), axis=(1, 2, 3), keepdims=True)) + _FLOOR)
        if progress is not None:
            progress(1)
    found = np.clip(ops.convert_to_numpy(x), 0.0, 255.0)
    return found[..., ::-1] if raw and network.recipe.step == -1 else found


def takes_raw(network: Network) -> bool:
    """Say whether a network was trained on values of the size of 0..255, so that noise can be fed to it as it is."""
    return network.recipe.divisor == 1.0 and network.recipe.deviation == (1.0, 1.0, 1.0)
