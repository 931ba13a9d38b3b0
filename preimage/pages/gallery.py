"""The sections of the page that shows one network; each calls the public functions and shows its own command."""

import argparse
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preimage import api
from preimage.backprop.deconvnet import RELU_RULES, as_colours
from preimage.backprop.top_patches import top_patches
from preimage.comparison.layer_analysis import distinctive_channels
from preimage.config import CONFIGS, with_iterations
from preimage.networks.class_labels import class_names
from preimage.networks.image_inputs import evenly_spaced_rows, read_image, read_images
from preimage.networks.layers import block_ends, evenly_spaced_layers
from preimage.networks.network import SCORES, Network
from preimage.optimization.white_noise import filters_from_noise
from preimage.options import Progress, SearchOptions
from preimage.pages.panels import cell, head, panels
from vislang.core.errors import ConfigError
from vislang.draw.html.elements import section
from vislang.images.sources import Skipped

_READ = 100  # images that the distinctive channels and largest activations are found in
_LAYERS = 4
_PATCHES = 3


@dataclass(frozen=True)
class GalleryInputs:
    """What the page is about.

    Attributes:
        network: the network.
        images: float32 [B, S, S, 3], RGB 0..255, those shown.
        paths: of them.
        all_paths: of all images that were read.
        layers: the layers shown.
        channels: of the deepest of them.
        style: float32 [S, S, 3], RGB 0..255; None without `--style`.
        args: of the command.
        skipped: images that could not be read.
    """

    network: Network
    images: np.ndarray
    paths: list[str]
    all_paths: tuple[str, ...]
    layers: list[str]
    channels: list[int]
    style: np.ndarray | None
    args: argparse.Namespace
    skipped: tuple[Skipped, ...]

    @property
    def names(self) -> list[str]:
        """File names of the images shown."""
        return [Path(path).name for path in self.paths]

    def command(self, name: str, *words: Any, images: Sequence[str] = ()) -> str:
        """Return the command that makes one section alone."""
        line = ["python", "-m", f"preimage.{name}", "--model", self.network.name]
        for option in ("weights", "preprocessing", "size"):
            value = getattr(self.args, option)
            if value is not None:
                line += [f"--{option}", str(value)]
        if images:
            line += ["--images", *images]
        return shlex.join([*line, *map(str, words), "--out", f"{name}.png"])

    def settings(self, preset: str) -> list[str]:
        """Return the changes of a preset, as `--set` takes them."""
        if self.args.iterations is None:
            return []
        iterations = with_iterations(CONFIGS[preset], self.args.iterations).iterations
        return [f"iterations={','.join(map(str, iterations))}"]

    def search_words(self, preset: str) -> list[str]:
        """Return the options of a command that searches as here."""
        words = ["--preset", preset]
        for change in self.settings(preset):
            words += ["--set", change]
        return [*words, "--seed", str(self.args.seed)]

    def options(self, progress: Progress) -> SearchOptions:
        """Return the options of a search."""
        return SearchOptions(seed=self.args.seed, progress=progress)


@dataclass(frozen=True)
class GallerySection:
    """A section of the page: its HTML and its measures."""

    html: str
    measures: dict[str, Any] = field(default_factory=dict)


def gallery_inputs(network: Network, paths: Sequence[Path], args: argparse.Namespace) -> GalleryInputs:
    """Read the images and choose layers and channels.

    Raises:
        ConfigError: an unknown layer or channel, or class names for a network without classes.
        DataError: no image can be read.
    """
    if args.labels is not None:
        class_names(network, args.labels)
    layers = list(args.layers) or evenly_spaced_layers(block_ends(network), _LAYERS)
    for layer in layers:
        network.output(layer)
    network.require_channels(layers[-1], args.channels)
    if args.limit < 1:
        raise ConfigError(f"--limit got {args.limit}, expected 1 or more")
    read = read_images(network, list(paths), strict=args.strict, most=_READ)
    rows = evenly_spaced_rows(len(read.names), args.limit)
    channels = list(args.channels)
    if not channels:
        features = network.encode(read.images, [layers[-1]])[layers[-1]]
        activations = features.reshape(len(features), -1, features.shape[-1]).max(axis=1)
        channels = list(dict.fromkeys(distinctive_channels(activations, rows).tolist()))
    style_image = None
    if args.style is not None:
        style_image = read_image(network, args.style)
    return GalleryInputs(
        network=network,
        images=read.images[rows],
        paths=[read.names[row] for row in rows],
        all_paths=read.names,
        layers=layers,
        channels=channels,
        style=style_image,
        args=args,
        skipped=read.skipped,
    )


def inversions(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Invert each layer."""
    errors, columns = _searched_by_layer(
        inputs, api.invert_images, "feature_error", "inversion of", "error {:.2f}", progress
    )
    text = "What each layer keeps: images with the same features. Error: ||f - f0||^2 / ||f0||^2."
    command = inputs.command(
        "invert", "--layer", inputs.layers[-1], *inputs.search_words("ijcv16"), images=inputs.paths
    )
    return GallerySection(section("Inversions", _by_layer(inputs, columns), text=text, command=command), errors)


def classes(inputs: GalleryInputs, progress: Progress) -> GallerySection | None:
    """Maximise the classes that are predicted for the images."""
    if not inputs.network.has_classes:
        return None
    scores = inputs.network.encode(inputs.images, [SCORES])[SCORES]
    indices = list(dict.fromkeys(scores.argmax(axis=1).tolist()))
    names = class_names(inputs.network, inputs.args.labels)
    found = _maximised(inputs, SCORES, indices, progress)
    cells = []
    ranks = {}
    for index, image, rank in zip(indices, found.images, found.measures["rank"], strict=True):
        cells.append(cell(image, f"class {index}", names[index] if names else f"class {index}"))
        ranks[str(index)] = int(rank)
    text = "Images that maximise the scores of the classes predicted for the photographs."
    command = inputs.command("maximize", "--classes", *indices, "--match-contrast", *inputs.search_words("robust"))
    return GallerySection(section("Classes", panels([], [cells]), text=text, command=command), {"rank": ranks})


def channels(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Maximise channels of the deepest layer."""
    layer = inputs.layers[-1]
    found = _maximised(inputs, layer, inputs.channels, progress, channel_mean=True)
    cells = []
    for channel, image in zip(inputs.channels, found.images, strict=True):
        cells.append(cell(image, f"channel {channel} of {layer}", f"channel {channel}"))
    text = f"Images that maximise channels of {layer}: by default the most distinctive ones of the photographs."
    command = inputs.command(
        "maximize", "--layer", layer, "--channels", *inputs.channels, "--channel-mean", "--match-contrast",
        *inputs.search_words("robust"),
    )  # fmt: skip
    return GallerySection(section("Channels", panels([], [cells]), text=text, command=command))


def caricatures(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Exaggerate the features of each layer."""
    gains, columns = _searched_by_layer(
        inputs, api.caricature_images, "gain", "caricature by", "{:.1f} times", progress
    )
    text = "The features of each layer, exaggerated, and how many times the photograph's own features they contain."
    words = inputs.search_words("ijcv16")
    command = inputs.command("caricature", "--layer", inputs.layers[-1], *words, images=inputs.paths)
    return GallerySection(section("Caricatures", _by_layer(inputs, columns), text=text, command=command), gains)


def projections(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Project the largest activations of channels back to the pixels."""
    layer = inputs.network.before_relu(inputs.layers[-1])
    rows = []
    activations = {}
    sources: Sequence[str] = ()
    for channel in inputs.channels[:3]:
        found = top_patches(inputs.network, list(inputs.all_paths), layer, channel, count=_PATCHES, progress=progress)
        sources = sources or found.names  # of the channel that the command shows
        activations[str(channel)] = [round(patch.activation, 6) for patch in found.patches]
        images = np.stack([patch.image for patch in found.patches])
        projected = [_projected(inputs, layer, channel, images, rule) for rule in RELU_RULES]
        for index, patch in enumerate(found.patches):
            words = f"channel {channel}, {patch.activation:.2f}"
            cells = [cell(patch.enlarged(patch.image), f"patch, channel {channel}", words)]
            for rule, colours in zip(RELU_RULES, projected, strict=True):
                shown = None if colours is None else patch.enlarged(colours[index])
                cells.append(cell(shown, f"{rule}, channel {channel}"))
            rows.append(cells)
    text = (
        f"The patches with the largest activations of channels of {layer} in {len(inputs.all_paths)} photographs, and"
        " the pixels that cause them, by three backward rules of ReLUs."
    )
    command = inputs.command(
        "deconv", "--layer", layer, "--channel", inputs.channels[0], "--top", len(sources), images=sources
    )
    heads = [head(kind) for kind in ("patch", *RELU_RULES)]
    html = section("Patches and projections", panels(heads, rows), text=text, command=command)
    return GallerySection(html, activations)


def white_noise(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Maximise channels from white noise."""
    cells = []
    for layer in inputs.layers:
        indices = [channel % inputs.network.shape(layer)[-1] for channel in inputs.channels[:2]]
        try:
            found = filters_from_noise(inputs.network, layer, indices, options=inputs.options(progress))
        except ConfigError:  # a channel that does not depend on the noise
            cells.append(cell(None, f"{layer} from noise", f"{layer}: no gradient"))
            continue
        for channel, image in zip(indices, found.images, strict=True):
            cells.append(cell(image, f"channel {channel} of {layer} from noise", f"{layer}, channel {channel}"))
    text = "Filters from white noise: 20 gradient steps on a channel's mean activation, without a prior."
    command = inputs.command(
        "maximize", "--layer", inputs.layers[-1], "--channels", *inputs.channels[:2], "--noise", "--seed",
        inputs.args.seed,
    )  # fmt: skip
    return GallerySection(section("Filters from white noise", panels([], [cells]), text=text, command=command))


def style(inputs: GalleryInputs, progress: Progress) -> GallerySection | None:
    """Transfer the style of an image."""
    path = inputs.args.style
    if inputs.style is None:
        return None
    found = api.style_images(
        inputs.network, inputs.images, inputs.style, settings=inputs.settings("style"), options=inputs.options(progress)
    )
    above = []
    below = []
    for name, image, stylised in zip(inputs.names, inputs.images, found.images, strict=True):
        above.append(cell(image, name, name))
        below.append(cell(stylised, f"{name}, stylised"))
    above.append(cell(inputs.style, "style", f"style: {path.name}"))
    text = "The photographs with the textures of another image. Networks of the VGG family give the best ones."
    command = inputs.command("style", "--style", path, *inputs.search_words("style"), images=inputs.paths)
    losses = found.measures["loss"].round(6).tolist()
    return GallerySection(section("Style", panels([], [above, below]), text=text, command=command), {"loss": losses})


PARTS = (inversions, classes, channels, caricatures, projections, white_noise, style)


def _searched_by_layer(
    inputs: GalleryInputs, search: Callable[..., Any], measure: str, kind: str, caption: str, progress: Progress
) -> tuple[dict[str, list[float]], list[list[str]]]:
    """Search from the images at each layer; returns a measure by layer, and a column of panels for each."""
    measured = {}
    columns = []
    for layer in inputs.layers:
        found = search(
            inputs.network, inputs.images, layer, settings=inputs.settings("ijcv16"), options=inputs.options(progress)
        )
        measured[layer] = [round(float(value), 6) for value in found.measures[measure]]
        cells = []
        for name, image, value in zip(inputs.names, found.images, measured[layer], strict=True):
            cells.append(cell(image, f"{kind} {layer}, {name}", caption.format(value)))
        columns.append(cells)
    return measured, columns


def _by_layer(inputs: GalleryInputs, columns: Sequence[Sequence[str]]) -> str:
    """Return panels of the images beside a column for each layer."""
    first = [cell(image, name, name) for image, name in zip(inputs.images, inputs.names, strict=True)]
    heads = [head("photograph"), *map(head, inputs.layers)]
    return panels(heads, list(zip(first, *columns, strict=True)))


def _maximised(
    inputs: GalleryInputs, layer: str, indices: Sequence[int], progress: Progress, *, channel_mean: bool = False
) -> Any:
    return api.maximize_units(
        inputs.network, layer, indices, settings=inputs.settings("robust"), channel_mean=channel_mean,
        match_contrast=True, options=inputs.options(progress),
    )  # fmt: skip


def _projected(inputs: GalleryInputs, layer: str, channel: int, images: np.ndarray, rule: str) -> np.ndarray | None:
    """Return projections uint8 [B, S, S, 3] by one rule; None where the rule does not cover a layer in between."""
    try:
        return as_colours(api.deconv_images(inputs.network, images, layer, channel=channel, relu_rule=rule).images)
    except ConfigError:
        return None
