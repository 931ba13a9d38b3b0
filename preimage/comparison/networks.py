"""Two networks side by side: the same pictures, through both, at matched depths.

Reference: Mahendran & Vedaldi, IJCV 2016, for what is shown; `preimage.comparison.similarity` names those of the
measures.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preimage.comparison.per_layer import Depth, Look, depths_of, iterations_of_look, look
from preimage.comparison.similarity import alignment
from preimage.config import CONFIGS, PreimageConfig, first_stage, with_iterations
from preimage.networks.class_labels import class_names
from preimage.networks.layers import depth_taps, matched_taps, spread
from preimage.networks.network import SCORES, Network
from preimage.optimization import searches
from preimage.optimization.objectives import unit_directions
from vislang.core.config import override
from vislang.core.config import preset as find_preset
from vislang.core.errors import ConfigError, DataError, unknown_name
from vislang.images.decode import decode_image, source_name

_MAPPED = 12  # depths of each network in the matrix of alignments


@dataclass(frozen=True)
class CompareSettings:
    """How two networks are compared.

    Attributes:
        layers: taps of the first network, shallow ones first; none: `depths` of them, evenly spread.
        layers_b: those of the second that they are compared with; none: matched, see
            `preimage.networks.layers.matched_taps`.
        depths: how many, where no layers are given.
        limit: pictures that are searched from, evenly spread over those given.
        aligned: pictures that alignment is computed over, at most; memory grows with it.
        pooled: alignment of means over places, instead of all places.
        classes: names of classes to maximise; none: of those that both have, the ones seen most often in the pictures.
        channels: to maximise at each depth of both, beside those that stand out in the pictures.
        num_classes: how many, where no classes are given.
        preset: of inversions and caricatures: "ijcv16", "fourier" or "cvpr15".
        settings: changes of it.
        unit_preset: of maximisations.
        iterations: of the first stage of all searches, later stages in proportion; None: the presets' own.
        seed: of all searches.
    """

    layers: tuple[str, ...] = ()
    layers_b: tuple[str, ...] = ()
    depths: int = 4
    limit: int = 6
    aligned: int = 200
    pooled: bool = False
    classes: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    num_classes: int = 4
    preset: str = "ijcv16"
    settings: tuple[str, ...] = ()
    unit_preset: str = "robust"
    iterations: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Side:
    """One of the two networks.

    Attributes:
        name: of the network.
        pictures: float32 [B, S, S, 3], RGB 0..255, as the network sees them.
        looks: one for each matched depth.
        mapped: the taps of the matrix of alignments.
        classes: float32 [K, S, S, 3], what its classes look for; K is 0 where no classes are shared.
    """

    name: str
    pictures: np.ndarray
    looks: tuple[Look, ...]
    mapped: tuple[str, ...]
    classes: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two networks side by side.

    Attributes:
        a: the first.
        b: the second.
        images: names of the B pictures searched from.
        cka: float64 [mapped of a, mapped of b], debiased linear alignment over `aligned` pictures.
        cka_biased: the same without correction for their number.
        matched: float64 [depths], debiased alignment at the matched depths.
        matched_biased: the same without correction.
        aligned: how many pictures.
        pooled: whether over means over places.
        class_names: of the K classes.
        skipped: (name, reason) of pictures that cannot be read.
    """

    a: Side
    b: Side
    images: tuple[str, ...]
    cka: np.ndarray
    cka_biased: np.ndarray
    matched: np.ndarray
    matched_biased: np.ndarray
    aligned: int
    pooled: bool
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Half:
    """What is known of one network before the searches."""

    network: Network
    pictures: np.ndarray  # all
    taps: list[str]
    mapped: list[str]
    depths: dict[str, Depth]


def compare_networks(
    network_a: Network,
    network_b: Network,
    images: Sequence[Any],
    settings: CompareSettings | None = None,
    *,
    labels: Sequence[str | Path | None] = (None, None),
    begin: Callable[[int], Any] | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Comparison:
    """Show and measure what two networks make of the same pictures.

    Args:
        network_a: from `preimage.load_network`.
        network_b: the same; pictures are prepared for each in its own way.
        images: what `vislang.images.decode.decode_image` takes.
        settings: None: the defaults.
        labels: files of the names of both networks' classes; see `preimage.networks.class_labels.class_names`.
        begin: called once with the number of steps to come.
        progress: called with 1 after each step.

    Raises:
        ConfigError: an unknown tap, class or setting.
        DataError: fewer than 4 pictures that can be read.
    """
    settings = settings or CompareSettings()
    search, units = _configs(settings)
    taps = _taps(network_a, network_b, settings)
    pictures, kept, skipped = _read((network_a, network_b), images, settings)
    rows = [int(place) for place in np.linspace(0, len(kept) - 1, min(settings.limit, len(kept))).round()]
    names = [_names(*pair) for pair in zip((network_a, network_b), labels, strict=True)]
    halves = [
        _half(network, shown, own, settings)
        for network, shown, own in zip((network_a, network_b), pictures, taps, strict=True)
    ]
    shared = _shared_classes(halves, names, settings)
    if begin is not None:
        begin(2 * len(taps[0]) * iterations_of_look(search, units) + 2 * units.iterations[0] * bool(shared))
    sides = []
    for number, (half, other) in enumerate(zip(halves, halves[::-1], strict=True)):
        looks = tuple(
            look(half.network, half.pictures[rows], tap, half.depths[tap], rows, other=other.network,
                 search=search, units=units, asked=settings.channels, seed=settings.seed, progress=progress)
            for tap in half.taps
        )  # fmt: skip
        classes = _classes(half, [pair[number] for _, pair in shared], units, settings.seed, progress)
        sides.append(Side(half.network.name, half.pictures[rows], looks, tuple(half.mapped), classes))
    (cka, matched), (cka_biased, matched_biased) = (
        _alignments(*halves, debiased=debiased) for debiased in (True, False)
    )
    return Comparison(
        *sides, tuple(source_name(kept[row]) for row in rows), cka, cka_biased, matched, matched_biased, len(kept),
        settings.pooled, tuple(name for name, _ in shared), tuple(skipped),
    )  # fmt: skip


def _configs(settings: CompareSettings) -> tuple[PreimageConfig, PreimageConfig]:
    search = override(find_preset(CONFIGS, settings.preset), list(settings.settings))
    units = first_stage(find_preset(CONFIGS, settings.unit_preset))
    if settings.iterations is None:
        return search, units
    return with_iterations(search, settings.iterations), with_iterations(units, settings.iterations)


def _taps(network_a: Network, network_b: Network, settings: CompareSettings) -> tuple[list[str], list[str]]:
    """Give the matched depths of both, after proving that they are there."""
    of_a = list(settings.layers) or spread(depth_taps(network_a), settings.depths)
    for tap in of_a:
        network_a.output(tap)
    of_b = list(settings.layers_b) or matched_taps(network_a, of_a, network_b)
    for tap in of_b:
        network_b.output(tap)
    if len(of_a) != len(of_b):
        raise ConfigError(f"got {len(of_a)} layers of one network and {len(of_b)} of the other, expected pairs")
    for network, taps in ((network_a, of_a), (network_b, of_b)):
        for tap in taps:
            unit_directions(network.shape(tap), settings.channels)
    return of_a, of_b


def _read(networks: Sequence[Network], images: Sequence[Any], settings: CompareSettings) -> tuple[Any, Any, Any]:
    """Read pictures for all networks: an array for each, the sources, and (name, reason) of what cannot be read."""
    count = max(settings.aligned, settings.limit)
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    pictures: list[list[np.ndarray]] = [[] for _ in networks]
    kept, skipped = [], []
    for source in (images[place] for place in places):
        try:
            picture = decode_image(source)
        except DataError as error:
            skipped.append((source_name(source), str(error)))
            continue
        kept.append(source)
        for made, network in zip(pictures, networks, strict=True):
            made.append(network.pictures([picture])[0])
    if len(kept) < 4:
        raise DataError(f"{len(kept)} of {len(places)} pictures can be read, expected 4 or more; give more photographs")
    return [np.stack(made) for made in pictures], kept, skipped


def _half(network: Network, pictures: np.ndarray, taps: list[str], settings: CompareSettings) -> _Half:
    mapped = [*dict.fromkeys([*spread(depth_taps(network), _MAPPED), *taps])]
    order = {layer.name: number for number, layer in enumerate(network.model.layers)}
    mapped.sort(key=lambda tap: order.get(network.output(tap)._keras_history[0].name, len(order)))
    depths = depths_of(network, pictures, mapped, pooled=settings.pooled)
    return _Half(network, pictures, taps, mapped, depths)


def _alignments(a: _Half, b: _Half, *, debiased: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give the matrix of alignments, and those of the matched depths."""

    def of(tap: str, other: str) -> float:
        return alignment(a.depths[tap].grams[debiased], b.depths[other].grams[debiased])

    matrix = np.array([[of(tap, other) for other in b.mapped] for tap in a.mapped])
    return matrix, np.array([of(*pair) for pair in zip(a.taps, b.taps, strict=True)])


def _names(network: Network, labels: str | Path | None) -> Sequence[str]:
    return (class_names(network, labels) or ()) if network.has_classes else ()


def _shared_classes(
    halves: Sequence[_Half], names: Sequence[Sequence[str]], settings: CompareSettings
) -> list[tuple[str, tuple[int, int]]]:
    """Give name and both numbers of the classes to maximise."""
    places = [{name: number for number, name in enumerate(own)} for own in names]
    common = [name for name in dict.fromkeys(names[0]) if name in places[1]]
    if settings.classes:
        chosen = [_named(word, common) for word in settings.classes]
    elif common:
        seen: Counter[str] = Counter()
        for half, own in zip(halves, names, strict=True):
            seen.update(own[number] for number in half.network.encode(half.pictures, [SCORES])[SCORES].argmax(axis=1))
        chosen = sorted(common, key=lambda name: -seen[name])[: settings.num_classes]  # stable: of equals the first
    else:
        chosen = []
    return [(name, (places[0][name], places[1][name])) for name in chosen]


def _named(word: str, common: Sequence[str]) -> str:
    """Find a class by its name or one of its synonyms, which commas part."""
    for name in common:
        if word == name or word in map(str.strip, name.split(",")):
            return name
    raise unknown_name("class that both networks name", word, common)


def _classes(
    half: _Half, numbers: Sequence[int], units: PreimageConfig, seed: int, progress: Callable[[int], Any] | None
) -> np.ndarray:
    if not numbers:
        return np.zeros((0, half.network.size, half.network.size, 3), np.float32)
    seeds = [seed + number for number in range(len(numbers))]
    return searches.maximize(
        half.network, SCORES, numbers, units, contrast=True, seeds=seeds, progress=progress
    ).pictures
