"""The public functions that synthesise images by gradient search. Keras is imported inside them.

`images` are what the functions of `preimage.api` take; unreadable ones are listed in `skipped` of the result, unless
`options.strict`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from preimage.options import SearchOptions, StyleOptions

if TYPE_CHECKING:
    import numpy as np

    from preimage.networks.image_inputs import NetworkImages
    from preimage.networks.network import Network
    from preimage.optimization.optimizer import Preimages
    from preimage.optimization.priors import PriorModel


def invert_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    preset: str = "ijcv16",
    settings: Sequence[str] = (),
    mask: "np.ndarray | None" = None,
    unit_std: "np.ndarray | None" = None,
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
    from preimage.config import search_config
    from preimage.optimization import searches

    config = search_config(preset, settings)
    inputs = _read(network, images, options)
    found = searches.invert(
        network, inputs.images, layer, config, mask=mask, unit_std=unit_std, prior_model=prior_model, options=options
    )
    return replace(found, names=inputs.names, skipped=inputs.skipped)


def maximize_units(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    preset: str = "robust",
    settings: Sequence[str] = (),
    channel_mean: bool = False,
    match_contrast: bool = False,
    images: Any = None,
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
    from preimage.config import search_config
    from preimage.optimization import searches

    config = search_config(preset, settings)
    max_activations = None
    skipped: tuple[Any, ...] = ()
    if images is not None:
        read = _read(network, images, options)
        skipped = read.skipped
        max_activations = searches.max_activations_of(network, layer, channels, read.images)
    found = searches.maximize(
        network, layer, channels, config, channel_mean=channel_mean, match_contrast=match_contrast,
        max_activations=max_activations, prior_model=prior_model, options=options,
    )  # fmt: skip
    return replace(found, names=_unit_names(layer, channels), skipped=skipped)


def caricature_images(
    network: "Network",
    images: Any,
    layer: str,
    *,
    preset: str = "ijcv16",
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
    from preimage.config import search_config
    from preimage.optimization import searches

    config = search_config(preset, settings)
    inputs = _read(network, images, options)
    found = searches.caricature(network, inputs.images, layer, config, prior_model=prior_model, options=options)
    return replace(found, names=inputs.names, skipped=inputs.skipped)


def style_images(
    network: "Network",
    images: Any,
    style: Any,
    *,
    preset: str = "style",
    settings: Sequence[str] = (),
    style_options: StyleOptions = StyleOptions(),
    regions: "tuple[np.ndarray, np.ndarray] | None" = None,
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
    from preimage.config import search_config
    from preimage.networks.image_inputs import read_image
    from preimage.style_transfer.transfer import transfer_style, with_default_layers, with_fine_texture

    config = search_config(preset, settings)
    style_options = with_default_layers(style_options, network)
    style_image = read_image(network, style)
    if texture is not None:
        shallow = style_options.style_layers[: max(1, len(style_options.style_layers) // 2)]
        style_image = with_fine_texture(network, style_image, read_image(network, texture), shallow, config)
    inputs = _read(network, images, options)
    found = transfer_style(
        network, inputs.images, style_image, style_options, config, regions=regions, prior_model=prior_model,
        options=options,
    )  # fmt: skip
    return replace(found, names=inputs.names, skipped=inputs.skipped)


def filters_from_noise(
    network: "Network",
    layer: str,
    channels: Sequence[int],
    *,
    amplitude: float = 1.0,
    offset: float = 100.0,
    steps: int = 20,
    preprocess: bool | None = None,
    options: SearchOptions = SearchOptions(),
) -> "Preimages":
    """Maximise channels from white noise in a few steps, without a prior.

    Args:
        network: from `load_network`.
        layer: its name; of a layer that ends in a ReLU, the values before it.
        channels: indices, one image each.
        amplitude: of the noise, uniform from -amplitude to amplitude.
        offset: added to the noise.
        steps: number of updates.
        preprocess: whether the noise passes the network's preprocessing; None: only for networks whose input is not of
            the range 0..255.
        options: of the search.

    Returns:
        with the measure "mean_activation".

    Raises:
        ConfigError: an unknown layer or channel, less than 1 step, or a channel that does not depend on the noise.

    Example:
        >>> filters_from_noise(network, "last", [1], steps=2).names
        ('last 1',)
    """
    from preimage.optimization import white_noise

    found = white_noise.filters_from_noise(
        network, layer, channels, amplitude=amplitude, offset=offset, steps=steps, preprocess=preprocess,
        options=options,
    )  # fmt: skip
    return replace(found, names=_unit_names(layer, channels))


def _read(network: "Network", images: Any, options: SearchOptions) -> "NetworkImages":
    from preimage.networks.image_inputs import read_images

    return read_images(network, images, strict=options.strict)


def _unit_names(layer: str, channels: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{layer} {channel}" for channel in channels)
