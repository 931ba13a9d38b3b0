"""What one layer of a network keeps of images and responds to, to be compared with another network's layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from preimage.api import caricature_images, deconv_images, maximize_units
from preimage.comparison.inversion_errors import LayerInversions, invert_layer
from preimage.comparison.similarity import centred_gram, mean_pairwise_distance
from preimage.config import PreimageConfig
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from preimage.networks.network import Network

_HELD = 100_000_000  # features held at a time, 0.4 GB


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one layer over N images."""

    grams: dict[bool, np.ndarray]  # {debiased: float64 [N, N]}, centred, for `similarity.alignment`
    mean_distance: float  # between the features of two images
    max_activations: np.ndarray  # float32 [N, C], the largest activation of each channel anywhere in each image


@dataclass(frozen=True)
class LayerAnalysis:
    """Searches from B images at one layer of a network. Images are float32 [B, S, S, 3], RGB 0..255."""

    shape: tuple[int, ...]  # of one image's features there
    inversions: LayerInversions  # of the images, and how good they are
    caricatures: np.ndarray
    channels: np.ndarray  # int [B], the most distinctive channel of each image; see `distinctive_channels`
    channel_images: np.ndarray  # maximise these channels
    requested: np.ndarray  # float32 [K, S, S, 3], maximise K channels that were requested by index
    projections: np.ndarray | None  # of the channels, by the deconvnet, uint8; None: a layer in between has no rule


def layer_statistics(
    network: "Network", images: np.ndarray, layers: Sequence[str], *, pooled: bool
) -> dict[str, LayerStatistics]:
    """Compute the statistics of several layers over images float32 [N, S, S, 3], RGB 0..255.

    Gram matrices are those of all positions or, if `pooled`, of features averaged over positions.
    """
    statistics = {}
    for group in _groups(network, layers, _HELD // len(images)):
        features = network.encode(images, group)
        for layer in group:
            statistics[layer] = _statistics_of(features.pop(layer), pooled)
    return statistics


def _groups(network: "Network", layers: Sequence[str], most: int) -> list[list[str]]:
    """Split layers into groups of at most `most` features per image, or of one layer."""
    groups: list[list[str]] = []
    left = 0
    for layer in layers:
        size = int(np.prod(network.shape(layer)))
        if not groups or size > left:
            groups.append([])
            left = most
        groups[-1].append(layer)
        left -= size
    return groups


def _statistics_of(features: np.ndarray, pooled: bool) -> LayerStatistics:
    positions = tuple(range(1, features.ndim - 1))
    compared = features
    if pooled and positions:
        compared = features.mean(axis=positions)
    max_activations = features
    if positions:
        max_activations = features.max(axis=positions)
    grams = {debiased: centred_gram(compared, debiased=debiased) for debiased in (True, False)}
    return LayerStatistics(grams, mean_pairwise_distance(features), max_activations)


def distinctive_channels(activations: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return the channel whose activation is the most standard deviations above its mean, int [B].

    Args:
        activations: float [N, C], of all images.
        rows: of the images, B indices.
    """
    std = activations.std(axis=0)
    floor = 0.1 * std.mean() + 1e-12  # a channel that is hardly ever active is never distinctive
    return ((activations[list(rows)] - activations.mean(axis=0)) / np.maximum(std, floor)).argmax(axis=1)


@dataclass(frozen=True)
class AnalysisSettings:
    """What `analyse_layer` searches for."""

    search: PreimageConfig  # of inversions and caricatures
    units: PreimageConfig  # of maximisations
    requested: tuple[int, ...] = ()  # channels to maximise beside the distinctive ones
    options: SearchOptions = SearchOptions()

    @property
    def iterations(self) -> int:
        """Number of calls of `options.progress` by `analyse_layer`."""
        return sum(self.search.iterations) + self.search.iterations[0] + self.units.iterations[0]


def analyse_layer(
    network: "Network",
    images: np.ndarray,
    layer: str,
    statistics: LayerStatistics,
    rows: Sequence[int],
    other: "Network",
    settings: AnalysisSettings,
) -> LayerAnalysis:
    """Invert, exaggerate and project images at one layer, and maximise their most distinctive channels.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255.
        statistics: of the layer over all images.
        rows: which of the images of `statistics` these are.
        other: the network that also classifies the inversions.
    """
    inversions = invert_layer(
        network, images, layer, settings.search, statistics.mean_distance, other=other, options=settings.options
    )
    exaggerated = caricature_images(network, images, layer, preset=settings.search, options=settings.options)
    channels = distinctive_channels(statistics.max_activations, rows)
    maximised = _maximised(network, layer, [*channels, *settings.requested], statistics, settings)
    return LayerAnalysis(
        shape=network.shape(layer),
        inversions=inversions,
        caricatures=exaggerated.images,
        channels=channels,
        channel_images=maximised[: len(channels)],
        requested=maximised[len(channels) :],
        projections=deconvnet_colours(network, images, layer, channels.tolist()),
    )


def _maximised(
    network: "Network", layer: str, channels: Sequence[int], statistics: LayerStatistics, settings: AnalysisSettings
) -> np.ndarray:
    """Maximise each channel once, whatever number of images it is distinctive in: float32 [len(channels), S, S, 3]."""
    unique, positions = np.unique(channels, return_inverse=True)
    found = maximize_units(
        network, layer, unique.tolist(), preset=settings.units, channel_mean=True, match_contrast=True,
        max_activations=statistics.max_activations[:, unique].max(axis=0), options=settings.options,
    )  # fmt: skip
    return found.images[positions]


def deconvnet_colours(
    network: "Network", images: np.ndarray, layer: str, channel: int | Sequence[int], relu_rule: str = "deconvnet"
) -> np.ndarray | None:
    """Return what `deconv_images` finds as colours uint8 [B, S, S, 3]; None where no rule covers a layer in between."""
    from preimage.backprop.deconvnet import as_colours

    try:
        return as_colours(deconv_images(network, images, layer, channel=channel, relu_rule=relu_rule).images)
    except ConfigError:
        return None
