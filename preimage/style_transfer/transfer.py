"""Style transfer: a picture with the content of one and the textures of another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from preimage.config import PreimageConfig
from preimage.networks.network import Network
from preimage.optimization.optimizer import ImageOptimizer, Preimages
from preimage.optimization.priors import priors
from preimage.optimization.terms import Term
from preimage.style_transfer.colour import CONTROLS, MATCHES, luminance, matched_colours, matched_luminance, with_chroma
from preimage.style_transfer.gram import Content, Style, gram, guides_of
from vislang.core.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class StyleControls:
    """What is transferred and how.

    Attributes:
        content_layer: whose maps are kept.
        style_layers: whose Gram matrices are matched.
        content_weight: of the content term.
        style_weight: of the style term.
        normalisation: see `preimage.style_transfer.gram.NORMALISATIONS`; weights mean something else in each.
        colour: "none"; "pca", "chol", "sym", the style in the content's colours; "luminance", grey textures only.
    """

    content_layer: str
    style_layers: tuple[str, ...]
    content_weight: float = 1.0
    style_weight: float = 10.0
    normalisation: str = "relative"
    colour: str = "none"


def stylise(
    network: Network,
    contents: np.ndarray,
    style: np.ndarray,
    controls: StyleControls,
    config: PreimageConfig,
    *,
    regions: tuple[np.ndarray, np.ndarray] | None = None,
    seeds: Sequence[int] | None = None,
    **running: Any,
) -> Preimages:
    """Paint pictures in the style of another.

    Args:
        network: see `preimage.networks.network`.
        contents: float32 [B, S, S, 3], RGB 0..255.
        style: float32 [S, S, 3].
        controls: see `StyleControls`.
        config: settings; "start=image" starts from the contents.
        regions: int [S, S] of the contents and of the style, numbers of regions from 0; each region takes the textures
            of the style's region of the same number.
        seeds: of each picture's noise; None: 0, 1, ...
        **running: `watch`, `watch_every` and `progress` of `ImageOptimizer.run`.

    Returns:
        with the measure "loss", what was minimised.

    Raises:
        ConfigError: an unknown control, or regions that the other picture does not have.
    """
    if controls.colour not in CONTROLS:
        raise unknown_name("colour control", controls.colour, CONTROLS)
    if controls.colour in MATCHES and len(contents) > 1:
        parts = [
            stylise(network, contents[row : row + 1], style, controls, config, regions=regions,
                    seeds=None if seeds is None else [seeds[row]], **running)
            for row in range(len(contents))
        ]  # fmt: skip
        return _joined(parts)
    seen, style = _in_colours(contents, style, controls.colour)
    term = _term(network, seen, style, controls, config, regions)
    start = seen if config.start == "image" else None
    search = ImageOptimizer(network, term, config)
    found = search.run(start, seeds=range(len(contents)) if seeds is None else seeds, **running)
    pictures = with_chroma(found.pictures, contents) if controls.colour == "luminance" else found.pictures
    return replace(found, pictures=pictures, measures={"loss": found.losses[-1]})


def finer_style(
    network: Network, style: np.ndarray, texture: np.ndarray, layers: Sequence[str], config: PreimageConfig
) -> np.ndarray:
    """Put the fine texture of one style on the coarse forms of another, for use as a style.

    Args:
        network: see `preimage.networks.network`.
        style: float32 [S, S, 3], whose forms are kept.
        texture: float32 [S, S, 3], whose strokes are taken.
        layers: shallow ones, such as up to relu2_1 of VGG-19; the deepest also holds the forms.
        config: settings.

    Returns:
        float32 [S, S, 3], RGB 0..255.
    """
    controls = StyleControls(layers[-1], tuple(layers), content_weight=0.2)
    return stylise(network, style[None], texture, controls, config).pictures[0]


def default_layers(network: Network) -> tuple[str, tuple[str, ...]]:
    """Choose the layer of the content and those of the style: the first and last maps of up to five sizes."""
    sides: dict[int, list[str]] = {}
    for layer in network.model.layers[1:]:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] and shape[1] >= 4:
            sides.setdefault(int(shape[1]), []).append(layer.name)
    rows = list(sides.values())[:5]
    if not rows:
        raise ConfigError(f"network {network.name} has no maps to take textures from")
    style = tuple(names[min(2, len(names) - 1)] for names in rows)
    return rows[-1][-1], style


def _in_colours(contents: np.ndarray, style: np.ndarray, colour: str) -> tuple[np.ndarray, np.ndarray]:
    if colour in MATCHES:
        return contents, matched_colours(style, contents[0], colour)
    if colour == "luminance":
        grey = luminance(contents)
        return grey, matched_luminance(luminance(style), grey)
    return contents, style


def _term(
    network: Network,
    contents: np.ndarray,
    style: np.ndarray,
    controls: StyleControls,
    config: PreimageConfig,
    regions: tuple[np.ndarray, np.ndarray] | None,
) -> Term:
    layers = list(controls.style_layers)
    own, other = network.encode(contents, [controls.content_layer]), network.encode(style[None], layers)
    guides, style_guides = _guides(network, layers, regions)
    targets, made = {}, {}
    for layer in layers:
        target = gram(other[layer], style_guides and style_guides[layer][None], controls.normalisation)
        targets[layer] = np.repeat(np.asarray(target), len(contents), axis=0)
        if guides:
            made[layer] = np.repeat(guides[layer][None], len(contents), axis=0)
    content = Content(controls.content_layer, own[controls.content_layer], controls.normalisation)
    textures = Style(targets, made or None, controls.normalisation)
    share = network.field(layers[-1]).side / network.size
    return sum(priors(config, share), controls.content_weight * content + controls.style_weight * textures)


def _guides(
    network: Network, layers: Sequence[str], regions: tuple[np.ndarray, np.ndarray] | None
) -> tuple[dict[str, np.ndarray] | None, dict[str, np.ndarray] | None]:
    if regions is None:
        return None, None
    numbers = [sorted(set(np.unique(part).tolist())) for part in regions]
    if numbers[0] != numbers[1] or numbers[0] != list(range(len(numbers[0]))):
        raise ConfigError(
            f"the content has regions {numbers[0]}, the style {numbers[1]}; expected 0, 1, ... and the same in both"
        )
    both = [{layer: guides_of(part, network.shape(layer)[:2], len(numbers[0])) for layer in layers} for part in regions]
    return both[0], both[1]


def _joined(parts: Sequence[Preimages]) -> Preimages:
    names = parts[0].measures
    return Preimages(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.losses for part in parts], axis=1),
        {name: np.concatenate([part.measures[name] for part in parts]) for name in names},
    )
