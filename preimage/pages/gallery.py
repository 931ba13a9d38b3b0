"""The sections of the page that shows one network; each calls the public functions and shows its own command."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preimage import api
from preimage.backprop.deconvnet import RELU_RULES
from preimage.backprop.top_patches import top_patches
from preimage.comparison.layer_analysis import deconvnet_colours, distinctive_channels
from preimage.config import CONFIGS, with_iterations
from preimage.networks.class_labels import class_names
from preimage.networks.image_inputs import evenly_spaced_rows, read_image, read_images
from preimage.networks.layers import block_ends, evenly_spaced_layers, named_layers
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
    """What the page is about."""

    network: Network
    images: np.ndarray  # float32 [B, S, S, 3], RGB 0..255, those shown
    paths: list[str]  # of them
    all_paths: tuple[str, ...]  # of all images that were read
    layers: list[str]  # the layers shown
    channels: list[int]  # of the deepest of them
    style: np.ndarray | None  # float32 [S, S, 3], RGB 0..255; None without `--style`
    args: argparse.Namespace  # of the command
    skipped: tuple[Skipped, ...]  # images that could not be read

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
    """A section of the page: rows of panels, the command that makes them, and their measures."""

    title: str
    text: str
    rows: Sequence[Sequence[str]]
    command: str
    heads: Sequence[str] = ()
    measures: dict[str, Any] = field(default_factory=dict)

    @property
    def html(self) -> str:
        """The section."""
        return section(self.title, panels(self.heads, self.rows), text=self.text, command=self.command)


def gallery_inputs(network: Network, paths: Sequence[Path], args: argparse.Namespace) -> GalleryInputs:
    """Read the images and choose layers and channels."""
    if args.labels is not None:
        class_names(network, args.labels)
    layers = named_layers(network, args.layers) or evenly_spaced_layers(block_ends(network), _LAYERS)
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
    return GalleryInputs(
        network=network,
        images=read.images[rows],
        paths=[read.names[row] for row in rows],
        all_paths=read.names,
        layers=layers,
        channels=channels,
        style=None if args.style is None else read_image(network, args.style),
        args=args,
        skipped=read.skipped,
    )


def inversions(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Invert each layer."""
    text = "What each layer keeps: images with the same features. Error: ||f - f0||^2 / ||f0||^2."
    return _by_layer(inputs, progress, "Inversions", text, api.invert_images, "feature_error", "error {:.2f}")


def caricatures(inputs: GalleryInputs, progress: Progress) -> GallerySection:
    """Exaggerate the features of each layer."""
    text = "The features of each layer, exaggerated, and how many times the photograph's own features they contain."
    return _by_layer(inputs, progress, "Caricatures", text, api.caricature_images, "gain", "{:.1f} times")


def _by_layer(
    inputs: GalleryInputs, progress: Progress, title: str, text: str, search: Any, measure: str, caption: str
) -> GallerySection:
    """Return the images beside a column of what a search from them finds at each layer."""
    measures = {}
    columns = [[cell(image, name, name) for image, name in zip(inputs.images, inputs.names, strict=True)]]
    for layer in inputs.layers:
        found = search(
            inputs.network, inputs.images, layer, settings=inputs.settings("ijcv16"), options=inputs.options(progress)
        )
        measures[layer] = [round(float(value), 6) for value in found.measures[measure]]
        cells = []
        for name, image, value in zip(inputs.names, found.images, measures[layer], strict=True):
            cells.append(cell(image, f"{title}, {layer}, {name}", caption.format(value)))
        columns.append(cells)
    words = ["--layer", inputs.layers[-1], *inputs.search_words("ijcv16")]
    command = inputs.command(search.__name__.removesuffix("_images"), *words, images=inputs.paths)
    heads = [head("photograph"), *map(head, inputs.layers)]
    return GallerySection(title, text, list(zip(*columns, strict=True)), command, heads, measures)


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
    return GallerySection("Classes", text, [cells], command, measures={"rank": ranks})


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
    return GallerySection("Channels", text, [cells], command)


def _maximised(
    inputs: GalleryInputs, layer: str, indices: Sequence[int], progress: Progress, *, channel_mean: bool = False
) -> Any:
    return api.maximize_units(
        inputs.network, layer, indices, settings=inputs.settings("robust"), channel_mean=channel_mean,
        match_contrast=True, options=inputs.options(progress),
    )  # fmt: skip


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
        projected = [deconvnet_colours(inputs.network, images, layer, channel, rule) for rule in RELU_RULES]
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
    options = ["--layer", layer, "--channel", inputs.channels[0], "--top", len(sources)]
    command = inputs.command("deconv", *options, images=sources)
    heads = [head(kind) for kind in ("patch", *RELU_RULES)]
    return GallerySection("Patches and projections", text, rows, command, heads, activations)


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
    words = ["--layer", inputs.layers[-1], "--channels", *inputs.channels[:2], "--noise", "--seed", inputs.args.seed]
    return GallerySection("Filters from white noise", text, [cells], inputs.command("maximize", *words))


def style(inputs: GalleryInputs, progress: Progress) -> GallerySection | None:
    """Transfer the style of an image."""
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
    path = inputs.args.style
    above.append(cell(inputs.style, "style", f"style: {path.name}"))
    text = "The photographs with the textures of another image. Networks of the VGG family give the best ones."
    command = inputs.command("style", "--style", path, *inputs.search_words("style"), images=inputs.paths)
    losses = found.measures["loss"].round(6).tolist()
    return GallerySection("Style", text, [above, below], command, measures={"loss": losses})


PARTS = (inversions, classes, channels, caricatures, projections, white_noise, style)
