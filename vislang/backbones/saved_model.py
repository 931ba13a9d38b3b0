"""Backbones in TensorFlow's own formats: TF-Hub modules, SavedModel folders and TFLite files."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.weights import fingerprint
from vislang.core.errors import DataError, brief, look_up
from vislang.images.preprocess import Preprocessing, find_preprocessing

Call = Callable[[np.ndarray], dict[str, np.ndarray]]  # float32 [B, S, S, 3] -> named outputs
SIGNATURES = ("serving_default", "serve", "default", "image_feature_vector")


class CallableBackbone(LoadedBackbone):
    """A backbone that is only a function: its layers are its outputs, and the mean over space of the first map.

    Args:
        call: the network.
        arrays: what the fingerprint is computed from.
        owner: kept alive as long as the backbone, since `call` only borrows its variables.
    """

    def __init__(self, name: str, preprocessing: Preprocessing, call: Call, arrays: Sequence[Any], owner: Any = None):
        self._call = call
        self._weights = arrays
        self._owner = owner
        probe = np.zeros((1, preprocessing.size, preprocessing.size, 3), np.float32)
        try:
            outputs = self._with_aliases(call(probe))
        except Exception as error:  # TensorFlow raises its own kinds for a wrong size, type or number of inputs
            takes = f"does not take images of preprocessing {preprocessing.name}"
            raise DataError(f"{name}: {takes} ({brief(error)})") from error
        super().__init__(name, preprocessing, {layer: output.shape[1:] for layer, output in outputs.items()})

    def _arrays(self) -> Sequence[Any]:
        return self._weights

    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> list[np.ndarray]:
        outputs = self._with_aliases(self._call(batch))
        return [look_up(outputs, layer, f"layer of backbone {self.name}") for layer in layers]

    @staticmethod
    def _with_aliases(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Add "grid" for the first map and "pooled" for its mean, or else for the first vector."""
        named = dict(outputs)
        grid = next((output for output in outputs.values() if output.ndim == 4), None)
        vector = next((output for output in outputs.values() if output.ndim == 2), None)
        if grid is not None:
            named.setdefault("grid", grid)
            named.setdefault("pooled", grid.mean(axis=(1, 2)))
        elif vector is not None:
            named.setdefault("pooled", vector)
        return named


def load_saved_model(place: str, preprocessing: Preprocessing | None) -> LoadedBackbone:
    """Load a SavedModel folder, "hub:FOLDER", or "hub:HANDLE", which is downloaded unless TFHUB_CACHE_DIR holds it.

    Without a preprocessing it is TF-Hub's convention: values in [0, 1], the size that the module declares, or else 224.

    Raises:
        DataError: it cannot be loaded or is no image network.
    """
    try:
        module = load_module(place)
    except DataError:
        raise
    except Exception as error:  # urllib, TensorFlow and the hub each raise their own
        next_step = "expected a folder with saved_model.pb"
        if place.startswith("hub:"):
            next_step = "check the handle and the network, or give a local folder"
        raise DataError(f"{place}: cannot be loaded ({brief(error)}); {next_step}") from error
    call, signature, declared = module_call(place, module)
    side = None
    if declared.shape.rank == 4:
        side = declared.shape[1]
    preprocessing = preprocessing or find_preprocessing(f"squash-{side or 224}-unit/v1")
    if declared.dtype.name != "float32" or side not in (None, preprocessing.size):
        takes = f"{declared.dtype.name} {tuple(declared.shape)}"
        raise DataError(
            f"{place}: takes {takes}, preprocessing {preprocessing.name} makes float32 {preprocessing.size}"
        )
    arrays = [variable.numpy() for variable in signature.variables] or _constants(signature)
    return CallableBackbone(place, preprocessing, call, arrays, owner=module)


def load_module(place: str) -> Any:
    """Load a SavedModel folder, "hub:FOLDER" or "hub:HANDLE" as a TensorFlow module.

    Raises:
        DataError: the handle is an address of another protocol than https; other errors are the libraries' own.
    """
    handle = place.removeprefix("hub:")
    if "://" in handle and not handle.startswith("https://"):
        raise DataError(f"{place}: got an address that others can change on the way, expected https://")
    import tensorflow as tf

    if handle == place:
        return tf.saved_model.load(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorflow-hub still imports pkg_resources, which complains each time
        import tensorflow_hub
    return tensorflow_hub.load(handle)


def module_call(place: str, module: Any) -> tuple[Call, Any, Any]:
    """Return a module's network as a function, its signature, and the declaration of its only input.

    The function borrows the module's variables: the module has to be kept.

    Raises:
        DataError: no known signature, or several inputs.
    """
    import tensorflow as tf

    signature = next((module.signatures[each] for each in SIGNATURES if each in module.signatures), None)
    if signature is None:
        raise DataError(f"{place}: has signatures {sorted(module.signatures)}, expected one of {', '.join(SIGNATURES)}")
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1:
        raise DataError(f"{place}: signature takes {sorted(inputs)}, expected one image input")
    ((argument, declared),) = inputs.items()

    def call(batch: np.ndarray) -> dict[str, np.ndarray]:
        outputs = signature(**{argument: tf.constant(batch)})
        return {output: outputs[output].numpy() for output in sorted(outputs)}

    return call, signature, declared


def load_tflite(path: str, preprocessing: Preprocessing) -> LoadedBackbone:
    """Load a TFLite file with one float32 image input. It runs one image at a time.

    Raises:
        DataError: damaged, or the input is no float32 image.
    """
    import tensorflow as tf

    content = Path(path).read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces a move to another package
            interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
    except ValueError as error:
        raise DataError(f"{path}: cannot be loaded ({brief(error)}); expected a .tflite file") from error
    slot = interpreter.get_input_details()[0]
    if slot["dtype"] != np.float32 or len(slot["shape"]) != 4:
        raise DataError(f"{path}: input is {slot['dtype'].__name__} {slot['shape']}, expected float32 [1, S, S, 3]")

    def call(batch: np.ndarray) -> dict[str, np.ndarray]:
        rows = []
        for image in batch:
            interpreter.set_tensor(slot["index"], image[None])
            interpreter.invoke()
            rows.append({out["name"]: interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details()})
        return {output: np.concatenate([row[output] for row in rows]) for output in rows[0]}

    # A TFLite file stores its weights as one buffer beside the program; the file is the only array there is.
    return CallableBackbone(path, preprocessing, call, [np.frombuffer(content, np.uint8)])


def _constants(signature: Any) -> list[np.ndarray]:
    """Return the constants of a graph, where a frozen network keeps its weights, in an order free of made-up names."""
    import tensorflow as tf

    graph = signature.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    arrays = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    return sorted((array for array in arrays if array.dtype.kind in "fiu"), key=lambda array: fingerprint([array]))
