"""Style transfer: an image with the content of one and the textures of another."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from preimage.config import PreimageConfig
from preimage.networks.network import Network
from preimage.optimization.optimizer import ImageOptimizer, Preimages
from preimage.optimization.priors import PriorModel, with_priors
from preimage.optimization.terms import Term
from preimage.options import SearchOptions, StyleOptions
from preimage.style_transfer.colour import CONTROLS, MATCHES, luminance, matched_colours, with_chroma
from preimage.style_transfer.gram import ContentLoss, StyleLoss, gram, guides_of
from vislang.core.errors import ConfigError, unknown_name

Regions = tuple[np.ndarray, np.ndarray]  # int [S, S] of the contents and of the style
_TEXTURE_CONTENT_WEIGHT = 0.2
_SMALLEST_SIDE = 4  # of the maps whose Gram matrices are matched


def transfer_style(
    network: Network,
    images: np.ndarray,
    style: np.ndarray,
    style_options: StyleOptions,
    config: PreimageConfig,
    *,
    regions: Regions | None = None,
    prior_model: PriorModel | None = None,
    options: SearchOptions = SearchOptions(),
) -> Preimages:
    """Search for images with the content of given ones and the textures of a style.

    Args:
        images: float32 [B, S, S, 3], RGB 0..255, the contents.
        style: float32 [S, S, 3], RGB 0..255.
        style_options: what is matched.
        config: settings; "start=image" starts from the contents.
        regions: as of `preimage.style_images`, which also describes measures and errors.
    """
    colour = style_options.colour
    if colour not in CONTROLS:
        raise unknown_name("colour control", colour, CONTROLS)
    contents = images
    styles = style[None]
    if colour in MATCHES:
        styles = np.stack([matched_colours(style, image, colour) for image in images])
    elif colour == "luminance":
        contents = luminance(images)
        grey = luminance(styles)
        styles = grey - grey.mean() + contents.mean()
    style_options = with_default_layers(style_options, network)
    losses = _losses(network, contents, styles, style_options, regions)
    term = with_priors(losses, network, style_options.style_layers[-1], config, prior_model)
    start = contents if config.start == "image" else None
    found = ImageOptimizer(network, term, config).run(start, options=options)
    stylised = found.images
    if colour == "luminance":
        stylised = with_chroma(stylised, images)
    return replace(found, images=stylised, measures={"loss": found.losses[-1]}, inputs=images)


def with_fine_texture(
    network: Network, style: np.ndarray, texture: np.ndarray, layers: Sequence[str], config: PreimageConfig
) -> np.ndarray:
    """Put the fine texture of one image on the coarse forms of a style, for use as a style; all float32 [S, S, 3].

    The layers are shallow ones, such as up to relu2_1 of VGG-19; the deepest also holds the forms.
    """
    style_options = StyleOptions(layers[-1], tuple(layers), content_weight=_TEXTURE_CONTENT_WEIGHT)
    return transfer_style(network, style[None], texture, style_options, config).images[0]


def with_default_layers(style_options: StyleOptions, network: Network) -> StyleOptions:
    """Choose the layers that are not named: maps of up to five sizes."""
    if style_options.content_layer and style_options.style_layers:
        return style_options
    layers_by_side: dict[int, list[str]] = {}
    for layer in network.model.layers[1:]:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] and shape[1] >= _SMALLEST_SIDE:
            layers_by_side.setdefault(int(shape[1]), []).append(layer.name)
    sizes = list(layers_by_side.values())[:5]
    if not sizes:
        raise ConfigError(f"network {network.name} has no maps to match textures of; choose another network")
    third_of_each = tuple(names[min(2, len(names) - 1)] for names in sizes)
    return replace(
        style_options,
        content_layer=style_options.content_layer or sizes[-1][-1],
        style_layers=style_options.style_layers or third_of_each,
    )


def _losses(
    network: Network, contents: np.ndarray, styles: np.ndarray, style_options: StyleOptions, regions: Regions | None
) -> Term:
    """Return the weighted sum of content and style loss, with one style for all contents or one for each."""
    layers = style_options.style_layers
    normalisation = style_options.normalisation
    features = network.encode(styles, layers)
    guides: dict[str, np.ndarray] = {}
    targets = {}
    for layer in layers:
        style_guides = None
        if regions is not None:
            content_regions, style_regions = _region_guides(network, layer, regions)
            guides[layer] = np.repeat(content_regions[None], len(contents), axis=0)
            style_guides = style_regions[None]
        target = np.asarray(gram(features[layer], style_guides, normalisation))
        targets[layer] = np.repeat(target, len(contents) // len(styles), axis=0)
    content_layer: Any = style_options.content_layer
    content_features = network.encode(contents, [content_layer])[content_layer]
    content_loss = ContentLoss(content_layer, content_features, normalisation)
    style_loss = StyleLoss(targets, guides, normalisation)
    return style_options.content_weight * content_loss + style_options.style_weight * style_loss


def _region_guides(network: Network, layer: str, regions: Regions) -> tuple[np.ndarray, np.ndarray]:
    """Return the guides float32 [h, w, R] of the contents and of the style."""
    indices, style_indices = (np.unique(part).tolist() for part in regions)
    if indices != style_indices or indices != list(range(len(indices))):
        raise ConfigError(
            f"the content has regions {indices}, the style {style_indices}; expected 0, 1, ... and the same in both"
        )
    height, width, *_ = network.shape(layer)
    cells = (height, width)
    return guides_of(regions[0], cells, len(indices)), guides_of(regions[1], cells, len(indices))
