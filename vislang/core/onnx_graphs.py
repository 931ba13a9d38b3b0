"""Exported networks: graphs of trained models that ONNX Runtime computes, so that TensorFlow is never imported.

A trained model is a folder either way, and its users see one interface: `network.predict_...`, functions of arrays that
`vislang.core.compile.compiled` made. `TrainedModel.read` puts a Keras network behind them, or an `ExportedNetwork`
where the folder holds graphs and ONNX Runtime is installed; `vislang.features.model_inputs` chooses between the forms
of a CNN likewise. Nothing else asks which one runs. Whatever an exported network has no graph of (gradients, options of
decoding other than the exported ones) it leaves to the Keras network, which it then builds from the same folder.

    model            graphs
    ranker           predict_images, predict_sentences, predict_feature_weights (word maps)
    captioner        decode: the whole search, with the options of the preset; predict_caption_log_probs,
                     predict_mean_descriptor; of one with scorers, predict_scores and predict_image_embeddings.
                     Captioners of regions are captioners.
    aligner          predict_regions, predict_words, predict_scores
    naturalness      predict_errors_N of each expert; predict_information
    CNN              cnn_N: from prepared images to the feature layers that the model reads, one for each preprocessing

An exported folder holds

    config.json, vocabulary.json and what else a checkpoint of its kind holds
    graphs.json      the fingerprint of the model, its graphs, and the CNNs behind it
    NAME.onnx        a graph; its weights are "external data" of ONNX
    weights.bin      the weights of all graphs, each array once

Bundled models have no weights.bin: graphs.json says from which arrays of model.weights.h5 the weights of each graph
come. That of the CNN come from the file of the pip package that carries them (`vislang.backbones.exported`).
"""

import functools
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vislang.core.errors import CheckpointError, ConfigError, DataError, brief, shown, unknown_name
from vislang.core.files import read_json

GRAPHS = "graphs.json"
WEIGHTS = "weights.bin"
SUFFIX = ".onnx"
RUNTIME = "VISLANG_RUNTIME"
RUNTIMES = ("auto", "keras")
DECODE = "decode"
_NEXT = "export the model anew: vislang export MODEL --out DIR"

Arrays = Callable[[], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Source:
    """Where a weight of a graph comes from: an array with its axes in another order, then reshaped."""

    array: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def of(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the weight, float32."""
        found = np.asarray(arrays[self.array], np.float32).transpose(self.axes)
        return np.ascontiguousarray(found.reshape(self.shape))


@dataclass(frozen=True)
class GraphEntry:
    """What graphs.json says of a graph.

    Attributes:
        weights: {weight: its source}; empty where the graph names weights.bin itself.
        settings: what it was compiled with, such as the options of decoding.
    """

    weights: Mapping[str, Source] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CnnEntry:
    """What graphs.json says of a CNN; see `vislang.backbones.exported`.

    Attributes:
        backbone: its name.
        preprocessing: its name.
        layers: {feature layer: shape of one image's feature, None where it depends on the image}.
        fingerprint: of its weights.
        strides: for each layer, pixels of the image from one cell to the next; 0 for vectors.
        convolutions: of weights from a package's file: [name, shape of the kernel] of each, in the order of the
            fingerprint; empty where the folder holds the weights.
    """

    backbone: str
    preprocessing: str
    layers: Mapping[str, tuple[int | None, ...]]
    fingerprint: str
    strides: tuple[int, ...] = ()
    convolutions: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Manifest:
    """graphs.json of a folder."""

    folder: Path
    fingerprint: str
    graphs: Mapping[str, GraphEntry]
    cnns: Mapping[str, CnnEntry]


def runtime_is_usable() -> bool:
    """Return whether ONNX Runtime is installed and VISLANG_RUNTIME permits it.

    Raises:
        ConfigError: VISLANG_RUNTIME is none of RUNTIMES.
    """
    chosen = os.environ.get(RUNTIME) or RUNTIMES[0]
    if chosen not in RUNTIMES:
        raise unknown_name(f"runtime ({RUNTIME})", chosen, RUNTIMES)
    return chosen == "auto" and importlib.util.find_spec("onnxruntime") is not None


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds graphs that can be used here."""
    return (folder / GRAPHS).is_file() and runtime_is_usable()


def read_manifest(folder: Path) -> Manifest:
    """Read graphs.json.

    Raises:
        CheckpointError: damaged.
    """
    path = folder / GRAPHS
    try:
        found = read_json(path, "list of graphs", _NEXT)
        graphs = {_plain(name): _graph_entry(entry) for name, entry in found["graphs"].items()}
        cnns = {_plain(name): _cnn_entry(entry) for name, entry in found["cnns"].items()}
        return Manifest(folder, str(found["fingerprint"]), graphs, cnns)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path} is no list of graphs ({brief(error)}); {_NEXT}") from error


def _plain(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"graph {shown(name)}")
    return name


def _graph_entry(entry: Mapping[str, Any]) -> GraphEntry:
    weights = {}
    for name, (array, axes, shape) in entry["weights"].items():
        weights[name] = Source(array, tuple(axes), tuple(shape))
    return GraphEntry(weights, dict(entry["settings"]))


def _cnn_entry(entry: Mapping[str, Any]) -> CnnEntry:
    layers = {name: tuple(shape) for name, shape in entry["layers"].items()}
    convolutions = tuple((name, tuple(shape)) for name, shape in entry["convolutions"])
    return CnnEntry(
        entry["backbone"],
        entry["preprocessing"],
        layers,
        entry["fingerprint"],
        tuple(entry["strides"]),
        convolutions,
    )


class Graph:
    """A graph as a function of arrays: all of its inputs in their order; returns an array, or a list of several.

    Args:
        path: of the .onnx file.
        weights: {weight: float32 array} of those that its file does not hold.

    Raises:
        CheckpointError: missing or damaged.
    """

    def __init__(self, path: Path, weights: Mapping[str, np.ndarray] | None = None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes need the cores
        model: Any = str(path)
        try:
            if weights:
                values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
                options.add_external_initializers(list(weights), values)
                model = path.read_bytes()
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many kinds on damaged files
            raise CheckpointError(f"{path} is no graph that can be used ({brief(error)}); {_NEXT}") from error
        self._inputs = [(one.name, _TYPES[one.type]) for one in self._session.get_inputs()]
        self._process = os.getpid()
        self.outputs = [one.name for one in self._session.get_outputs()]

    def __call__(self, *arrays: Any) -> Any:
        """Compute all outputs; arrays are converted to the types that the graph takes."""
        found = self.run(arrays, None)
        if len(found) == 1:
            return found[0]
        return found

    def run(self, arrays: Sequence[Any], outputs: Sequence[str] | None) -> list[np.ndarray]:
        """Compute some outputs by their names, None: all.

        Raises:
            ConfigError: this process was forked from the one that loaded the graph.
        """
        if self._process != os.getpid():
            raise ConfigError(
                "this process was forked from one that loaded a model, whose threads it lacks, so that it would hang;"
                " start processes with multiprocessing.get_context('spawn')"
            )
        values = zip(self._inputs, arrays, strict=True)
        return self._session.run(outputs, {name: np.asarray(array, dtype) for (name, dtype), array in values})


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class ExportedNetwork:
    """The graphs of a folder in place of a Keras network, each opened when it is first used.

    Args:
        manifest: of the folder.
        config: the settings of the model.
        sizes: entries of its description that users of the network read, such as "num_features".
        arrays: reads the arrays from which the weights of its graphs come.
        keras_network: builds the Keras network, for what there is no graph of.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: Any,
        sizes: Mapping[str, Any],
        arrays: Arrays,
        keras_network: Callable[[], Any],
    ):
        self.manifest = manifest
        self.config = config
        self._sizes = dict(sizes)
        self._arrays = arrays
        self._keras_network = keras_network
        self._opened: dict[str, Graph] = {}
        self._opening = threading.Lock()

    def graph(self, name: str) -> Graph:
        """Return a graph by its name."""
        with self._opening:
            if name not in self._opened:
                entry = self.manifest.graphs[name]
                weights = {one: source.of(self.arrays) for one, source in entry.weights.items()}
                self._opened[name] = Graph(self.manifest.folder / f"{name}{SUFFIX}", weights)
            return self._opened[name]

    @functools.cached_property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays from which the weights of its graphs come."""
        return self._arrays()

    @functools.cached_property
    def keras(self) -> Any:
        """The Keras network with the same weights."""
        return self._keras_network()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("keras", "arrays"):  # else a failure inside these would ask here again
            raise AttributeError(name)
        if name in self._sizes:
            return self._sizes[name]
        if name in self.manifest.graphs:
            return self.graph(name)
        return getattr(self.keras, name)


def exported_graph(network: Any, name: str, settings: Mapping[str, Any]) -> Graph | None:
    """Return a graph of an exported network; None where it was compiled with other settings, or for a Keras network."""
    if not isinstance(network, ExportedNetwork) or name not in network.manifest.graphs:
        return None
    if network.manifest.graphs[name].settings != settings:
        return None
    return network.graph(name)
