"""The searches by name: the loss that each minimises, its start, and what it reaches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from preimage.config import PreimageConfig, first_stage
from preimage.networks.class_labels import class_ranks
from preimage.networks.network import SCORES, Network
from preimage.optimization.objectives import (
    Activation,
    Inversion,
    StandardisedInversion,
    activation_weight,
    caricature_objective,
    like_rows,
    unit_directions,
)
from preimage.optimization.optimizer import ImageOptimizer, Preimages
from preimage.optimization.parameterization import Fourier
from preimage.optimization.priors import PriorModel, with_priors
from preimage.optimization.terms import Term
from preimage.options import SearchOptions
from preimage.style_transfer.colour import photograph_contrast
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream

_NOISE_IMAGES = 32  # noise images that tell how large activations are where there are no photographs


def invert(
    network: Network,
    images: np.ndarray,
    layer: str,
    config: PreimageConfig,
    *,
    mask: np.ndarray | None = None,
    unit_std: np.ndarray | None = None,
    prior_model: PriorModel | None = None,
    options: SearchOptions = SearchOptions(),
) -> Preimages:
    """Search for images with the features of given ones; arguments, measures and errors as of `preimage.invert_images`.

    Args:
        network: from `load_network`.
        images: float32 [B, S, S, 3], RGB 0..255.
        layer: whose features.
        config: settings.
        mask: weights of the features, of objective=relative; see `Inversion`.
        unit_std: std of each unit over natural images, of objective=standardised; see `StandardisedInversion`.
        prior_model: a model of natural images as a further prior.
        options: of the search.
    """
    target = network.encode(images, [layer])[layer]
    objective = _inversion_objective(layer, target, config, mask, unit_std)
    term = with_priors(config.data_weight * objective, network, layer, config, prior_model)
    found = ImageOptimizer(network, term, config).run(options=options)
    features = network.encode(found.images, [layer])[layer]
    return replace(found, inputs=images, measures={"feature_error": relative_error(features, target)})


def maximize(
    network: Network,
    layer: str,
    channels: Sequence[int],
    config: PreimageConfig,
    *,
    channel_mean: bool = False,
    match_contrast: bool = False,
    max_activations: np.ndarray | None = None,
    prior_model: PriorModel | None = None,
    options: SearchOptions = SearchOptions(),
) -> Preimages:
    """Search for images that maximise channels; arguments, measures and errors as of `preimage.maximize_units`.

    Args:
        network: from `load_network`.
        layer: "scores" for classes.
        channels: B indices, one image each.
        config: settings; the first stage alone is run.
        channel_mean: maximise the mean over the map, instead of the unit in its middle.
        match_contrast: apply `preimage.style_transfer.colour.photograph_contrast` before measuring.
        max_activations: float [B], M of `activation_weight`; None: the largest of any channel on `spectral_noise`.
        prior_model: a model of natural images as a further prior.
        options: of the search.
    """
    layer = network.before_relu(layer)  # a unit that is inactive at the start has no gradient behind its ReLU
    directions = unit_directions(layer, network.shape(layer), channels, channel_mean=channel_mean)
    if max_activations is None:
        activations = network.encode(spectral_noise(network), [layer])[layer]
        max_activations = np.full(len(channels), activations.max(), np.float32)
    weights = activation_weight(network.receptive_field(layer).side, max_activations)
    objective = Activation(layer, directions * like_rows(weights, directions))
    stage = first_stage(config)
    term = with_priors(stage.activation_weight * objective, network, layer, stage, prior_model)
    found = ImageOptimizer(network, term, stage).run(options=options)
    if match_contrast:
        found = replace(found, images=photograph_contrast(found.images))
    features = network.encode(found.images, [layer])[layer]
    measures = {"activation": (features * directions).reshape(len(features), -1).sum(axis=1)}
    if layer == SCORES:
        measures["rank"] = class_ranks(features, channels)
    return replace(found, measures=measures)


def caricature(
    network: Network,
    images: np.ndarray,
    layer: str,
    config: PreimageConfig,
    *,
    prior_model: PriorModel | None = None,
    options: SearchOptions = SearchOptions(),
) -> Preimages:
    """Search for images with more of a layer's features; measures and errors as of `preimage.caricature_images`.

    Args:
        network: from `load_network`.
        images: float32 [B, S, S, 3], RGB 0..255; the search starts from them.
        layer: whose features.
        config: settings; the first stage alone is run.
        prior_model: a model of natural images as a further prior.
        options: of the search.
    """
    objective = caricature_objective(layer, network.encode(images, [layer])[layer])
    stage = first_stage(config)
    term = with_priors(stage.data_weight * objective, network, layer, stage, prior_model)
    found = ImageOptimizer(network, term, stage).run(images, options=options)
    features = network.encode(found.images, [layer])[layer]
    gain = (features * objective.arrays[0]).reshape(len(features), -1).sum(axis=1)
    return replace(found, inputs=images, measures={"gain": gain})


def max_activations_of(network: Network, layer: str, channels: Sequence[int], images: np.ndarray) -> np.ndarray:
    """Return the largest activation of channels anywhere in images.

    Args:
        network: from `load_network`.
        layer: its name; of a layer that ends in a ReLU, the values before it.
        channels: B indices.
        images: float32 [P, S, S, 3], RGB 0..255.

    Returns:
        float32 [B].

    Raises:
        ConfigError: an unknown layer or channel.
    """
    layer = network.before_relu(layer)
    network.require_channels(layer, channels)
    features = network.encode(images, [layer])[layer]
    return features.reshape(-1, features.shape[-1]).max(axis=0)[list(channels)]


def spectral_noise(network: Network, count: int = _NOISE_IMAGES) -> np.ndarray:
    """Return noise with the spectrum and colours of photographs, float32 [count, S, S, 3], RGB 0..255."""
    fourier = Fourier(network.mean)
    shape = (network.size, network.size, 3)
    noise = []
    for index in range(count):
        random = stream(index, "preimage", "drawn")
        noise.append(0.1 * random.standard_normal(shape, np.float32))
    return np.asarray(fourier.centred(np.stack(noise))) + network.mean


def relative_error(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return ||f - f0||^2 / ||f0||^2 of float [B, ...] and float [B, ...], float64 [B]."""
    difference = np.square(features.astype(np.float64) - target).reshape(len(target), -1).sum(axis=1)
    return difference / np.square(target, dtype=np.float64).reshape(len(target), -1).sum(axis=1)


def _inversion_objective(
    layer: str, target: np.ndarray, config: PreimageConfig, mask: np.ndarray | None, unit_std: np.ndarray | None
) -> Term:
    if config.objective == "standardised":
        if mask is not None:
            raise ConfigError("objective=standardised counts all features, got a mask; choose objective=relative")
        return StandardisedInversion(layer, target, unit_std)
    if unit_std is not None:
        raise ConfigError("objective=relative has no use for unit_std; leave it out or choose objective=standardised")
    return Inversion(layer, target, mask)
