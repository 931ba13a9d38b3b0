"""The searches by name: which sum each of them minimises, from where, and what it reached."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from preimage.config import PreimageConfig, first_stage
from preimage.networks.network import SCORES, Network
from preimage.optimization.objectives import (
    Activation,
    Inversion,
    Standardised,
    activation_weight,
    caricature,
    unit_directions,
)
from preimage.optimization.optimizer import ImageOptimizer, Preimages
from preimage.optimization.parameterization import Fourier
from preimage.optimization.priors import priors
from preimage.optimization.terms import Term
from preimage.style_transfer.colour import natural_contrast
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream

_LOOKED_AT = 32  # drawn pictures that tell how large responses are where there are no photographs


def invert(
    network: Network,
    pictures: np.ndarray,
    layer: str,
    config: PreimageConfig,
    *,
    mask: np.ndarray | None = None,
    deviation: np.ndarray | None = None,
    natural: Callable[[Any], Any] | None = None,
    seeds: Sequence[int] | None = None,
    **running: Any,
) -> Preimages:
    """Find pictures with the features of given ones.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255.
        layer: the tap.
        config: settings.
        mask: which features count; see `Inversion`.
        deviation: of each unit over natural pictures; see `Standardised`.
        natural: a model of pictures as a prior; see `preimage.optimization.priors.Natural`.
        seeds: one for each picture; None: 0, 1, ...
        **running: `watch`, `watch_every` and `progress` of `ImageOptimizer.run`.

    Returns:
        with the measure "feature_error", ||f - f0||^2 / ||f0||^2 over all features.
    """
    target = network.encode(pictures, [layer])[layer]
    objective: Term = Inversion(layer, target, mask)
    if config.objective == "standardised":
        objective = Standardised(layer, target, deviation)
    search = ImageOptimizer(network, _sum(network, layer, config.data_weight * objective, config, natural), config)
    found = search.run(seeds=_seeds(seeds, len(pictures)), **running)
    reached = network.encode(found.pictures, [layer])[layer]
    return replace(found, measures={"feature_error": relative_error(reached, target)})


def maximize(
    network: Network,
    layer: str,
    channels: Sequence[int],
    config: PreimageConfig,
    *,
    whole: bool = False,
    contrast: bool = False,
    largest: np.ndarray | None = None,
    natural: Callable[[Any], Any] | None = None,
    seeds: Sequence[int] | None = None,
    **running: Any,
) -> Preimages:
    """Find the pictures that channels, units or classes answer to most.

    Args:
        network: see `preimage.networks.network`.
        layer: the tap; "scores" for classes. Of a ReLU, what lies before it.
        channels: which, one picture each.
        config: settings; the first stage alone is run.
        whole: the mean of the channel over the map, instead of the unit in its middle.
        contrast: give what is found the contrast of photographs, before it is measured; see
            `preimage.style_transfer.colour.natural_contrast`.
        largest: float [B], the largest response of each to natural pictures; None: for all of them the largest of
            any channel to drawn noise with the spectrum and colours of photographs.
        natural: see `invert`.
        seeds: see `invert`.
        **running: see `invert`.

    Returns:
        with the measure "activation"; of classes also "rank", 0 where the class is the network's first choice.
    """
    layer = network.unclipped(layer)  # a unit that is silent at the start has no slope behind its ReLU
    directions = unit_directions(network.shape(layer), channels, whole=whole)
    if largest is None:
        answers = network.encode(drawn_noise(network), [layer])[layer]
        largest = np.full(len(channels), answers.max(), np.float32)
    weights = activation_weight(network.field(layer).side, largest)
    objective = Activation(layer, directions * weights.reshape(-1, *[1] * (directions.ndim - 1)))
    stage = first_stage(config)
    search = ImageOptimizer(network, _sum(network, layer, stage.activation_weight * objective, stage, natural), stage)
    found = search.run(seeds=_seeds(seeds, len(channels)), **running)
    if contrast:
        found = replace(found, pictures=natural_contrast(found.pictures))
    reached = network.encode(found.pictures, [layer])[layer]
    measures = {"activation": (reached * directions).reshape(len(reached), -1).sum(axis=1)}
    if layer == SCORES:
        own = np.take_along_axis(reached, np.asarray(channels)[:, None], axis=1)
        measures["rank"] = (reached > own).sum(axis=1)
    return replace(found, measures=measures)


def caricature_of(
    network: Network,
    pictures: np.ndarray,
    layer: str,
    config: PreimageConfig,
    *,
    natural: Callable[[Any], Any] | None = None,
    seeds: Sequence[int] | None = None,
    **running: Any,
) -> Preimages:
    """Exaggerate in pictures what a layer sees in them.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255; the search starts from them.
        layer: the tap.
        config: settings; the first stage alone is run.
        natural: see `invert`.
        seeds: see `invert`.
        **running: see `invert`.

    Returns:
        with the measure "gain", how many times the picture's own features there are.
    """
    target = network.encode(pictures, [layer])[layer]
    objective, stage = caricature(layer, target), first_stage(config)
    search = ImageOptimizer(network, _sum(network, layer, stage.data_weight * objective, stage, natural), stage)
    found = search.run(pictures, seeds=_seeds(seeds, len(pictures)), **running)
    reached = network.encode(found.pictures, [layer])[layer]
    gain = (reached * objective.arrays[0]).reshape(len(reached), -1).sum(axis=1)
    return replace(found, measures={"gain": gain})


def largest_responses(network: Network, layer: str, channels: Sequence[int], pictures: np.ndarray) -> np.ndarray:
    """Give the largest response of channels anywhere in pictures.

    Args:
        network: see `preimage.networks.network`.
        layer: the tap.
        channels: which.
        pictures: float32 [P, S, S, 3], RGB 0..255.

    Returns:
        float32 [B].
    """
    layer = network.unclipped(layer)
    features = network.encode(pictures, [layer])[layer]
    return features.reshape(-1, features.shape[-1]).max(axis=0)[list(channels)]


def drawn_noise(network: Network, count: int = _LOOKED_AT) -> np.ndarray:
    """Draw noise with the spectrum and colours of photographs: float32 [count, S, S, 3], RGB 0..255."""
    waves = Fourier(network.mean)
    shape = (network.size, network.size, 3)
    draws = [stream(number, "preimage", "drawn") for number in range(count)]
    noise = np.stack([0.1 * random.standard_normal(shape, np.float32) for random in draws])
    return np.asarray(waves.centred(noise)) + network.mean


def relative_error(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give ||f - f0||^2 / ||f0||^2 for each picture, float64 [B]."""
    difference = np.square(features.astype(np.float64) - target).reshape(len(target), -1).sum(axis=1)
    return difference / np.square(target, dtype=np.float64).reshape(len(target), -1).sum(axis=1)


def _sum(
    network: Network, layer: str, objective: Term, config: PreimageConfig, natural: Callable[[Any], Any] | None
) -> Term:
    share = network.field(layer).side / network.size
    return sum(priors(config, share, natural), objective)


def _seeds(seeds: Sequence[int] | None, count: int) -> Sequence[int]:
    if seeds is not None and len(seeds) != count:
        raise ConfigError(f"got {len(seeds)} seeds for {count} pictures, expected one for each")
    return range(count) if seeds is None else seeds
