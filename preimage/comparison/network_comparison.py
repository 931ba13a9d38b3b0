"""Two networks compared: the same images through both, at corresponding layers.

References: Mahendran & Vedaldi, IJCV 2016, for what is shown; those of the measures are in `similarity`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.api import maximize_units
from preimage.comparison.layer_analysis import (
    AnalysisSettings,
    LayerAnalysis,
    LayerStatistics,
    analyse_layer,
    layer_statistics,
)
from preimage.comparison.similarity import alignment
from preimage.config import first_stage, search_config, with_iterations
from preimage.networks.class_labels import class_index, class_names
from preimage.networks.image_inputs import evenly_spaced_rows, read_images
from preimage.networks.layers import block_ends, evenly_spaced_layers, matched_layers
from preimage.options import ComparisonOptions, Progress, SearchOptions
from vislang.core.errors import ConfigError, DataError
from vislang.core.model_kinds import require_kind

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from vislang.images.sources import Skipped

_LAYERS = 4  # that are compared by default
_CLASSES = 4  # that are maximised by default
_CKA_LAYERS = 12  # of each network in the matrix of CKA


@dataclass(frozen=True)
class ComparedNetwork:
    """One of two compared networks."""

    name: str
    inputs: np.ndarray  # float32 [B, S, S, 3], RGB 0..255, the images at the network's size
    layers: tuple[LayerAnalysis, ...]  # the corresponding layers
    cka_layers: tuple[str, ...]  # layers of the matrix of CKA
    class_images: np.ndarray  # float32 [K, S, S, 3], maximise its scores of the K shared classes


@dataclass(frozen=True)
class Comparison:
    """Two networks compared."""

    a: ComparedNetwork
    b: ComparedNetwork
    names: tuple[str, ...]  # of the B images that were searched from
    cka: np.ndarray  # float64 [cka_layers of a, cka_layers of b], debiased linear CKA over `cka_images` images
    cka_biased: np.ndarray  # the same without correction for their number
    cka_images: int
    pooled: bool  # whether features were averaged over positions
    class_names: tuple[str, ...]  # of the K classes
    skipped: "tuple[Skipped, ...]"  # images that could not be read

    @property
    def pairs(self) -> list[tuple[LayerAnalysis, LayerAnalysis]]:
        """The corresponding layers of both networks."""
        return list(zip(self.a.layers, self.b.layers, strict=True))

    def matched(self, cka: np.ndarray) -> np.ndarray:
        """Return the values of corresponding layers in a matrix of CKA, float64 [layers]."""
        rows = [self.a.cka_layers.index(layer.inversions.layer) for layer in self.a.layers]
        columns = [self.b.cka_layers.index(layer.inversions.layer) for layer in self.b.layers]
        return cka[rows, columns]


@dataclass(frozen=True)
class _Side:
    """One network before the searches."""

    network: "Network"
    images: np.ndarray  # float32 [N, S, S, 3], RGB 0..255, all images
    layers: list[str]
    cka_layers: list[str]
    statistics: dict[str, LayerStatistics]  # of all `cka_layers`
    class_names: Sequence[str]


def compare_networks(
    network_a: "Network",
    network_b: "Network",
    images: Any,
    options: ComparisonOptions = ComparisonOptions(),
    *,
    labels: Sequence[str | Path | None] = (None, None),
    on_start: Callable[[int], object] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare what two networks make of the same images, at corresponding layers.

    Args:
        network_b: its input may be of another size.
        images: 4 or more, in any form that `preimage.api` describes.
        options: layers, images, classes and searches.
        labels: files with a class name a line, of either network; None: as for `classify_images`.
        on_start: called once with the number of steps to come.
        progress: called with 1 after each step.

    Raises:
        ConfigError: an unknown layer, class or setting.
        DataError: fewer than 4 images that can be read.

    Example:
        >>> options = ComparisonOptions(layers=("last",), limit=1, iterations=2)
        >>> found = compare_networks(network, network, "photos/", options)
        >>> found.matched(found.cka).round(3).tolist()
        [1.0]
    """
    require_kind(network_a, "network")
    require_kind(network_b, "network")
    analysis = _analysis_settings(options, progress)
    layers_a, layers_b = _corresponding_layers(network_a, network_b, options)
    most = max(options.cka_images, options.limit)
    read = read_images(network_a, images, most=most)
    names = read.names
    if len(names) < 4:
        count = len(names) + len(read.skipped)
        raise DataError(f"{len(names)} of {count} images can be read, expected 4 or more; give more images")
    side_a = _side(network_a, read.images, layers_a, labels[0], options)
    side_b = _side(network_b, read_images(network_b, images, most=most).images, layers_b, labels[1], options)
    classes = _shared_classes(side_a, side_b, options)
    if on_start is not None:
        steps = 2 * len(layers_a) * analysis.iterations
        if classes:
            steps += 2 * analysis.units.iterations[0]
        on_start(steps)
    rows = evenly_spaced_rows(len(names), options.limit)
    return Comparison(
        a=_compared(side_a, network_b, rows, classes, analysis),
        b=_compared(side_b, network_a, rows, classes, analysis),
        names=tuple(names[row] for row in rows),
        cka=_alignments(side_a, side_b, debiased=True),
        cka_biased=_alignments(side_a, side_b, debiased=False),
        cka_images=len(names),
        pooled=options.pooled,
        class_names=tuple(classes),
        skipped=read.skipped,
    )


def _analysis_settings(options: ComparisonOptions, progress: Progress | None) -> AnalysisSettings:
    config = search_config(options.preset, options.settings)
    unit_config = first_stage(search_config("robust"))
    if options.iterations is not None:
        config = with_iterations(config, options.iterations)
        unit_config = with_iterations(unit_config, options.iterations)
    return AnalysisSettings(config, unit_config, options.channels, SearchOptions(seed=options.seed, progress=progress))


def _corresponding_layers(
    network_a: "Network", network_b: "Network", options: ComparisonOptions
) -> tuple[list[str], list[str]]:
    """Return the corresponding layers of both networks, all of which exist and have the requested channels."""
    layers_a = list(options.layers)
    if not layers_a:
        count = _LAYERS if options.num_layers is None else options.num_layers
        layers_a = evenly_spaced_layers(block_ends(network_a), count)
    for layer in layers_a:
        network_a.require_channels(layer, options.channels)
    layers_b = list(options.layers_b) or matched_layers(network_a, layers_a, network_b)
    for layer in layers_b:
        network_b.require_channels(layer, options.channels)
    if len(layers_a) != len(layers_b):
        raise ConfigError(f"got {len(layers_a)} layers of one network and {len(layers_b)} of the other, expected pairs")
    return layers_a, layers_b


def _side(
    network: "Network", images: np.ndarray, layers: list[str], labels: str | Path | None, options: ComparisonOptions
) -> _Side:
    cka_layers = list(dict.fromkeys([*evenly_spaced_layers(block_ends(network), _CKA_LAYERS), *layers]))
    order = {layer.name: index for index, layer in enumerate(network.model.layers)}
    cka_layers.sort(key=lambda layer: order.get(network.output(layer)._keras_history[0].name, len(order)))
    statistics = layer_statistics(network, images, cka_layers, pooled=options.pooled)
    names: Sequence[str] = ()
    if network.has_classes or labels is not None:
        names = class_names(network, labels) or ()
    return _Side(network, images, layers, cka_layers, statistics, names)


def _alignments(a: _Side, b: _Side, *, debiased: bool) -> np.ndarray:
    """Return the matrix of CKA."""
    matrix = np.zeros((len(a.cka_layers), len(b.cka_layers)))
    for row, layer in enumerate(a.cka_layers):
        for column, other in enumerate(b.cka_layers):
            grams = a.statistics[layer].grams[debiased], b.statistics[other].grams[debiased]
            matrix[row, column] = alignment(*grams)
    return matrix


def _shared_classes(a: _Side, b: _Side, options: ComparisonOptions) -> list[str]:
    """Return the names of the classes to maximise."""
    from preimage.networks.network import SCORES

    known = set(b.class_names)
    shared = [name for name in dict.fromkeys(a.class_names) if name in known]
    if options.classes:
        kind = "class that both networks name"
        return [shared[class_index(shared, word, kind)] for word in options.classes]
    if not shared:
        return []
    predicted: Counter[str] = Counter()
    for side in (a, b):
        scores = side.network.encode(side.images, [SCORES])[SCORES]
        predicted.update(side.class_names[index] for index in scores.argmax(axis=1))
    shared.sort(key=lambda name: -predicted[name])  # stable: of equally frequent ones the first
    return shared[:_CLASSES]


def _compared(
    side: _Side, other: "Network", rows: Sequence[int], classes: Sequence[str], analysis: AnalysisSettings
) -> ComparedNetwork:
    from preimage.networks.network import SCORES

    inputs = side.images[list(rows)]
    layers = []
    for layer in side.layers:
        statistics = side.statistics[layer]
        layers.append(analyse_layer(side.network, inputs, layer, statistics, rows, other, analysis))
    class_images = np.zeros((0, side.network.size, side.network.size, 3), np.float32)
    if classes:
        channels = [list(side.class_names).index(name) for name in classes]
        class_images = maximize_units(
            side.network, SCORES, channels, preset=analysis.units, match_contrast=True, options=analysis.options
        ).images
    return ComparedNetwork(side.network.name, inputs, tuple(layers), tuple(side.cka_layers), class_images)
