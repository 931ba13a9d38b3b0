"""CNNs as graphs that ONNX Runtime computes: of an exported model's folder, or shipped with the toolkit.

The graphs in `graphs/NAME/` are of CNNs whose weights a pip package carries. They hold no weights: these are read from
the package's file whenever a graph is opened, which takes less than a tenth of a second, so that no copy is kept.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.efficientnet_lite import read_convolutions
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import BACKBONES, full_preprocessing_name, weights_file
from vislang.backbones.weights import fingerprint
from vislang.core.errors import ConfigError
from vislang.core.onnx_graphs import SUFFIX, CnnEntry, Graph, Manifest, is_exported, read_manifest
from vislang.images.preprocess import TEN_CROPS, Preprocessing, find_preprocessing

SHIPPED = Path(__file__).resolve().parent / "graphs"
_REGIONS_READ = ("grid", "pooled")


@dataclass(frozen=True)
class ExportedCnn:
    """A CNN as a graph.

    Attributes:
        graph: of prepared images; its outputs are called as the layers are.
        entry: what graphs.json says of it.
        fingerprint: of the weights that it was opened with.
        preprocessing: of its images.
    """

    graph: Graph
    entry: CnnEntry
    fingerprint: str
    preprocessing: Preprocessing


class OnnxBackbone(LoadedBackbone):
    """A backbone held by a graph."""

    def __init__(self, cnn: ExportedCnn):
        super().__init__(cnn.entry.backbone, cnn.preprocessing, dict(cnn.entry.layers))
        self._cnn = cnn
        self.fingerprint = cnn.fingerprint

    def _arrays(self) -> Sequence[Any]:
        raise AssertionError("a graph has a fingerprint, but no arrays")

    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> Sequence[Any]:
        if batch.shape[1:3] != (self.preprocessing.size,) * 2:
            raise ConfigError(
                f"backbone {self.name} got images {list(batch.shape)}, expected side {self.preprocessing.size}"
            )
        return self._cnn.graph.run([batch], layers)


def exported_backbone(
    name: str, preprocessing: str | None, weights: str | Path | None, layers: Sequence[str]
) -> LoadedBackbone | None:
    """Return a backbone held by a graph that has some layers; None: there is none, or ONNX Runtime is not installed.

    Args:
        name: of the backbone.
        preprocessing: its name or a size; None: the backbone's own.
        weights: an exported folder that holds the CNN, or what `load_backbone` takes.
        layers: names of feature layers, those of regions among them.

    Raises:
        CheckpointError: a damaged graph.
        DataError: damaged weights.
    """
    used = preprocessing
    if name in BACKBONES:
        used = full_preprocessing_name(name, preprocessing)
    folder = SHIPPED / name
    holds_weights = weights is not None and is_exported(Path(weights))
    if holds_weights:
        folder = Path(str(weights))
    elif not is_exported(folder) or find_preprocessing(str(used)).geometry == TEN_CROPS:
        return None
    manifest = read_manifest(folder)
    for graph, entry in manifest.cnns.items():
        fits = entry.backbone == name and (entry.preprocessing == used or not holds_weights)
        if fits and _needed(layers) <= set(entry.layers):
            cnn = _open(manifest, graph, weights, str(used))
            return None if cnn is None else OnnxBackbone(cnn)
    return None


def cnn_of_model(manifest: Manifest, *, weights: str | Path | None) -> ExportedCnn | None:
    """Open the only CNN of an exported model; None where its weights are in no file that can be read without Keras.

    Args:
        manifest: of the model.
        weights: a weights file of the CNN; None: the usual places.

    Raises:
        CheckpointError: a damaged graph.
        DataError: damaged weights.
    """
    (graph,) = manifest.cnns
    return _open(manifest, graph, weights, manifest.cnns[graph].preprocessing)


def _needed(layers: Sequence[str]) -> set[str]:
    names = set()
    for layer in layers:
        parsed = FeatureName.parse(layer)
        names |= set(_REGIONS_READ) if parsed.is_of_regions else {str(parsed)}
    return names


def _open(manifest: Manifest, name: str, weights: str | Path | None, preprocessing: str) -> ExportedCnn | None:
    entry = manifest.cnns[name]
    found = find_preprocessing(preprocessing)
    if not entry.convolutions:
        return ExportedCnn(_graph_of_folder(manifest.folder, name), entry, entry.fingerprint, found)
    if str(weights) == "random":
        return None
    path = weights_file(entry.backbone, weights)
    if path is None or path.suffix != ".pth":
        return None
    graph, own = _graph_of_file(manifest.folder, name, path)
    return ExportedCnn(graph, entry, own, found)


@functools.lru_cache(maxsize=4)
def _graph_of_folder(folder: Path, name: str) -> Graph:
    return Graph(folder / f"{name}{SUFFIX}")


@functools.lru_cache(maxsize=4)
def _graph_of_file(folder: Path, name: str, path: Path) -> tuple[Graph, str]:
    """Return a graph with the weights of a file, and their fingerprint."""
    manifest = read_manifest(folder)
    folded, arrays = read_convolutions(manifest.cnns[name].convolutions, path)
    weights = {one: source.of(folded) for one, source in manifest.graphs[name].weights.items()}
    return Graph(folder / f"{name}{SUFFIX}", weights), fingerprint(arrays)
