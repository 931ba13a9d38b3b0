"""Which graphs a trained model is exported as: compiled functions by name, and the CNNs whose features it reads."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import ConfigError
from vislang.core.onnx_graphs import DECODE, CnnEntry


@dataclass(frozen=True)
class ExportedFunction:
    """A compiled function that becomes a graph.

    Attributes:
        settings: what it was compiled with.
    """

    function: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportedFeatures:
    """The compiled function of a CNN, from prepared images to the feature layers of `entry`, in their order."""

    function: Callable[..., Any]
    entry: CnnEntry


def functions_of(model: Any) -> dict[str, ExportedFunction]:
    """Return the functions of a trained model but its CNNs, by the names that inference calls them by."""
    functions = {name: ExportedFunction(getattr(model.network, name)) for name in model.network.GRAPHS}
    if model.kind == "captioner":
        functions[DECODE] = _search(model)
    return functions


def _search(model: Any) -> ExportedFunction:
    """Return the search of a captioner with the options of its preset, or of regions that a ranker re-ranks."""
    from captioner.decoding.decoder import Decoder
    from captioner.decoding.options import DecodeOptions
    from captioner.decoding.search_graph import search_graph
    from captioner.region_captions import CANDIDATES
    from vislang.core.config import to_json

    given = DecodeOptions()
    if FeatureName.parse(model.config.layers[0]).kind == "described":
        given = CANDIDATES
    options = Decoder(model.network, model.complete(given).of_search()).options
    graph = search_graph(model.network, options, model.network.num_features)
    return ExportedFunction(graph, to_json(options))


def cnns_of(model: Any) -> list[ExportedFeatures]:
    """Return the CNNs whose features a trained model reads, one for each preprocessing.

    Raises:
        ConfigError: one that is no Keras network, or averages ten crops.
    """
    if model.kind == "naturalness":
        return [_maps_of_layers(model.cnn)]
    groups: dict[tuple[str, str | None], list[str]] = {}
    for layer in layers_read(model):
        name = FeatureName.parse(layer)
        needed = ["grid", "pooled"] if name.is_of_regions else [name.stored]
        groups.setdefault((name.backbone or model.backbone, name.preprocessing or None), []).extend(needed)
    weights = model.backbone_weights
    return [_features(name, how, list(dict.fromkeys(layers)), weights) for (name, how), layers in groups.items()]


def layers_read(model: Any) -> list[str]:
    """Return the names of the feature layers that a model reads: those of its settings, and the cells of word maps."""
    layers = list(model.config.layers)
    if model.kind == "vse":
        with contextlib.suppress(ConfigError):  # a ranker without word maps
            layers.append(model.cell_layer)
    return layers


def _features(
    name: str, preprocessing: str | None, layers: Sequence[str], weights: str | Path | None
) -> ExportedFeatures:
    from vislang.backbones.base import KerasBackbone
    from vislang.backbones.registry import load_backbone_of_model

    loaded = load_backbone_of_model(name, weights=weights, preprocessing=preprocessing)
    if not isinstance(loaded, KerasBackbone):
        raise ConfigError(
            f"the model reads features of {name} with preprocessing {loaded.preprocessing.name}, a"
            f" {type(loaded).__name__}, which cannot be exported; expected one Keras network and one crop"
        )
    own = [loaded.own_name(layer) for layer in layers]
    shapes = {layer: loaded.shape_of(layer) for layer in own}
    entry = CnnEntry(name, loaded.preprocessing.name, shapes, loaded.fingerprint)
    return ExportedFeatures(loaded.compiled_head(tuple(own)), entry)


def _maps_of_layers(cnn: Any) -> ExportedFeatures:
    """Return the CNN of a naturalness model, which takes images of any size."""
    from vislang.core.compile import compiled

    if not cnn.pads:
        raise ConfigError(
            f"the model reads {cnn.loaded.name}, which loses cells at the edges and cannot be exported; expected a CNN"
            " with padding"
        )
    shapes = {}
    for layer, channels in zip(cnn.layers, cnn.channels, strict=True):
        shapes[layer] = (None, None, channels)
    entry = CnnEntry(cnn.loaded.name, cnn.preprocessing.name, shapes, cnn.loaded.fingerprint, cnn.strides)

    def maps(images: Any) -> Any:
        return cnn.head(images, training=False)

    return ExportedFeatures(compiled(maps, ((None, None, None, 3), "float32")), entry)
