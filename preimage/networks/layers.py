"""Which taps of a network stand for its depths, and which taps of two networks stand for the same depth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from preimage.networks.network import Network
from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import ConfigError

_ENDS = {"ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "Add", "Concatenate"}
_FOLLOWS = {"ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "BatchNormalization"}


def depth_taps(network: Network) -> list[str]:
    """Give the maps at which a step of a network ends, in its order.

    They are the layers that all of the picture passes (none inside the branches of a block) and that end in an
    activation, a sum or a concatenation, but those that only squeeze for the next one or have filtered each channel by
    itself; where a network has none, all maps.
    """
    layers = network.model.layers
    consumers = _consumers(layers)
    last, ends, maps = 0, [], []
    for number, layer in enumerate(layers):
        shape = tuple(getattr(layer.output, "shape", ()))
        if number and len(shape) == 4 and (shape[1] or 2) > 1:
            maps.append(layer.name)
            if last <= number and _is_end(layer, [layers[other] for other in consumers[number]]):
                ends.append(layer.name)
        last = max([last, *consumers[number]])
    wide = [
        name for name, following in zip(ends, [*ends[1:], None], strict=True) if not _squeezes(network, name, following)
    ]
    return [name for name in wide if not _is_depthwise(network.model.get_layer(name))] or maps


def spread(taps: Sequence[str], count: int) -> list[str]:
    """Choose up to `count` taps, evenly spread, the last among them."""
    if count < 1:
        raise ConfigError(f"got {count} depths, expected 1 or more")
    places = np.linspace(0, len(taps), min(count, len(taps)) + 1)[1:]
    return [taps[round(place) - 1] for place in places]


def matched_taps(network: Network, taps: Sequence[str], other: Network) -> list[str]:
    """Find the taps of another network that are as deep as given ones.

    Args:
        network: of the taps.
        taps: the shallow ones first.
        other: the network to search.

    Returns:
        one a tap: of the same name where the other network has all of them; else those that together differ least in
        the logarithm (base 2) of their stride plus the share of the network's weight layers before them, each
        deeper than the one before it as far as there are enough.
    """
    if set(taps) <= set(other.taps):
        return list(taps)
    candidates = depth_taps(other)
    costs = [
        [abs(_octaves(network, tap) - _octaves(other, name)) + abs(_share(network, tap) - _share(other, name))
         for name in candidates]
        for tap in taps
    ]  # fmt: skip
    return [candidates[place] for place in cheapest_rise(np.array(costs))]


def cheapest_rise(costs: np.ndarray) -> list[int]:
    """Choose a column of each row, each to the right of the one above, of the least sum of costs.

    Args:
        costs: float [rows, columns]; with fewer columns than rows, a column may serve several rows.
    """
    rows, columns = costs.shape
    step = 1 if columns >= rows else 0
    sums, came = costs[0], []
    for row in costs[1:]:
        first = [int(sums[: place + 1].argmin()) for place in range(columns)]
        best = np.concatenate([np.full(step, np.inf), sums[first][: columns - step]])
        came.append([0] * step + first[: columns - step])
        sums = best + row
    places = [int(sums.argmin())]
    for back in reversed(came):
        places.append(back[places[-1]])
    return places[::-1]


def _consumers(layers: Sequence[Any]) -> list[list[int]]:
    """Give for each layer the numbers of those that read it."""
    numbers = {id(layer): number for number, layer in enumerate(layers)}
    found: list[list[int]] = [[] for _ in layers]
    for number, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                source = numbers.get(id(tensor._keras_history[0]))
                if source is not None:
                    found[source].append(number)
    return found


def _is_end(layer: Any, consumers: Sequence[Any]) -> bool:
    fused = getattr(getattr(layer, "activation", None), "__name__", "linear") not in ("linear", "softmax")
    followed = len(consumers) == 1 and type(consumers[0]).__name__ in _FOLLOWS
    return (type(layer).__name__ in _ENDS or fused) and not followed


def _squeezes(network: Network, name: str, following: str | None) -> bool:
    if following is None:
        return False
    (*sides, width), (*next_sides, next_width) = network.shape(name), network.shape(following)
    return sides == next_sides and width < next_width


def _is_depthwise(layer: Any) -> bool:
    while type(layer).__name__ in _FOLLOWS:
        layer = layer.input._keras_history[0]
    return type(layer).__name__ == "DepthwiseConv2D"


def _octaves(network: Network, tap: str) -> float:
    shape = network.shape(tap)
    return float(np.log2(network.size / shape[0])) if len(shape) == 3 else float(np.log2(network.size))


def _share(network: Network, tap: str) -> float:
    """Give the share 0..1 of a network's layers with kernels that lie at or before a tap."""
    layers = network.model.layers
    weighty = [bool(layer.get_weights()) and type(layer).__name__ != "BatchNormalization" for layer in layers]
    name = network.output(str(replace(FeatureName.parse(tap), before_relu=False)))._keras_history[0].name
    place = next((number for number, layer in enumerate(layers) if layer.name == name), len(layers) - 1)
    return sum(weighty[: place + 1]) / max(sum(weighty), 1)
