"""How much of a picture a unit sees: side, step and place of receptive fields, read off a network's layers.

Reference: Araujo, Norris & Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019.
"""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Field:
    """The receptive fields of one layer, along one side of the picture.

    Attributes:
        side: pixels that a unit sees.
        stride: pixels between neighbouring units.
        start: the first pixel of the first unit's field; below 0 where it hangs over the edge.
    """

    side: int = 1
    stride: int = 1
    start: int = 0


def field_of(output: Any, size: int) -> Field:
    """Give the fields of a symbolic output.

    Args:
        output: a tensor of a functional Keras model.
        size: side of the model's input in pixels.

    Returns:
        what lies behind several paths sees the widest of them; dense layers and global means see the whole picture.
    """
    found: dict[int, Field] = {}
    stack = [output]
    while stack:  # depth first; a network may be deeper than Python's own stack
        tensor = stack[-1]
        layer, node_index, _ = tensor._keras_history
        sources = layer._inbound_nodes[node_index].input_tensors
        waiting = [source for source in sources if id(source) not in found]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        seen = [found[id(source)] for source in sources]
        found[id(tensor)] = _behind(layer, sources, seen, size) if seen else Field()
    field = found[id(output)]
    return replace(field, side=min(field.side, size))


def _behind(layer: Any, sources: list[Any], seen: list[Field], size: int) -> Field:
    if _sees_everything(layer, sources):
        return Field(size, size, 0)
    field = Field(max(f.side for f in seen), max(f.stride for f in seen), min(f.start for f in seen))
    if type(layer).__name__ == "ZeroPadding2D":
        return replace(field, start=field.start - layer.padding[0][0] * field.stride)
    kernel = _first(layer, "kernel_size", "pool_size")
    if kernel is None:
        return field
    stride, dilation = _first(layer, "strides") or 1, _first(layer, "dilation_rate", "dilation") or 1
    reach = (kernel - 1) * dilation
    before = _first(layer, "pad") or 0
    if getattr(layer, "padding", None) == "same":
        side = sources[0].shape[1] or size // field.stride
        before = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0) // 2
    start = field.start - before * field.stride
    return Field(field.side + reach * field.stride, field.stride * stride, start)


def _sees_everything(layer: Any, sources: list[Any]) -> bool:
    kind = type(layer).__name__
    if kind.startswith("Global") or kind in ("Flatten", "InnerProduct"):
        return True
    return len(sources[0].shape) < 4 or (kind == "Dense" and len(sources[0].shape) == 2)


def _first(layer: Any, *names: str) -> int | None:
    for name in names:
        value = getattr(layer, name, None)
        if value is not None:
            return int(value[0]) if isinstance(value, (tuple, list)) else int(value)
    return None
