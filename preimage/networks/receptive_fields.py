"""Receptive fields: which part of an image a unit depends on, computed from a network's layers.

Reference: Araujo, Norris & Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019.
"""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive fields of one layer's units, along one side of the image."""

    side: int = 1  # pixels that a unit depends on
    stride: int = 1  # pixels between neighbouring units
    start: int = 0  # first pixel of the first unit's field; below 0 where it extends beyond the edge


def receptive_field_of(output: Any, size: int) -> ReceptiveField:
    """Compute the receptive fields of a symbolic output of a functional Keras model, the widest over all paths.

    Units of dense layers and global means depend on the whole image, `size` x `size` pixels.
    """
    fields: dict[int, ReceptiveField] = {}
    stack = [output]
    while stack:  # depth first; a network may be deeper than Python's own stack
        tensor = stack[-1]
        layer, node_index, _ = tensor._keras_history
        sources = layer._inbound_nodes[node_index].input_tensors
        waiting = [source for source in sources if id(source) not in fields]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        fields[id(tensor)] = _after(layer, sources, [fields[id(source)] for source in sources], size)
    field = fields[id(output)]
    return replace(field, side=min(field.side, size))


def _after(layer: Any, sources: list[Any], inputs: list[ReceptiveField], size: int) -> ReceptiveField:
    """Return the fields of a layer's output, by those of its inputs; none of these: the image itself."""
    if not inputs:
        return ReceptiveField()
    kind = type(layer).__name__
    if kind.startswith("Global") or kind in ("Flatten", "InnerProduct") or len(sources[0].shape) < 4:
        return ReceptiveField(size, size, 0)
    field = ReceptiveField(
        side=max(one.side for one in inputs),
        stride=max(one.stride for one in inputs),
        start=min(one.start for one in inputs),
    )
    if kind == "ZeroPadding2D":
        return replace(field, start=field.start - layer.padding[0][0] * field.stride)
    kernel = _first(layer, "kernel_size", "pool_size")
    if kernel is None:
        return field
    stride = _first(layer, "strides") or 1
    reach = (kernel - 1) * (_first(layer, "dilation_rate", "dilation") or 1)
    before = _first(layer, "pad") or 0
    if getattr(layer, "padding", None) == "same":
        side = sources[0].shape[1] or size // field.stride
        before = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0) // 2
    start = field.start - before * field.stride
    return ReceptiveField(field.side + reach * field.stride, field.stride * stride, start)


def _first(layer: Any, *names: str) -> int | None:
    """Return the first side of the first of these attributes that a layer has."""
    for name in names:
        value = getattr(layer, name, None)
        if value is not None:
            return int(value[0]) if isinstance(value, (tuple, list)) else int(value)
    return None
