"""The public functions that search for images and project activations.

Keras is imported inside them: importing `preimage` costs nothing. `images` are paths, folders, patterns, bytes, PIL
images, uint8 arrays, lists of these, or float32 [B, S, S, 3], RGB 0..255, of the network's size S; unreadable ones are
listed in `skipped` of the result, unless `strict`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.config import PreimageConfig, first_stage, search_config
from preimage.networks.image_inputs import read_image, read_images
from preimage.options import SearchOptions, StyleOptions

if TYPE_CHECKING:
    from preimage.backprop.deconvnet import Projections
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages
    from preimage.optimization.priors import PriorModel


def invert_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    preset: str | PreimageConfig = "ijcv16",
    settings: Sequence[str] = (),
    mask: np.ndarray | None = None,
    unit_std: np.ndarray | None = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Search for images that have the same features as given ones.

    Args:
        network: from `load_network`.
        images: paths, folders, patterns, bytes, PIL images, uint8 arrays, lists of these, or float32 [B, S, S, 3], RGB
            0..255, of the network's size.
        layer: whose features; names are described in `preimage.networks.network`.
        preset: of `preimage.config.CONFIGS`: "ijcv16", "cvpr15", "kato" or "fourier".
        settings: changes of it, such as ["data_weight=300"].
        mask: float, weights of the features, of their shape [h, w, C] or one that broadcasts to it; None: all ones.
        unit_std: float, std of each unit over natural images, for objective=standardised; None: of each image.
        prior_model: a model of natural images, such as `naturalness.load_model().loss`: float32 [B, S, S, 3], RGB
            0..255, to float [B], differentiable.
        options: of the search.

    Returns:
        with the measure "feature_error", ||f - f0||^2 / ||f0||^2.

    Raises:
        ConfigError: an unknown layer, preset or setting, or a search that diverges.
        DataError: no image can be read.

    Example:
        >>> found = invert_images(network, "photos/0.png", "second", settings=["iterations=4,2"])
        >>> found.images.shape, list(found.measures), found.names
        ((1, 16, 16, 3), ['feature_error'], ('photos/0.png',))
    """
    from preimage.optimization.objectives import inversion_objective, relative_error
    from preimage.optimization.optimizer import ImageOptimizer
    from preimage.optimization.priors import with_priors

    config = search_config(preset, settings)
    inputs = read_images(network, images, strict=options.strict)
    target = network.encode(inputs.images, [layer])[layer]
    objective = inversion_objective(layer, target, config, mask, unit_std)
    term = with_priors(config.data_weight * objective, network, layer, config, prior_model)
    found = ImageOptimizer(network, term, config).run(options=options)
    features = network.encode(found.images, [layer])[layer]
    measures = {"feature_error": relative_error(features, target)}
    return replace(found, measures=measures, names=inputs.names, skipped=inputs.skipped, inputs=inputs.images)


def maximize_units(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    preset: str | PreimageConfig = "robust",
    settings: Sequence[str] = (),
    channel_mean: bool = False,
    match_contrast: bool = False,
    images: Any = None,
    max_activations: np.ndarray | None = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Search for images that maximise the activations of channels, units or classes.

    Args:
        network: from `load_network`.
        layer: its name; "scores" for classes. Of a layer that ends in a ReLU, the values before it are maximised.
        channels: indices, one image each.
        preset: "robust", "fourier", "ijcv16" or "cvpr15"; its first stage alone is run.
        settings: changes of it.
        channel_mean: maximise the mean of the channel over the map, instead of the unit in its middle.
        match_contrast: give the images the contrast of photographs before they are measured.
        images: natural images whose largest activations set the scale of the objective, as in Mahendran & Vedaldi 2016;
            None: noise with the spectrum and colours of photographs.
        max_activations: float [B], these activations, where they are known.
        prior_model: as for `invert_images`.
        options: of the search.

    Returns:
        with the measures "activation" and, of classes, "rank", 0 where the class is the network's prediction.

    Raises:
        ConfigError: an unknown layer, channel, preset or setting, or a search that diverges or finds no activation.
        DataError: `images` of which none can be read.

    Example:
        >>> found = maximize_units(network, "last", [1, 2], settings=["iterations=4"], channel_mean=True)
        >>> found.images.shape, found.names
        ((2, 16, 16, 3), ('last 1', 'last 2'))
    """
    from preimage.networks.class_labels import class_ranks
    from preimage.networks.network import SCORES
    from preimage.optimization.objectives import (
        Activation,
        activation_weight,
        like_rows,
        max_activations_of,
        unit_directions,
    )
    from preimage.optimization.optimizer import ImageOptimizer
    from preimage.optimization.parameterization import spectral_noise
    from preimage.optimization.priors import with_priors
    from preimage.style_transfer.colour import photograph_contrast

    config = first_stage(search_config(preset, settings))
    names = tuple(f"{layer} {channel}" for channel in channels)
    layer = network.before_relu(layer)  # a unit that is inactive at the start has no gradient behind its ReLU
    directions = unit_directions(layer, network.shape(layer), channels, channel_mean=channel_mean)
    skipped: tuple[Any, ...] = ()
    if images is not None:
        inputs = read_images(network, images, strict=options.strict)
        skipped = inputs.skipped
        max_activations = max_activations_of(network, layer, channels, inputs.images)
    elif max_activations is None:
        activations = network.encode(spectral_noise(network.mean, network.size), [layer])[layer]
        max_activations = np.full(len(channels), activations.max(), np.float32)
    weights = activation_weight(network.receptive_field(layer).side, max_activations)
    objective = Activation(layer, directions * like_rows(weights, directions))
    term = with_priors(config.activation_weight * objective, network, layer, config, prior_model)
    found = ImageOptimizer(network, term, config).run(options=options)
    found = replace(found, names=names, skipped=skipped)
    if match_contrast:
        found = replace(found, images=photograph_contrast(found.images))
    features = network.encode(found.images, [layer])[layer]
    found.measures["activation"] = (features * directions).reshape(len(features), -1).sum(axis=1)
    if layer == SCORES:
        found.measures["rank"] = class_ranks(features, channels)
    return found


def caricature_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    preset: str | PreimageConfig = "ijcv16",
    settings: Sequence[str] = (),
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Exaggerate the features that a layer has of images.

    Args:
        network: from `load_network`.
        images: what `preimage.invert_images` takes.
        layer: whose features.
        preset: "ijcv16", "fourier" or "cvpr15"; its first stage alone is run.
        settings: changes of it.
        prior_model: as for `invert_images`.
        options: of the search.

    Returns:
        with the measure "gain", the projection of the features onto the image's own, which is 1 at the start.

    Raises:
        ConfigError: an unknown layer, preset or setting, features without a positive value, or a search that diverges.
        DataError: no image can be read.

    Example:
        >>> found = caricature_images(network, "photos/*.png", "last", settings=["iterations=4,2"])
        >>> bool((found.measures["gain"] > 1).all())
        True
    """
    from preimage.optimization.objectives import caricature_objective
    from preimage.optimization.optimizer import ImageOptimizer
    from preimage.optimization.priors import with_priors

    config = first_stage(search_config(preset, settings))
    inputs = read_images(network, images, strict=options.strict)
    objective = caricature_objective(layer, network.encode(inputs.images, [layer])[layer])
    term = with_priors(config.data_weight * objective, network, layer, config, prior_model)
    found = ImageOptimizer(network, term, config).run(inputs.images, options=options)
    features = network.encode(found.images, [layer])[layer]
    measures = {"gain": (features * objective.arrays[0]).reshape(len(features), -1).sum(axis=1)}
    return replace(found, measures=measures, names=inputs.names, skipped=inputs.skipped, inputs=inputs.images)


def style_images(
    network: "Network",
    images: Any,
    style: Any,
    *,
    preset: str | PreimageConfig = "style",
    settings: Sequence[str] = (),
    style_options: StyleOptions = StyleOptions(),
    regions: tuple[np.ndarray, np.ndarray] | None = None,
    texture: Any = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Transfer the style of an image to others.

    Args:
        network: from `load_network`; networks of the VGG family give the best textures.
        images: the contents.
        style: one image.
        preset: "style".
        settings: changes of it, such as ["start=uniform"].
        style_options: layers, weights and colour control.
        regions: int [S, S] of the contents and of the style, indices of regions from 0; each region gets the textures
            of the style's region of the same index.
        texture: one image, whose fine texture is first put on the style.
        prior_model: as for `invert_images`.
        options: of the search.

    Returns:
        with the measure "loss".

    Raises:
        ConfigError: an unknown layer, preset, setting or colour control, regions that do not match, or several styles.
        DataError: no image can be read, or the style or texture cannot.

    Example:
        >>> found = style_images(network, "photos/0.png", "photos/1.png", settings=["iterations=4,2"])
        >>> found.images.shape, list(found.measures)
        ((1, 16, 16, 3), ['loss'])
    """
    from preimage.style_transfer.transfer import transfer_style, with_default_layers, with_fine_texture

    config = search_config(preset, settings)
    style_options = with_default_layers(style_options, network)
    style_image = read_image(network, style)
    if texture is not None:
        shallow = style_options.style_layers[: max(1, len(style_options.style_layers) // 2)]
        style_image = with_fine_texture(network, style_image, read_image(network, texture), shallow, config)
    inputs = read_images(network, images, strict=options.strict)
    found = transfer_style(
        network, inputs.images, style_image, style_options, config, regions=regions, prior_model=prior_model,
        options=options,
    )  # fmt: skip
    return replace(found, names=inputs.names, skipped=inputs.skipped)


def deconv_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    channel: int | None = None,
    relu_rule: str = "deconvnet",
    strict: bool = False,
) -> "Projections":
    """Project the largest activation of a layer back to the pixels of each image.

    Args:
        network: from `load_network`.
        images: as for `classify_images`.
        layer: its name; of a layer that ends in a ReLU, the values before it.
        channel: of which channel; None: the largest of all.
        relu_rule: how a ReLU passes gradients backwards: "deconvnet", "guided" or "gradient".
        strict: raise for the first unreadable image.

    Raises:
        ConfigError: an unknown layer, channel or rule, or a layer in between that the rule does not cover.
        DataError: no image can be read.

    Example:
        >>> deconv_images(network, "photos/0.png", "last", channel=2).images.shape
        (1, 16, 16, 3)
    """
    from preimage.backprop.deconvnet import Projections, project, strongest_unit

    inputs = read_images(network, images, strict=strict)
    layer = network.before_relu(layer)
    directions = strongest_unit(layer, network.encode(inputs.images, [layer])[layer], channel)
    projected = project(network, inputs.images, layer, directions, relu_rule=relu_rule)
    activations = directions.reshape(len(directions), -1).sum(axis=1)
    return Projections(inputs.names, projected, activations, inputs.images, inputs.skipped)
