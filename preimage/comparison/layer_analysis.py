"""What one layer of a network keeps of images and responds to, to be compared with another network's layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from preimage.api import caricature_images, invert_images, maximize_units
from preimage.comparison.class_agreement import same_class
from preimage.comparison.similarity import centred_gram, gradient_similarities, mean_pairwise_distance
from preimage.config import PreimageConfig
from preimage.options import SearchOptions
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from preimage.networks.network import Network

_HELD = 100_000_000  # features held at a time, 0.4 GB


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one layer over N images.

    Attributes:
        grams: {debiased: float64 [N, N]}, centred, for `preimage.comparison.similarity.alignment`.
        mean_distance: between the features of two images.
        max_activations: float32 [N, C], the largest activation of each channel anywhere in each image.
    """

    grams: dict[bool, np.ndarray]
    mean_distance: float
    max_activations: np.ndarray


@dataclass(frozen=True)
class LayerAnalysis:
    """Searches from B images at one layer of a network. Images are float32 [B, S, S, 3], RGB 0..255.

    Attributes:
        shape: of one image's features there.
        inversions: of the images.
        caricatures: of the images.
        channels: int [B], the most distinctive channel of each image; see `distinctive_channels`.
        channel_images: maximise these channels.
        requested: float32 [K, S, S, 3], maximise K channels that were asked for by index.
        projections: the largest activations of `channels` projected back by the deconvnet, uint8; None where a layer in
            between has no rule.
        feature_error: float64 [B], ||f - f0||^2 / ||f0||^2 of the inversions; lower is better.
        distance: float64 [B], ||f - f0|| over the mean distance between two images; lower is better.
        gradients: float64 [B], 0..1, intersection of the orientation histograms of inversion and image.
        same_class: bool [B], the network predicts the image's class for the inversion; None without classes.
        same_class_other: bool [B], the other network does; None without classes there.
    """

    layer: str
    shape: tuple[int, ...]
    inversions: np.ndarray
    caricatures: np.ndarray
    channels: np.ndarray
    channel_images: np.ndarray
    requested: np.ndarray
    projections: np.ndarray | None
    feature_error: np.ndarray
    distance: np.ndarray
    gradients: np.ndarray
    same_class: np.ndarray | None
    same_class_other: np.ndarray | None


def layer_statistics(
    network: "Network", images: np.ndarray, layers: Sequence[str], *, pooled: bool
) -> dict[str, LayerStatistics]:
    """Compute the statistics of several layers.

    Args:
        images: float32 [N, S, S, 3], RGB 0..255.
        pooled: compute the Gram matrices of features averaged over positions, instead of all positions.
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
    """Return the channel of each image whose activation is the most standard deviations above its mean.

    Args:
        activations: float [N, C], of all images.
        rows: of the images, B indices.

    Returns:
        int [B].
    """
    std = activations.std(axis=0)
    floor = 0.1 * std.mean() + 1e-12  # a channel that is hardly ever active is never distinctive
    return ((activations[list(rows)] - activations.mean(axis=0)) / np.maximum(std, floor)).argmax(axis=1)


@dataclass(frozen=True)
class AnalysisSettings:
    """What `analyse_layer` searches for.

    Attributes:
        search: settings of inversions and caricatures.
        units: settings of maximisations.
        requested: channels to maximise beside the distinctive ones.
        options: of all searches.
    """

    search: PreimageConfig
    units: PreimageConfig
    requested: tuple[int, ...] = ()
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
        other: the network that also predicts classes of the inversions.
        settings: of the searches.
    """
    inverted = invert_images(network, images, layer, preset=settings.search, options=settings.options)
    exaggerated = caricature_images(network, images, layer, preset=settings.search, options=settings.options)
    channels = distinctive_channels(statistics.max_activations, rows)
    maximised = _maximised(network, layer, [*channels, *settings.requested], statistics, settings)
    error = inverted.measures["feature_error"]
    features = network.encode(images, [layer])[layer].reshape(len(images), -1)
    norms = np.linalg.norm(features.astype(np.float64), axis=1)
    return LayerAnalysis(
        layer=layer,
        shape=network.shape(layer),
        inversions=inverted.images,
        caricatures=exaggerated.images,
        channels=channels,
        channel_images=maximised[: len(channels)],
        requested=maximised[len(channels) :],
        projections=_projections(network, images, layer, channels),
        feature_error=error,
        distance=np.sqrt(error) * norms / statistics.mean_distance,
        gradients=gradient_similarities(images, inverted.images),
        same_class=same_class(network, images, inverted.images),
        same_class_other=same_class(other, images, inverted.images),
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


def _projections(network: "Network", images: np.ndarray, layer: str, channels: np.ndarray) -> np.ndarray | None:
    from preimage.backprop.deconvnet import Projector, as_colours, strongest_unit

    layer = network.before_relu(layer)
    features = network.encode(images, [layer])[layer]
    directions = []
    for row, channel in enumerate(channels):
        directions.append(strongest_unit(layer, features[row : row + 1], int(channel)))
    try:
        return as_colours(Projector(network, layer)(images, np.concatenate(directions)))
    except ConfigError:  # an activation in between that no rule covers
        return None
