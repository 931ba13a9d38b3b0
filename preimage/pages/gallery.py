"""The parts of the page that shows all of one network; each calls the public functions and says its own command."""

import argparse
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preimage import api
from preimage.backprop.deconvnet import RULES, shown, strongest_unit
from preimage.backprop.top_patches import close_ups
from preimage.comparison.per_layer import standing_out
from preimage.config import CONFIGS, with_iterations
from preimage.networks.class_labels import class_names
from preimage.networks.layers import depth_taps, spread
from preimage.networks.network import SCORES, Network
from preimage.optimization.white_noise import takes_raw
from preimage.pages.panels import cell, head, panels
from vislang.core.errors import ConfigError, DataError
from vislang.draw.html.elements import section

_LOOKED_AT = 100  # photographs that say which channels stand out and which patches are strongest
_PATCHES = 3

Progress = Callable[[int], Any]


@dataclass(frozen=True)
class Subject:
    """What the page is about.

    Attributes:
        network: the network.
        pictures: float32 [B, S, S, 3], RGB 0..255, those shown.
        paths: of them.
        looked_at: paths of all photographs that were read.
        layers: the depths.
        channels: of the deepest of them.
        args: of the command.
        skipped: (name, reason) of photographs that cannot be read.
    """

    network: Network
    pictures: np.ndarray
    paths: list[Path]
    looked_at: list[Path]
    layers: list[str]
    channels: list[int]
    args: argparse.Namespace
    skipped: list[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """File names of the photographs shown."""
        return [path.name for path in self.paths]

    def command(self, name: str, *words: Any, images: Sequence[Path] = ()) -> str:
        """Give the command that makes one part alone."""
        line = ["python", "-m", f"preimage.{name}", "--network", self.network.name]
        for option in ("weights", "recipe", "size"):
            value = getattr(self.args, option)
            line += [f"--{option}", str(value)] if value is not None else []
        line += ["--image", *map(str, images)] if images else []
        return shlex.join([*line, *map(str, words), "--out", f"{name}.png"])

    def settings(self, preset: str) -> list[str]:
        """Give the changes of a preset, as `--set` takes them."""
        if self.args.iterations is None:
            return []
        counts = with_iterations(CONFIGS[preset], self.args.iterations).iterations
        return [f"iterations={','.join(map(str, counts))}"]

    def searched(self, preset: str) -> list[str]:
        """Give the words of a command that searches as here."""
        changes = [word for change in self.settings(preset) for word in ("--set", change)]
        return ["--preset", preset, *changes, "--seed", str(self.args.seed)]

    def seeds(self, count: int) -> list[int]:
        """Give a seed for each of so many pictures."""
        return [self.args.seed + number for number in range(count)]


@dataclass(frozen=True)
class Made:
    """A part of the page: its HTML and its numbers."""

    html: str
    measures: dict[str, Any] = field(default_factory=dict)


def chosen(network: Network, images: Sequence[Path], args: argparse.Namespace) -> Subject:
    """Read the photographs and choose depths and channels.

    Raises:
        ConfigError: an unknown layer or channel.
        DataError: no photograph that can be read.
    """
    layers = list(args.layers) or spread(depth_taps(network), 4)
    for layer in layers:
        network.output(layer)
    places = np.linspace(0, len(images) - 1, min(_LOOKED_AT, len(images))).round().astype(int)
    pictures, kept, skipped = [], [], []
    for path in (images[place] for place in places):
        try:
            pictures.append(network.pictures([path])[0])
            kept.append(path)
        except DataError as error:
            skipped.append((str(path), str(error)))
    if not kept:
        raise DataError(f"none of {len(places)} pictures can be read; give photographs")
    rows = [int(row) for row in np.linspace(0, len(kept) - 1, min(args.limit, len(kept))).round()]
    channels = list(args.channels)
    if not channels:
        features = network.encode(np.stack(pictures), [layers[-1]])[layers[-1]]
        answers = features.reshape(len(kept), -1, features.shape[-1]).max(axis=1)
        channels = [*dict.fromkeys(standing_out(answers, rows).tolist())]
    if not all(0 <= channel < network.shape(layers[-1])[-1] for channel in channels):
        raise ConfigError(f"--channels got {channels}, expected 0 to {network.shape(layers[-1])[-1] - 1}")
    stacked = np.stack([pictures[row] for row in rows])
    return Subject(network, stacked, [kept[row] for row in rows], kept, layers, channels, args, skipped)


def inversions(subject: Subject, progress: Progress) -> Made:
    """Show what each depth keeps of the photographs."""
    errors, columns = _searched_by_depth(
        subject, api.invert_images, "feature_error", "inversion of", "error {:.2f}", progress
    )
    words = "What each depth keeps: pictures that it cannot tell from the photograph. Error: ||f - f0||^2 / ||f0||^2."
    command = subject.command(
        "invert", "--layer", subject.layers[-1], *subject.searched("ijcv16"), images=subject.paths
    )
    return Made(section("Inversions", _by_depth(subject, columns), text=words, command=command), errors)


def classes(subject: Subject, progress: Progress) -> Made | None:
    """Show what the classes that the network sees in the photographs look for."""
    if not subject.network.has_classes:
        return None
    scores = subject.network.encode(subject.pictures, [SCORES])[SCORES]
    numbers = [*dict.fromkeys(scores.argmax(axis=1).tolist())]
    names = class_names(subject.network, subject.args.labels)
    found = _maximised(subject, SCORES, numbers, progress)
    cells = [
        cell(picture, f"class {number}", names[number] if names else f"class {number}")
        for number, picture in zip(numbers, found.pictures, strict=True)
    ]
    words = "What the network looks for in the classes that it sees in the photographs."
    command = subject.command("maximize", "--class", *numbers, "--contrast", *subject.searched("robust"))
    ranks = dict(zip(map(str, numbers), map(int, found.measures["rank"]), strict=True))
    return Made(section("Classes", panels([], [cells]), text=words, command=command), {"rank": ranks})


def channels(subject: Subject, progress: Progress) -> Made:
    """Show what channels of the deepest layer look for."""
    layer = subject.layers[-1]
    found = _maximised(subject, layer, subject.channels, progress, whole=True)
    cells = [
        cell(picture, f"channel {channel} of {layer}", f"channel {channel}")
        for channel, picture in zip(subject.channels, found.pictures, strict=True)
    ]
    words = f"What channels of {layer} look for: by default those that stand out in the photographs."
    command = subject.command(
        "maximize", "--layer", layer, "--channel", *subject.channels, "--whole", "--contrast",
        *subject.searched("robust"),
    )  # fmt: skip
    return Made(section("Channels", panels([], [cells]), text=words, command=command))


def caricatures(subject: Subject, progress: Progress) -> Made:
    """Show what each depth sees, exaggerated."""
    gains, columns = _searched_by_depth(
        subject, api.caricature_images, "gain", "caricature by", "{:.1f} times", progress
    )
    words = "What each depth sees, exaggerated, and how many times the photograph's own features are in it."
    layer = subject.layers[-1]
    command = subject.command("caricature", "--layer", layer, *subject.searched("ijcv16"), images=subject.paths)
    return Made(section("Caricatures", _by_depth(subject, columns), text=words, command=command), gains)


def ways_back(subject: Subject, progress: Progress) -> Made:
    """Show the strongest patches of channels, and three ways from their answers back to the pixels."""
    layer = subject.network.unclipped(subject.layers[-1])
    rows, answers, sources = [], {}, []
    for channel in subject.channels[:3]:
        patches, _ = api.top_patches(
            subject.network, layer, channel, subject.looked_at, count=_PATCHES, progress=progress
        )
        sources = sources or [patch.source for patch in patches]  # of the channel that the command shows
        answers[str(channel)] = [round(patch.activation, 6) for patch in patches]
        close = _close_ups(subject, layer, channel, np.stack([patch.picture for patch in patches]))
        for number, answer in enumerate(answers[str(channel)]):
            first = cell(close["patch"][number], f"patch, channel {channel}", f"channel {channel}, {answer:.2f}")
            rows.append([first, *(cell(close[rule][number], f"{rule}, channel {channel}") for rule in RULES)])
    words = (
        f"The patches that channels of {layer} answer to most among {len(subject.looked_at)} photographs, and which"
        " pixels made them answer, by three rules of passing a ReLU backwards."
    )
    command = subject.command(
        "deconv", "--layer", layer, "--channel", subject.channels[0], "--top", len(sources), images=sources
    )
    heads = [head(kind) for kind in ("patch", *RULES)]
    return Made(section("Patches and ways back", panels(heads, rows), text=words, command=command), answers)


def white_noise(subject: Subject, progress: Progress) -> Made:
    """Show filters as they appear out of white noise."""
    cells = []
    for layer in subject.layers:
        chosen_channels = [channel % subject.network.shape(layer)[-1] for channel in subject.channels[:2]]
        found = api.filters_from_noise(
            subject.network, subject.network.unclipped(layer), chosen_channels, raw=takes_raw(subject.network),
            seed=subject.args.seed, progress=progress,
        )  # fmt: skip
        cells += [
            cell(picture, f"channel {channel} of {layer} from noise", f"{layer}, channel {channel}")
            for channel, picture in zip(chosen_channels, found, strict=True)
        ]
    words = "Filters out of white noise: 20 steps up the slope of a channel's mean answer, without any prior."
    layer = subject.network.unclipped(subject.layers[-1])
    command = subject.command(
        "maximize", "--layer", layer, "--channel", *subject.channels[:2], "--noise", "--seed", subject.args.seed
    )
    return Made(section("Filters from white noise", panels([], [cells]), text=words, command=command))


def style(subject: Subject, progress: Progress) -> Made | None:
    """Show the photographs painted like another picture."""
    if subject.args.style is None:
        return None
    painting = subject.network.pictures([subject.args.style])
    found = api.style_images(
        subject.network, subject.pictures, subject.args.style, settings=subject.settings("style"),
        running={"seeds": subject.seeds(len(subject.pictures)), "progress": progress},
    )  # fmt: skip
    above = [cell(picture, name, name) for picture, name in zip(subject.pictures, subject.names, strict=True)]
    above.append(cell(painting[0], "style", f"style: {subject.args.style.name}"))
    below = [cell(picture, f"{name}, painted") for picture, name in zip(found.pictures, subject.names, strict=True)]
    words = "The photographs with the textures of another picture. Networks of VGG's kind do it best."
    command = subject.command("style", "--style", subject.args.style, *subject.searched("style"), images=subject.paths)
    losses = [round(float(loss), 6) for loss in found.measures["loss"]]
    return Made(section("Painted", panels([], [above, below]), text=words, command=command), {"loss": losses})


PARTS = (inversions, classes, channels, caricatures, ways_back, white_noise, style)


def _searched_by_depth(
    subject: Subject, search: Callable[..., Any], measure: str, called: str, caption: str, progress: Progress
) -> tuple[dict[str, list[float]], list[list[str]]]:
    """Search from the photographs at each depth; gives a measure by depth, and a column of panels for each."""
    reached, columns = {}, []
    for layer in subject.layers:
        found = search(
            subject.network, subject.pictures, layer, settings=subject.settings("ijcv16"),
            seeds=subject.seeds(len(subject.pictures)), progress=progress,
        )  # fmt: skip
        reached[layer] = [round(float(value), 6) for value in found.measures[measure]]
        columns.append([
            cell(picture, f"{called} {layer}, {name}", caption.format(value))
            for picture, name, value in zip(found.pictures, subject.names, reached[layer], strict=True)
        ])  # fmt: skip
    return reached, columns


def _by_depth(subject: Subject, columns: Sequence[Sequence[str]]) -> str:
    first = [cell(picture, name, name) for picture, name in zip(subject.pictures, subject.names, strict=True)]
    rows = list(zip(first, *columns, strict=True))
    return panels([head("photograph"), *map(head, subject.layers)], rows)


def _maximised(subject: Subject, layer: str, numbers: Sequence[int], progress: Progress, **options: Any) -> Any:
    return api.maximize_units(
        subject.network, layer, numbers, settings=subject.settings("robust"), contrast=True,
        seeds=subject.seeds(len(numbers)), progress=progress, **options,
    )  # fmt: skip


def _close_ups(subject: Subject, layer: str, channel: int, pictures: np.ndarray) -> dict[str, list[Any]]:
    """Give what a channel's unit sees of each picture, and of what each rule brings back; None where a rule cannot."""
    directions = strongest_unit(subject.network.encode(pictures, [layer])[layer], channel)
    close: dict[str, list[Any]] = {"patch": close_ups(subject.network, layer, list(pictures), directions)}
    for rule in RULES:
        try:
            back = api.deconv_images(subject.network, pictures, layer, channel=channel, rule=rule)
            close[rule] = close_ups(subject.network, layer, list(shown(back)), directions)
        except ConfigError:  # a layer on the way that the rule says nothing about
            close[rule] = [None] * len(pictures)
    return close
