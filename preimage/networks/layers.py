"""Which layers of a network to show, and which layers of two networks correspond."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vislang.backbones.activations import activation_name
from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from preimage.networks.network import Network

_ENDS = {"ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "Add", "Concatenate"}
_FOLLOWS = {"ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "BatchNormalization"}


def deepest_map(network: "Network") -> str:
    """Return the layer "grid", or the last layer whose output is a map."""
    if "grid" in network.layer_names:
        return "grid"
    for layer in reversed(network.model.layers):
        if len(getattr(layer.output, "shape", ())) == 4:
            return layer.name
    raise ConfigError(f"network {network.name} has no layer whose output is a map; name one: --layer NAME")


def middle_map(network: "Network") -> str:
    """Return the map at which the middle one of a network's blocks ends; inversions of the deepest are mostly noise."""
    ends = block_ends(network)
    if not ends:
        raise ConfigError(f"network {network.name} has no layer whose output is a map; name one: --layer NAME")
    return evenly_spaced_layers(ends, 2)[0]


def block_ends(network: "Network") -> list[str]:
    """Return the maps at which the blocks of a network end, in its order.

    They are the layers that all data passes (none inside the branches of a block) and that end in an activation, a sum
    or a concatenation, except bottlenecks of the next layer and depthwise convolutions; where a network has none, all
    maps.
    """
    layers = network.model.layers
    consumers = _consumers(layers)
    last = 0
    ends = []
    maps = []
    for index, layer in enumerate(layers):
        shape = tuple(getattr(layer.output, "shape", ()))
        if index and len(shape) == 4 and (shape[1] or 2) > 1:
            maps.append(layer.name)
            if last <= index and _is_end(layer, [layers[other] for other in consumers[index]]):
                ends.append(layer.name)
        last = max([last, *consumers[index]])
    wide = []
    for name, following in zip(ends, [*ends[1:], None], strict=True):
        if not _is_bottleneck(network, name, following) and not _is_depthwise(network.model.get_layer(name)):
            wide.append(name)
    return wide or maps


def named_layers(network: "Network", names: Sequence[str]) -> list[str]:
    """Return the layers that a command names; for "all", the ends of all blocks and the dense layers behind them."""
    if list(names) != ["all"]:
        return list(names)
    dense = []
    for layer in network.model.layers:
        if layer.weights and len(getattr(layer.output, "shape", ())) == 2:
            dense.append(layer.name)
    return [*block_ends(network), *dense]


def evenly_spaced_layers(layers: Sequence[str], count: int) -> list[str]:
    """Choose up to `count` layers, evenly spread, the last among them."""
    if count < 1:
        raise ConfigError(f"got {count} layers, expected 1 or more")
    positions = np.linspace(0, len(layers), min(count, len(layers)) + 1)[1:]
    return [layers[round(position) - 1] for position in positions]


def matched_layers(network: "Network", layers: Sequence[str], other: "Network") -> list[str]:
    """Find one layer of another network for each layer, shallow ones first, that is as deep.

    They are those of the same names where the other network has all of them; otherwise those that together differ least
    in the logarithm (base 2) of their stride plus the share of the network's weight layers before them, each deeper
    than the one before it as far as there are enough.
    """
    if set(layers) <= set(other.layer_names):
        return list(layers)
    candidates = block_ends(other)
    own = _depths(network, layers)
    others = _depths(other, candidates)
    costs = np.abs(own[:, None] - others[None]).sum(axis=-1)
    return [candidates[column] for column in cheapest_path(costs)]


def cheapest_path(costs: np.ndarray) -> list[int]:
    """Choose a column of each row, each to the right of the one above, with the least sum of costs [rows, columns].

    With fewer columns than rows, a column may serve several rows.
    """
    rows, columns = costs.shape
    step = int(columns >= rows)
    sums = costs[0]
    previous = []
    for row in costs[1:]:
        first = [int(sums[: column + 1].argmin()) for column in range(columns)]
        best = np.concatenate([np.full(step, np.inf), sums[first][: columns - step]])
        previous.append([0] * step + first[: columns - step])
        sums = best + row
    path = [int(sums.argmin())]
    for back in reversed(previous):
        path.append(back[path[-1]])
    return path[::-1]


def _consumers(layers: Sequence[Any]) -> list[list[int]]:
    """Return for each layer the indices of those that read it."""
    indices = {id(layer): index for index, layer in enumerate(layers)}
    consumers: list[list[int]] = [[] for _ in layers]
    for index, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                source = indices.get(id(tensor._keras_history[0]))
                if source is not None:
                    consumers[source].append(index)
    return consumers


def _is_end(layer: Any, consumers: Sequence[Any]) -> bool:
    fused = activation_name(layer) not in ("linear", "softmax")
    followed = len(consumers) == 1 and type(consumers[0]).__name__ in _FOLLOWS
    return (type(layer).__name__ in _ENDS or fused) and not followed


def _is_bottleneck(network: "Network", name: str, following: str | None) -> bool:
    """Return whether the next map has the same sides and more channels."""
    if following is None:
        return False
    shape = network.shape(name)
    next_shape = network.shape(following)
    return shape[:-1] == next_shape[:-1] and shape[-1] < next_shape[-1]


def _is_depthwise(layer: Any) -> bool:
    while type(layer).__name__ in _FOLLOWS:
        layer = layer.input._keras_history[0]
    return type(layer).__name__ == "DepthwiseConv2D"


def _depths(network: "Network", layers: Sequence[str]) -> np.ndarray:
    """Return float [L, 2]: log2 of the stride of layers, and the share of weight layers at or before them."""
    weighted = []
    for layer in network.model.layers:
        weighted.append(bool(layer.weights) and type(layer).__name__ != "BatchNormalization")
    indices = {layer.name: index for index, layer in enumerate(network.model.layers)}
    depths = np.zeros((len(layers), 2))
    for row, name in enumerate(layers):
        shape = network.shape(name)
        side = shape[0] if len(shape) == 3 else 1
        layer = network.output(str(replace(FeatureName.parse(name), before_relu=False)))._keras_history[0]
        index = indices.get(layer.name, len(weighted) - 1)
        depths[row] = np.log2(network.size / side), sum(weighted[: index + 1]) / max(sum(weighted), 1)
    return depths
