"""Compiled functions as ONNX graphs, and their weights beside them.

The graphs are made by tf2onnx from what `vislang.core.compile.compiled` traced for TensorFlow.
"""

import hashlib
import itertools
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vislang.core.errors import ConfigError, brief
from vislang.core.onnx_graphs import WEIGHTS, Source

OPSET = 18
_LARGE = 64  # numbers; smaller constants stay in the graph


def require_converter() -> None:
    """Refuse to convert without tf2onnx, or another backend than TensorFlow.

    Raises:
        ConfigError: says what to install or to set.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"KERAS_BACKEND is {keras.backend.backend()}, expected tensorflow to export a model")
    try:
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ConfigError('tf2onnx is not installed; run: pip install "vislang-toolkit[export]"') from error


def signature(function: Any) -> list[Any]:
    """Return the specifications of the inputs of a compiled function, each with its name."""
    import tensorflow as tf

    positional = function.get_concrete_function().structured_input_signature[0]
    return [one for one in positional if isinstance(one, tf.TensorSpec)]  # the others are default values


def convert(name: str, function: Callable[..., Any], outputs: Sequence[str] | None = None) -> Any:
    """Convert a compiled function.

    Args:
        name: of the graph, for messages.
        function: what `compiled` returned on TensorFlow.
        outputs: names of the results; None: output_0 and so on.

    Returns:
        an `onnx.ModelProto`.

    Raises:
        ConfigError: it computes something that ONNX lacks.
    """
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it misses is named below
    inputs = signature(function)
    wrapped = tf.function(lambda *arrays: function(*arrays), input_signature=inputs, autograph=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, _ = tf2onnx.convert.from_function(wrapped, input_signature=inputs, opset=OPSET)
    except Exception as error:  # tf2onnx raises many kinds
        raise ConfigError(f"{name} cannot be exported as an ONNX graph ({brief(error)})") from error
    _replace_log1p(model.graph)
    unknown = sorted(_unknown_operations(model.graph))
    if unknown:
        raise ConfigError(f"{name} cannot be exported as an ONNX graph: ONNX has no {', '.join(unknown)}")
    _name_outputs(model.graph, outputs)
    return model


def _replace_log1p(graph: Any) -> None:
    """Replace log1p(x), which tf2onnx leaves as it is, by log(1 + x)."""
    import onnx

    found = [index for index, node in enumerate(graph.node) if node.op_type == "Log1p"]
    if found:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(1.0, np.float32), "one_of_log1p"))
    for index in reversed(found):
        node = graph.node[index]
        total = f"{node.name}_total"
        graph.node.insert(index, onnx.helper.make_node("Add", [node.input[0], "one_of_log1p"], [total], name=total))
        node.op_type = "Log"
        node.input[0] = total


def _unknown_operations(graph: Any) -> set[str]:
    """Return the operations of a graph, and of the graphs inside it, that ONNX does not have."""
    import onnx

    unknown = set()
    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            unknown.add(node.op_type)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                unknown |= _unknown_operations(attribute.g)
    return unknown


def _name_outputs(graph: Any, names: Sequence[str] | None) -> None:
    """Rename the outputs of a graph."""
    import onnx

    for index, output in enumerate(graph.output):
        name = names[index] if names else f"output_{index}"
        graph.node.append(onnx.helper.make_node("Identity", [output.name], [name], name=f"name_{name}"))
        output.name = name


def weights_of(model: Any) -> list[Any]:
    """Return the constants of a graph that count as weights: `TensorProto`s of its outermost level."""
    import onnx

    found = []
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT and np.prod(constant.dims) >= _LARGE:
            found.append(constant)
    return found


class WeightsFile:
    """weights.bin: the weights of several graphs, each array once.

    Args:
        file: open for writing.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._places: dict[bytes, int] = {}
        self._end = 0

    def move(self, model: Any) -> None:
        """Move the weights of a graph into the file."""
        import onnx

        for constant in weights_of(model):
            content = onnx.numpy_helper.to_array(constant).tobytes()
            key = hashlib.sha256(content).digest()
            if key not in self._places:
                self._places[key] = self._end
                self._file.write(content)
                self._end += len(content)
            _point(constant, self._places[key], len(content))


def take_weights_from(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Source]:
    """Take the weights out of a graph that are in some arrays, with their axes in any order.

    Args:
        model: the graph; what is in none of the arrays stays in it.
        arrays: {name: float32 array}.

    Returns:
        {weight: its source}.
    """
    import onnx

    by_content: dict[bytes, list[str]] = {}
    for name, array in arrays.items():
        by_content.setdefault(_unordered(array), []).append(name)
    sources = {}
    for constant in weights_of(model):
        values = onnx.numpy_helper.to_array(constant)
        source = None
        for name in by_content.get(_unordered(values), []):
            source = source or _source(name, arrays[name], values)
        if source is not None:
            sources[constant.name] = source
            _point(constant, 0, values.nbytes)
    return sources


def _unordered(values: np.ndarray) -> bytes:
    return hashlib.sha256(np.sort(values + 0.0, axis=None).tobytes()).digest()  # -0.0, too, becomes 0.0


def _source(name: str, array: np.ndarray, values: np.ndarray) -> Source | None:
    """Return how values are made from an array; None where they are not."""
    for axes in itertools.permutations(range(array.ndim)):
        if np.array_equal(array.transpose(axes).reshape(values.shape), values):
            return Source(name, axes, values.shape)
    return None


def _point(constant: Any, offset: int, length: int) -> None:
    """Make a constant refer to bytes of weights.bin."""
    import onnx

    for part in ("raw_data", "float_data"):
        constant.ClearField(part)
    constant.data_location = onnx.TensorProto.EXTERNAL
    del constant.external_data[:]
    for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(length))):
        constant.external_data.add(key=key, value=value)


def save_graph(model: Any, path: Path) -> None:
    """Write a graph, whose weights lie elsewhere, as one whole file."""
    from vislang.core.files import whole_file

    with whole_file(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
