"""A Caffe network as a list of layers: from a prototxt file with the new or the old layer list."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vislang.backbones.caffe.prototxt import Message, read_text
from vislang.core.errors import DataError

MOST_LAYERS = 2000
MOST_NUMBERS = 2**28  # in one blob of one image: 1 GiB

# Layers that only training needs; a network in use is complete without them.
_TRAINING = {"Accuracy", "EuclideanLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss", "Silence"}
_TRAINING |= {"SigmoidCrossEntropyLoss", "SoftmaxWithLoss", "ContrastiveLoss", "HDF5Output"}
_DATA = {"Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData", "Input"}
# V1LayerParameter.LayerType by the name of today's type; the rest differ by case and underscores alone.
_OLD_KINDS = {"RELU": "ReLU", "LRN": "LRN", "SOFTMAX_LOSS": "SoftmaxWithLoss", "HDF5_DATA": "HDF5Data"}
_OLD_KINDS |= {"HDF5_OUTPUT": "HDF5Output", "TANH": "TanH", "BNLL": "BNLL", "MVN": "MVN"}


@dataclass(frozen=True)
class Layer:
    """A layer reads the blobs `bottoms` and writes the blobs `tops`; written in place, they are the same."""

    name: str
    kind: str  # Caffe's name of today, such as "InnerProduct"
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    options: Message


@dataclass(frozen=True)
class CaffeNetwork:
    """A network with one input."""

    name: str  # its own
    input: str  # the blob that holds the image
    shape: tuple[int, int, int]  # height, width and channels of the image
    layers: tuple[Layer, ...]  # in the order in which Caffe runs them


def read_network(path: str | Path, size: tuple[int, int] | None = None) -> CaffeNetwork:
    """Read a prototxt file as Caffe does in its TEST phase.

    Args:
        path: a deploy file, or one for training, whose data, loss and accuracy layers are ignored.
        size: height and width of the image, where the file says none or another one is wanted.

    Raises:
        DataError: unreadable, hostile, no network, or without the size of its input.
    """
    text = read_text(path)
    if text.has("layer") and text.has("layers"):
        raise DataError(f"{path}: has both `layer` and `layers`, expected one of the two lists")
    old = text.has("layers")
    blocks = text.children("layers" if old else "layer")
    if not 0 < len(blocks) <= MOST_LAYERS:
        raise DataError(f"{path}: has {len(blocks)} layers, expected 1 to {MOST_LAYERS}; give a network's .prototxt")
    layers = list[Layer]()
    inputs = dict(_declared_inputs(text))
    for block in blocks:
        if not _is_for_use(block):
            continue
        layer = _layer(str(path), block, old)
        if layer.kind in _DATA:
            inputs |= _data_inputs(layer, block)
        elif layer.kind not in _TRAINING:
            layers.append(layer)
    used = {blob for layer in layers for blob in layer.bottoms}
    name, shape = _only_input(str(path), {blob: shape for blob, shape in inputs.items() if blob in used}, size)
    return CaffeNetwork(text.text("name") or "caffe", name, shape, tuple(layers))


def check_size(where: str, what: str, shape: Sequence[int | None]) -> None:
    """Refuse a blob without numbers or with more of them than a machine can hold, before anything is allocated."""
    axes = [axis for axis in shape if axis is not None]
    if min(axes, default=1) < 1 or math.prod(axes) > MOST_NUMBERS:
        raise DataError(f"{where}: {what} would be {axes}, expected 1 to {MOST_NUMBERS} numbers for an image")


def _layer(path: str, block: Message, old: bool) -> Layer:
    name = block.text("name")
    kind = block.text("type")
    where = f"{path}: layer {name[:80]!r}"
    if not kind and block.has("layer"):
        raise DataError(f"{path}: Caffe's first format; upgrade it with Caffe's upgrade_net_proto_text")
    if not name or not kind:
        raise DataError(f"{where}: has no name or no type, expected both")
    if old:
        kind = _OLD_KINDS.get(kind, "".join(word.capitalize() for word in kind.split("_")))
    options = block.at(where).child(_options_block(kind)).at(where)
    return Layer(name, kind, block.texts("bottom"), block.texts("top"), options)


def _options_block(kind: str) -> str:
    """Return the name of the block with the options of a kind: inner_product_param of "InnerProduct"."""
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", kind.replace("ReLU", "Relu"))
    return f"{words.lower()}_param"


def _is_for_use(block: Message) -> bool:
    included = block.children("include")
    excluded = block.children("exclude")
    if included:
        return any(map(_meets, included))
    return not any(map(_meets, excluded))


def _meets(rule: Message) -> bool:
    """Return whether a rule meets the state of a network in use: phase TEST, level 0, no stage."""
    levels = rule.integer("min_level", 0) <= 0 <= rule.integer("max_level", 0)
    return rule.text("phase", "TEST") == "TEST" and levels and not rule.has("stage")


_Shape = tuple[int, ...] | None  # as Caffe writes it: [N, C, H, W]; None: not said


def _declared_inputs(text: Message) -> dict[str, _Shape]:
    names = text.texts("input")
    dims = text.integers("input_dim")
    shapes = [shape.integers("dim") for shape in text.children("input_shape")]
    shapes = shapes or [dims[start : start + 4] for start in range(0, len(dims), 4)]
    return {name: shapes[index] if index < len(shapes) else None for index, name in enumerate(names)}


def _data_inputs(layer: Layer, block: Message) -> dict[str, _Shape]:
    shapes: list[_Shape] = [shape.integers("dim") for shape in layer.options.children("shape")]
    crop = block.child("transform_param").integer("crop_size", 0)
    if layer.kind != "Input" and crop:
        shapes = [(1, 3, crop, crop)]
    shapes = shapes * len(layer.tops) if len(shapes) == 1 else shapes
    return {top: shapes[index] if index < len(shapes) else None for index, top in enumerate(layer.tops)}


def _only_input(path: str, inputs: dict[str, _Shape], size: tuple[int, int] | None) -> tuple[str, tuple[int, int, int]]:
    if len(inputs) != 1:
        raise DataError(f"{path}: its layers read {len(inputs)} inputs ({', '.join(inputs)}), expected one image")
    ((name, shape),) = inputs.items()
    if shape is None and size is not None:
        shape = (1, 3, *size)
    if shape is None or len(shape) != 4:
        raise DataError(f"{path}: input {name!r} has shape {shape}, expected N, C, H, W; give its height and width")
    height, width = size or shape[2:]
    check_size(path, f"input {name!r}", (height, width, shape[1]))
    return name, (height, width, shape[1])
