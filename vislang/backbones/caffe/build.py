"""From the layers of a Caffe network and its weights to a Keras model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from vislang.backbones.caffe import layers as caffe_layers
from vislang.backbones.caffe.layers import pooled_side
from vislang.backbones.caffe.network import CaffeNetwork, Layer, check_size
from vislang.core.errors import DataError, brief

Shape = tuple[int, ...]  # of a blob of one image in our axis order: (H, W, C) or (C,)


class Weights(Protocol):
    """Where the arrays of a layer come from, in Caffe's axis order."""

    def take(self, layer: str, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return float32 arrays of these shapes, or raise a DataError."""


@dataclass(frozen=True)
class _Task:
    """A layer to build, the shapes that it reads, and where its weights are."""

    layer: Layer
    shapes: tuple[Shape, ...]
    weights: Weights
    name: str  # in Keras

    @property
    def where(self) -> str:
        return self.layer.options.where

    def fail(self, message: str) -> DataError:
        return DataError(f"{self.where}: {message}")


_Made = tuple[keras.layers.Layer, list[np.ndarray]]  # the layer, and what its weights become


def build(network: CaffeNetwork, weights: Weights) -> keras.Model:
    """Build a network and fill it.

    Args:
        network: as read or as defined by us.
        weights: of all of its layers.

    Returns:
        A model of float32 [B, H, W, C]; its outputs are the blobs that no layer reads. Two attributes name them:
        `caffe_layers`, {Caffe's layer: Keras' layer}, and `caffe_blobs`, {blob: the layer that wrote it last}.

    Raises:
        DataError: a kind of layer or an option that is not supported, blobs or weights that do not fit.
    """
    image = keras.Input(network.shape, name=_keras_name(network.input, set()))
    blobs = {network.input: image}
    writers = {network.input: network.input}
    layers = {network.input: image.name}
    unread = dict[str, Any]()
    for layer in network.layers:
        inputs = [_find(layer, blob, blobs) for blob in layer.bottoms]
        if layer.name in layers and layer.name != network.input:
            raise DataError(f"{layer.options.where}: two layers have this name, expected different ones")
        name = _keras_name(layer.name, set(layers.values()))
        output = _add(_Task(layer, tuple(tuple(blob.shape[1:]) for blob in inputs), weights, name), inputs)
        layers[layer.name] = name
        for blob in layer.bottoms:
            unread.pop(blob, None)
        for blob in layer.tops:
            blobs[blob] = unread[blob] = output
            writers[blob] = layer.name
    outputs = output
    if len(unread) > 1:
        outputs = list(unread.values())
    try:
        model = keras.Model(image, outputs, name=_keras_name(network.name, set()))
    except RecursionError as error:
        raise DataError(
            f"network {network.name[:80]!r}: {len(network.layers)} layers are too deep for Keras"
        ) from error
    model.caffe_layers = layers
    model.caffe_blobs = writers
    return model


def _keras_name(name: str, taken: set[str]) -> str:
    """Keras allows no slash in the name of a layer."""
    flat = name.replace("/", "_")
    while flat in taken:
        flat += "_"
    return flat


def _find(layer: Layer, blob: str, blobs: dict[str, Any]) -> Any:
    if blob not in blobs:
        raise DataError(f"{layer.options.where}: reads blob {blob[:80]!r}, which no layer before it writes")
    return blobs[blob]


def _add(task: _Task, inputs: list[Any]) -> Any:
    layer = task.layer
    if layer.kind not in _KINDS:
        raise task.fail(f"type {layer.kind[:80]!r} is not supported, expected one of: {', '.join(sorted(_KINDS))}")
    kind = _KINDS[layer.kind]
    if not inputs or (len(inputs) > 1 and not kind.many):
        raise task.fail(f"reads {len(inputs)} blobs, expected {'at least one' if kind.many else 'one'}")
    if len(layer.tops) != 1 and layer.kind != "Split":
        raise task.fail(f"writes {len(layer.tops)} blobs, expected one")
    layer.options.allow(kind.options, layer.kind)
    made, arrays = kind.make(task)
    try:
        output = made(inputs if kind.many else inputs[0])
        made.set_weights(arrays)
    except Exception as error:  # Keras and TensorFlow each raise their own for shapes that do not fit
        raise task.fail(f"cannot be built on blobs {task.shapes} ({brief(error)})") from error
    check_size(task.where, "its output", output.shape)
    return output


def _two(task: _Task, name: str, default: int, least: int, short: str = "") -> tuple[int, int]:
    """Read an option for height and width: `name` once or twice, or `short_h` and `short_w`."""
    options = task.layer.options
    short = short or name
    values = options.integers(name)
    height = options.integer(f"{short}_h", -1)
    width = options.integer(f"{short}_w", -1)
    if (height >= 0) != (width >= 0) or (values and height >= 0) or len(values) > 2:
        raise task.fail(f"{name} must be given once, for both sides, or as {short}_h and {short}_w")
    pair = (height, width) if height >= 0 else (values or (default,))
    if min(pair) < least or max(pair) >= 2**16:
        raise task.fail(f"{name} is {pair}, expected {least} to {2**16 - 1}")
    return pair[0], pair[-1]


def _map(task: _Task) -> Shape:
    if len(task.shapes[0]) != 3:
        raise task.fail(f"reads a blob of shape {task.shapes[0]}, expected a map [C, H, W]")
    return task.shapes[0]


def _axis(task: _Task, caffe_axis: int) -> int:
    """Turn an axis of [N, C, H, W] or [N, C] into ours."""
    rank = len(task.shapes[0]) + 1
    order = (0, 3, 1, 2) if rank == 4 else tuple(range(rank))
    if not -rank <= caffe_axis < rank:
        raise task.fail(f"axis {caffe_axis} of a blob with {rank} axes")
    return order[caffe_axis]


def _convolution(task: _Task) -> _Made:
    height, width, channels = _map(task)
    options = task.layer.options
    filters = options.integer("num_output", 0)
    groups = options.integer("group", 1)
    kernel = _two(task, "kernel_size", 0, 1, "kernel")
    stride = _two(task, "stride", 1, 1)
    pad = _two(task, "pad", 0, 0)
    dilation = _two(task, "dilation", 1, 1)
    if filters < 1 or groups < 1 or filters % groups or channels % groups:
        raise task.fail(f"{filters} filters of {channels} channels in {groups} groups, expected equal groups")
    if options.integer("axis", 1) != 1:
        raise task.fail("axis must be 1, the channels")
    reach = [step * (side - 1) + 1 for side, step in zip(kernel, dilation, strict=True)]
    padded = (height + 2 * pad[0], width + 2 * pad[1])
    if reach[0] > padded[0] or reach[1] > padded[1]:
        raise task.fail(f"the kernel reaches over {reach} cells of a map of {padded}, padding included")
    check_size(task.where, "its padded input", (*padded, channels))
    bias = options.flag("bias_term", True)
    shapes = [(filters, channels // groups, *kernel), (filters,)][: 1 + bias]
    arrays = task.weights.take(task.layer.name, shapes)
    arrays[0] = arrays[0].transpose(2, 3, 1, 0)
    made = caffe_layers.Convolution(filters, kernel, stride, pad, dilation, groups, bias, name=task.name)
    return made, arrays


def _pooling(task: _Task) -> _Made:
    height, width, channels = _map(task)
    options = task.layer.options
    method = options.text("pool", "MAX")
    mode = options.text("round_mode", "CEIL")
    if method not in ("MAX", "AVE") or mode not in ("CEIL", "FLOOR"):
        raise task.fail(f"pool {method} with round_mode {mode}, expected MAX or AVE, and CEIL or FLOOR")
    whole = options.flag("global_pooling", False)
    kernel = (height, width) if whole else _two(task, "kernel_size", 0, 1, "kernel")
    stride = _two(task, "stride", 1, 1)
    pad = _two(task, "pad", 0, 0)
    for side, window, step, edge in zip((height, width), kernel, stride, pad, strict=True):
        if edge >= window or window > side + 2 * edge:
            raise task.fail(f"a window of {window} on a side of {side} + 2 * {edge}, expected {edge + 1} to that")
        if (pooled_side(side, window, step, edge, ceil=mode == "CEIL") - 1) * step - edge >= side:
            raise task.fail(f"its last window, of {window} each {step}, would lie outside of the side of {side}")
    check_size(task.where, "its padded input", (height + 2 * pad[0], width + 2 * pad[1], channels))
    return caffe_layers.Pooling(method, kernel, stride, pad, mode == "CEIL", name=task.name), []


def _lrn(task: _Task) -> _Made:
    _map(task)
    options = task.layer.options
    n = options.integer("local_size", 5)
    region = options.text("norm_region", "ACROSS_CHANNELS")
    if n % 2 == 0 or not 0 < n < 1000 or region not in ("ACROSS_CHANNELS", "WITHIN_CHANNEL"):
        raise task.fail(f"local_size {n} {region}, expected an odd number, ACROSS_CHANNELS or WITHIN_CHANNEL")
    alpha = options.number("alpha", 1.0)
    beta = options.number("beta", 0.75)
    k = options.number("k", 1.0)
    return caffe_layers.LRN(n, alpha, beta, k, region == "WITHIN_CHANNEL", name=task.name), []


def _inner_product(task: _Task) -> _Made:
    options = task.layer.options
    shape = task.shapes[0]
    units = options.integer("num_output", 0)
    inputs = int(np.prod(shape))
    transposed = options.flag("transpose", False)
    bias = options.flag("bias_term", True)
    if units < 1 or _axis(task, options.integer("axis", 1)) != len(shape):
        raise task.fail(f"num_output {units} over axis {options.integer('axis', 1)}, expected at least 1, over axis 1")
    matrix = (units, inputs)
    if transposed:
        matrix = (inputs, units)
    arrays = task.weights.take(task.layer.name, [matrix, (units,)][: 1 + bias])
    kernel = arrays[0].T  # [inputs, units], the inputs in the order C, H, W
    if transposed:
        kernel = arrays[0]
    if len(shape) == 3:
        height, width, channels = shape
        kernel = kernel.reshape(channels, height, width, units).transpose(1, 2, 0, 3).reshape(inputs, units)
    arrays[0] = kernel
    return caffe_layers.InnerProduct(units, bias, name=task.name), arrays


def _relu(task: _Task) -> _Made:
    return keras.layers.ReLU(negative_slope=task.layer.options.number("negative_slope", 0.0), name=task.name), []


def _softmax(task: _Task) -> _Made:
    return keras.layers.Softmax(_axis(task, task.layer.options.integer("axis", 1)), name=task.name), []


def _concat(task: _Task) -> _Made:
    options = task.layer.options
    axis = options.integer("axis", options.integer("concat_dim", 1))
    return keras.layers.Concatenate(_axis(task, axis), name=task.name), []


def _batch_norm(task: _Task) -> _Made:
    options = task.layer.options
    channels = task.shapes[0][-1]
    epsilon = options.number("eps", 1e-5)
    if not options.flag("use_global_stats", True):
        raise task.fail("use_global_stats is false, so its output would depend on the batch, expected true or nothing")
    mean, variance, factor = task.weights.take(task.layer.name, [(channels,), (channels,), (1,)])
    scale = np.float32(0 if factor[0] == 0 else 1 / factor[0])  # the moving sums have to be divided by their weight
    made = keras.layers.BatchNormalization(-1, epsilon=epsilon, center=False, scale=False, name=task.name)
    made.trainable = False
    return made, [mean * scale, variance * scale]


def _scale(task: _Task) -> _Made:
    options = task.layer.options
    channels = task.shapes[0][-1]
    if _axis(task, options.integer("axis", 1)) != len(task.shapes[0]) or options.integer("num_axes", 1) != 1:
        raise task.fail("axis and num_axes must be 1: a factor for each channel")
    bias = options.flag("bias_term", False)
    arrays = task.weights.take(task.layer.name, [(channels,)] * (1 + bias))
    return caffe_layers.Scale(bias, name=task.name), arrays


def _eltwise(task: _Task) -> _Made:
    options = task.layer.options
    operation = options.text("operation", "SUM")
    coefficients = options.numbers("coeff")
    if operation not in ("SUM", "PROD", "MAX") or len(set(task.shapes)) != 1:
        raise task.fail(f"{operation} of blobs {task.shapes}, expected SUM, PROD or MAX of equal shapes")
    if coefficients and (operation != "SUM" or len(coefficients) != len(task.shapes)):
        raise task.fail(f"{len(coefficients)} coeff for {operation} of {len(task.shapes)} blobs, expected one each")
    return caffe_layers.Eltwise(operation, coefficients, name=task.name), []


def _flatten(task: _Task) -> _Made:
    options = task.layer.options
    if options.integer("axis", 1) != 1 or options.integer("end_axis", -1) not in (-1, len(task.shapes[0])):
        raise task.fail("axis and end_axis must span the whole blob, 1 to -1")
    return caffe_layers.Flatten(name=task.name), []


@dataclass(frozen=True)
class _Kind:
    """How a kind of layer is made, and the options that it may have."""

    make: Callable[[_Task], _Made]
    options: frozenset[str] = frozenset()
    many: bool = False  # reads several blobs


def _options(names: str) -> frozenset[str]:
    """Return the names, and those that matter for training or speed only."""
    return frozenset(names.split()) | {"engine", "weight_filler", "bias_filler", "filler"}


_SIDES = "kernel_size kernel_h kernel_w stride stride_h stride_w pad pad_h pad_w"
_KINDS = {
    "Convolution": _Kind(_convolution, _options(f"num_output bias_term group dilation axis force_nd_im2col {_SIDES}")),
    "Pooling": _Kind(_pooling, _options(f"pool global_pooling round_mode {_SIDES}")),
    "LRN": _Kind(_lrn, _options("local_size alpha beta k norm_region")),
    "InnerProduct": _Kind(_inner_product, _options("num_output bias_term axis transpose")),
    "ReLU": _Kind(_relu, _options("negative_slope")),
    "Dropout": _Kind(lambda task: (keras.layers.Identity(name=task.name), []), _options("dropout_ratio")),
    "Split": _Kind(lambda task: (keras.layers.Identity(name=task.name), [])),
    "Sigmoid": _Kind(lambda task: (keras.layers.Activation("sigmoid", name=task.name), []), _options("")),
    "Softmax": _Kind(_softmax, _options("axis")),
    "Concat": _Kind(_concat, _options("axis concat_dim"), many=True),
    "BatchNorm": _Kind(_batch_norm, _options("eps use_global_stats moving_average_fraction")),
    "Scale": _Kind(_scale, _options("axis num_axes bias_term")),
    "Eltwise": _Kind(_eltwise, _options("operation coeff stable_prod_grad"), many=True),
    "Flatten": _Kind(_flatten, _options("axis end_axis")),
}
