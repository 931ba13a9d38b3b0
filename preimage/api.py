"""The public functions that search for images and project activations.

Arguments that several of them have:

    network      from `load_network`
    images       paths, folders, patterns, bytes, PIL images, uint8 arrays, lists of these, or float32 [B, S, S, 3], RGB
                 0..255, of the network's size; unreadable ones are listed in `skipped` of the result, unless `strict`
    layer        named as `preimage.networks.network` describes
    preset       name in `preimage.config.CONFIGS`, or a config; `settings` changes it, such as ["data_weight=300"]
    prior_model  a model of natural images, such as `naturalness.load_model().loss`: float32 [B, S, S, 3], RGB 0..255,
                 to float [B], differentiable; None: no such prior
    options      of the search

A trained model of another kind is a CheckpointError; an unknown layer, preset or setting, or a search that diverges, is
a ConfigError; images of which none can be read are a DataError. Keras is imported inside the functions, so that
importing `preimage` is fast.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.config import PreimageConfig, first_stage, search_config
from preimage.networks.image_inputs import NetworkImages, read_image, read_images
from preimage.options import SearchOptions, StyleOptions
from vislang.core.model_kinds import require_kind

if TYPE_CHECKING:
    from preimage.backprop.deconvnet import Projections
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages
    from preimage.optimization.priors import PriorModel
    from preimage.optimization.terms import Term


def invert_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    preset: str | PreimageConfig = "ijcv16",
    settings: str | Sequence[str] = (),
    mask: np.ndarray | str | None = None,
    unit_std: np.ndarray | None = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Search for images that have the same features as given ones; see `preimage.api` for the other arguments.

    Args:
        preset: "ijcv16", "cvpr15", "kato" or "fourier".
        mask: float, weights of the features, of their shape [h, w, C] or one that broadcasts to it; or a part of them:
            "central", the middle 5x5 cells, "first-half" or "second-half" of the channels; None: all.
        unit_std: float, std of each unit over natural images, for objective=standardised; None: of each image.

    Returns:
        with the measure "feature_error", ||f - f0||^2 / ||f0||^2.

    Example:
        >>> found = invert_images(network, "photos/0.png", "second", settings=["iterations=4,2"])
        >>> found.images.shape, list(found.measures), found.names
        ((1, 16, 16, 3), ['feature_error'], ('photos/0.png',))
    """
    from preimage.optimization.objectives import feature_mask, inversion_objective, relative_error

    require_kind(network, "network")
    config = search_config(preset, settings)
    if isinstance(mask, str):
        mask = feature_mask(layer, network.shape(layer), mask)
    inputs = read_images(network, images, strict=options.strict)
    target = network.encode(inputs.images, [layer])[layer]
    objective = config.data_weight * inversion_objective(layer, target, config, mask, unit_std)
    found = _search(network, layer, objective, config, prior_model, options, inputs)
    features = network.encode(found.images, [layer])[layer]
    return replace(found, measures={"feature_error": relative_error(features, target)})


def maximize_units(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    preset: str | PreimageConfig = "robust",
    settings: str | Sequence[str] = (),
    channel_mean: bool = False,
    match_contrast: bool = False,
    images: Any = None,
    max_activations: np.ndarray | None = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Search for images that maximise the activations of channels, units or classes; see also `preimage.api`.

    Args:
        layer: "scores" for classes. Of a layer that ends in a ReLU, the values before it are maximised.
        channels: indices, one image each.
        preset: "robust", "fourier", "ijcv16" or "cvpr15"; its first stage alone is run.
        channel_mean: maximise the mean of the channel over the map, instead of the unit in its middle.
        match_contrast: give the images the contrast of photographs before they are measured.
        images: natural images whose largest activations set the scale of the objective, as in Mahendran & Vedaldi 2016;
            None: noise with the spectrum and colours of photographs.
        max_activations: float [B], these activations, where they are known.

    Returns:
        with the measures "activation" and, of classes, "rank", 0 where the class is the network's prediction.

    Example:
        >>> found = maximize_units(network, "last", [1, 2], settings=["iterations=4"], channel_mean=True)
        >>> found.images.shape, found.names
        ((2, 16, 16, 3), ('last 1', 'last 2'))
    """
    from preimage.networks.class_labels import class_ranks
    from preimage.networks.network import SCORES
    from preimage.optimization import objectives
    from preimage.optimization.parameterization import spectral_noise
    from preimage.style_transfer.colour import photograph_contrast

    require_kind(network, "network")
    config = first_stage(search_config(preset, settings))
    names = tuple(f"{layer} {channel}" for channel in channels)
    layer = network.before_relu(layer)  # a unit that is inactive at the start has no gradient behind its ReLU
    directions = objectives.unit_directions(layer, network.shape(layer), channels, channel_mean=channel_mean)
    skipped: tuple[Any, ...] = ()
    if images is not None:
        inputs = read_images(network, images, strict=options.strict)
        skipped = inputs.skipped
        features = network.encode(inputs.images, [layer])[layer]
        max_activations = features.reshape(-1, features.shape[-1]).max(axis=0)[list(channels)]
    elif max_activations is None:
        activations = network.encode(spectral_noise(network.mean, network.size), [layer])[layer]
        max_activations = np.full(len(channels), activations.max(), np.float32)
    weights = objectives.activation_weight(network.receptive_field(layer).side, max_activations)
    objective = objectives.Activation(layer, directions * objectives.like_rows(weights, directions))
    found = _search(network, layer, config.activation_weight * objective, config, prior_model, options)
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
    settings: str | Sequence[str] = (),
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Exaggerate the features that a layer has of images; `preimage.api` describes the arguments.

    The first stage of the preset, "ijcv16", "fourier" or "cvpr15", is run from the images. Features without a positive
    value are a ConfigError.

    Returns:
        with the measure "gain", the projection of the features onto the image's own, which is 1 at the start.

    Example:
        >>> found = caricature_images(network, "photos/*.png", "last", settings=["iterations=4,2"])
        >>> bool((found.measures["gain"] > 1).all())
        True
    """
    from preimage.optimization.objectives import caricature_objective

    require_kind(network, "network")
    config = first_stage(search_config(preset, settings))
    inputs = read_images(network, images, strict=options.strict)
    objective = caricature_objective(layer, network.encode(inputs.images, [layer])[layer])
    start = inputs.images
    found = _search(network, layer, config.data_weight * objective, config, prior_model, options, inputs, start)
    features = network.encode(found.images, [layer])[layer]
    gain = (features * objective.arrays[0]).reshape(len(features), -1).sum(axis=1)
    return replace(found, measures={"gain": gain})


def _search(
    network: "Network",
    layer: str,
    objective: "Term",
    config: PreimageConfig,
    prior_model: "PriorModel | None",
    options: SearchOptions,
    inputs: NetworkImages | None = None,
    start: np.ndarray | None = None,
) -> "Preimages":
    """Minimise an objective and the priors of a preset; the result names the inputs that it is made from."""
    from preimage.optimization.optimizer import ImageOptimizer
    from preimage.optimization.priors import with_priors

    term = with_priors(objective, network, layer, config, prior_model)
    found = ImageOptimizer(network, term, config).run(start, options=options)
    if inputs is None:
        return found
    return replace(found, names=inputs.names, skipped=inputs.skipped, inputs=inputs.images)


def style_images(
    network: "Network",
    images: Any,
    style: Any,
    *,
    preset: str | PreimageConfig = "style",
    settings: str | Sequence[str] = (),
    style_options: StyleOptions = StyleOptions(),
    regions: tuple[np.ndarray, np.ndarray] | None = None,
    texture: Any = None,
    prior_model: "PriorModel | None" = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Transfer the style of an image to others; see `preimage.api` for the other arguments.

    Args:
        network: those of the VGG family give the best textures.
        images: the contents.
        style: one image.
        style_options: layers, weights and colour control.
        regions: int [S, S] of the contents and of the style, indices of regions from 0; each region gets the textures
            of the style's region of the same index.
        texture: one image, whose fine texture is first put on the style.

    Returns:
        with the measure "loss".

    Raises:
        ConfigError: an unknown colour control, regions that do not match, or several styles.

    Example:
        >>> found = style_images(network, "photos/0.png", "photos/1.png", settings=["iterations=4,2"])
        >>> found.images.shape, list(found.measures)
        ((1, 16, 16, 3), ['loss'])
    """
    from preimage.style_transfer.transfer import transfer_style, with_default_layers, with_fine_texture

    require_kind(network, "network")
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
    channel: int | Sequence[int] | None = None,
    relu_rule: str = "deconvnet",
    strict: bool = False,
) -> "Projections":
    """Project the largest activation of a layer back to the pixels of each image; see also `preimage.api`.

    Args:
        layer: of one that ends in a ReLU, the values before it are used.
        channel: of which channel, one for all images or one for each; None: the largest of all.
        relu_rule: how a ReLU passes gradients backwards: "deconvnet", "guided" or "gradient".
        strict: raise for the first unreadable image.

    Raises:
        ConfigError: an unknown channel or rule, or a layer in between that the rule does not cover.

    Example:
        >>> deconv_images(network, "photos/0.png", "last", channel=2).images.shape
        (1, 16, 16, 3)
    """
    from preimage.backprop.deconvnet import Projections, project, strongest_unit

    require_kind(network, "network")
    inputs = read_images(network, images, strict=strict)
    layer = network.before_relu(layer)
    directions = strongest_unit(layer, network.encode(inputs.images, [layer])[layer], channel)
    projected = project(network, inputs.images, layer, directions, relu_rule=relu_rule)
    activations = directions.reshape(len(directions), -1).sum(axis=1)
    return Projections(inputs.names, projected, activations, inputs.images, inputs.skipped)
