"""What one network makes of images at several depths, to be set beside another network's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from preimage.backprop.deconvnet import Projector, shown, strongest_unit
from preimage.comparison.similarity import (
    centred_gram,
    histogram_intersection,
    mean_pairwise_distance,
    orientation_histogram,
    same_answers,
)
from preimage.config import PreimageConfig, first_stage
from preimage.networks.network import SCORES, Network
from preimage.optimization import searches
from vislang.core.errors import ConfigError

Progress = Callable[[int], Any]
_HELD = 100_000_000  # features held at a time, 0.4 GB


@dataclass(frozen=True)
class Look:
    """What one depth of a network makes of B pictures. Pictures are float32 [B, S, S, 3], RGB 0..255.

    Attributes:
        tap: the depth.
        shape: of one picture's features there.
        inversions: what the depth cannot tell from the pictures.
        caricatures: the pictures, exaggerated.
        channels: int [B], the channel that stands out most in each picture; see `standing_out`.
        maxima: what these channels look for.
        asked: float32 [K, S, S, 3], what K channels look for that were asked for by number.
        projections: the strongest answer of these channels, brought back by the deconvnet; None where a layer on the
            way has no rule.
        feature_error: float64 [B], ||f - f0||^2 / ||f0||^2 of the inversions; lower is better.
        distance: float64 [B], ||f - f0|| over the mean distance between two pictures; lower is better.
        gradients: float64 [B], 0..1, intersection of the histograms of gradient orientations of inversion and picture.
        same_class: bool [B], the network gives the inversion the class of the picture; None without classes.
        same_class_elsewhere: bool [B], the other network does; None without classes there.
    """

    tap: str
    shape: tuple[int, ...]
    inversions: np.ndarray
    caricatures: np.ndarray
    channels: np.ndarray
    maxima: np.ndarray
    asked: np.ndarray
    projections: np.ndarray | None
    feature_error: np.ndarray
    distance: np.ndarray
    gradients: np.ndarray
    same_class: np.ndarray | None
    same_class_elsewhere: np.ndarray | None


@dataclass(frozen=True)
class Depth:
    """What all pictures say of one tap.

    Attributes:
        grams: {debiased: float64 [N, N]}, centred, for `preimage.comparison.similarity.alignment`.
        mean_distance: between the features of two pictures.
        answers: float32 [N, C], the largest answer of each channel anywhere in each picture.
    """

    grams: dict[bool, np.ndarray]
    mean_distance: float
    answers: np.ndarray


def depths_of(network: Network, pictures: np.ndarray, taps: Sequence[str], *, pooled: bool) -> dict[str, Depth]:
    """Encode pictures at several taps.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [N, S, S, 3], RGB 0..255.
        taps: the depths.
        pooled: take the mean over places for the Gram matrices, instead of all places.
    """
    found = {}
    for group in _groups(network, taps, _HELD // len(pictures)):
        features = network.encode(pictures, group)
        found.update({tap: _depth(features.pop(tap), pooled) for tap in group})
    return found


def _groups(network: Network, taps: Sequence[str], room: int) -> list[list[str]]:
    """Split taps into groups of at most `room` features a picture, or of one tap."""
    groups: list[list[str]] = []
    left = 0
    for tap in taps:
        size = int(np.prod(network.shape(tap)))
        if not groups or size > left:
            groups.append([])
            left = room
        groups[-1].append(tap)
        left -= size
    return groups


def _depth(features: np.ndarray, pooled: bool) -> Depth:
    places = tuple(range(1, features.ndim - 1))
    compared = features.mean(axis=places) if pooled and places else features
    grams = {debiased: centred_gram(compared, debiased=debiased) for debiased in (True, False)}
    return Depth(grams, mean_pairwise_distance(features), features.max(axis=places) if places else features)


def standing_out(answers: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Give the channel of each picture whose answer is the most deviations above its mean over all pictures.

    Args:
        answers: float [N, C].
        rows: of the pictures, B numbers.

    Returns:
        int [B].
    """
    deviations = answers.std(axis=0)
    floor = 0.1 * deviations.mean() + 1e-12  # a channel that is hardly ever active stands out for nothing
    return ((answers[list(rows)] - answers.mean(axis=0)) / np.maximum(deviations, floor)).argmax(axis=1)


def look(
    network: Network,
    pictures: np.ndarray,
    tap: str,
    depth: Depth,
    rows: Sequence[int],
    *,
    other: Network,
    search: PreimageConfig,
    units: PreimageConfig,
    asked: Sequence[int] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Look:
    """Search at one depth.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255.
        tap: the depth.
        depth: of the tap.
        rows: which of the depth's pictures these are.
        other: the network that is also asked for classes.
        search: settings of inversions and caricatures.
        units: settings of maximisations.
        asked: channels to maximise beside those that stand out.
        seed: of the first picture; the others have the numbers behind it.
        progress: called with 1 after each iteration.
    """
    running: dict[str, Any] = {"progress": progress}
    seeds = [seed + number for number in range(len(pictures))]
    found = searches.invert(network, pictures, tap, search, seeds=seeds, **running)
    drawn = searches.caricature_of(network, pictures, tap, search, seeds=seeds, **running)
    channels = standing_out(depth.answers, rows)
    maxima = _maxima(network, tap, [*channels, *asked], depth.answers, units, seed, progress)
    error = found.measures["feature_error"]
    norms = np.linalg.norm(network.encode(pictures, [tap])[tap].reshape(len(pictures), -1).astype(np.float64), axis=1)
    return Look(
        tap=tap,
        shape=network.shape(tap),
        inversions=found.pictures,
        caricatures=drawn.pictures,
        channels=channels,
        maxima=maxima[: len(channels)],
        asked=maxima[len(channels) :],
        projections=_projections(network, pictures, tap, channels),
        feature_error=error,
        distance=np.sqrt(error) * norms / depth.mean_distance,
        gradients=np.array([gradients_kept(*pair) for pair in zip(pictures, found.pictures, strict=True)]),
        same_class=same_class(network, pictures, found.pictures),
        same_class_elsewhere=same_class(other, pictures, found.pictures),
    )


def iterations_of_look(search: PreimageConfig, units: PreimageConfig) -> int:
    """Give how often `look` calls `progress`."""
    return sum(search.iterations) + search.iterations[0] + units.iterations[0]


def resized(pictures: np.ndarray, size: int) -> np.ndarray:
    """Bring float [B, S, S, 3], RGB 0..255, to another side: float32 [B, size, size, 3]."""
    if pictures.shape[1] == size:
        return np.asarray(pictures, np.float32)
    whole = np.clip(np.rint(pictures), 0, 255).astype(np.uint8)
    made = [Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC) for one in whole]
    return np.stack([np.asarray(one, np.float32) for one in made])


def _maxima(
    network: Network,
    tap: str,
    channels: Sequence[int],
    answers: np.ndarray,
    units: PreimageConfig,
    seed: int,
    progress: Progress | None,
) -> np.ndarray:
    """Search once for each channel, whatever number of pictures it stands out in."""
    once, places = np.unique(channels, return_inverse=True)
    found = searches.maximize(
        network, tap, once.tolist(), first_stage(units), whole=True, contrast=True,
        largest=answers[:, once].max(axis=0), seeds=[seed + number for number in range(len(once))], progress=progress,
    )  # fmt: skip
    return found.pictures[places]


def _projections(network: Network, pictures: np.ndarray, tap: str, channels: np.ndarray) -> np.ndarray | None:
    layer = network.unclipped(tap)
    features = network.encode(pictures, [layer])[layer]
    each = [strongest_unit(features[row : row + 1], int(channel)) for row, channel in enumerate(channels)]
    try:
        return shown(Projector(network, layer)(pictures, np.concatenate(each)))
    except ConfigError:  # of an activation that no rule says anything about
        return None


def gradients_kept(picture: np.ndarray, inversion: np.ndarray) -> float:
    """Give the intersection, 0..1, of two pictures' histograms of gradient orientations; float [S, S, 3] both."""
    return histogram_intersection(orientation_histogram(picture), orientation_histogram(inversion))


def same_class(network: Network, pictures: np.ndarray, inversions: np.ndarray) -> np.ndarray | None:
    """Say whether a network gives inversions the classes of their pictures, bool [B]; None without classes."""
    if not network.has_classes:
        return None
    both = [network.encode(resized(one, network.size), [SCORES])[SCORES] for one in (pictures, inversions)]
    return same_answers(*both)
