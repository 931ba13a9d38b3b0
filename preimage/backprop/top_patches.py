"""The patches of photographs that a channel answers to most.

Reference: Zeiler & Fergus 2014, arXiv:1311.2901, figure 2.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from preimage.networks.network import Network
from vislang.core.errors import ConfigError, DataError

_CHUNK = 16


@dataclass(frozen=True)
class Patch:
    """One place of one picture.

    Attributes:
        source: what the picture was read from.
        activation: of the channel there.
        place: row and column of the unit in the layer's map; (0, 0) for a layer without places.
        picture: float32 [S, S, 3], RGB 0..255, the whole picture as the network sees it.
        box: (top, left, bottom, right) of the unit's receptive field in pixels, clipped to the picture.
    """

    source: Any
    activation: float
    place: tuple[int, int]
    picture: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def pixels(self) -> np.ndarray:
        """The part of the picture that the unit sees."""
        top, left, bottom, right = self.box
        return self.picture[top:bottom, left:right]


def top_patches(
    network: Network,
    layer: str,
    channel: int,
    sources: Sequence[Any],
    *,
    count: int = 9,
    progress: Callable[[int], Any] | None = None,
) -> tuple[list[Patch], list[tuple[Any, str]]]:
    """Find the strongest answers of a channel, at most one in each picture.

    Args:
        network: see `preimage.networks.network`.
        layer: the tap.
        channel: its channel, unit or class.
        sources: what `vislang.images.decode.decode_image` takes.
        count: of patches.
        progress: called with the number of pictures just dealt with.

    Returns:
        the patches, strongest first, and of the pictures that cannot be read (source, reason).

    Raises:
        ConfigError: a channel that the layer does not have.
        DataError: no picture can be read.
    """
    if not 0 <= channel < network.shape(layer)[-1]:
        raise ConfigError(f"layer {layer} got channel {channel}, expected 0 to {network.shape(layer)[-1] - 1}")
    best: list[tuple[float, int, Patch]] = []
    skipped: list[tuple[Any, str]] = []
    number = 0
    for first in range(0, len(sources), _CHUNK):
        chunk = sources[first : first + _CHUNK]
        for patch in _strongest(network, layer, channel, chunk, skipped):
            number += 1  # of two equal ones the first stays, and patches are never compared
            heapq.heappush(best, (patch.activation, -number, patch))
            if len(best) > count:
                heapq.heappop(best)
        if progress is not None:
            progress(len(chunk))
    if not best:
        raise DataError(f"none of {len(sources)} pictures can be read; give photographs")
    return [patch for _, _, patch in sorted(best, key=lambda row: row[:2], reverse=True)], skipped


def _strongest(
    network: Network, layer: str, channel: int, chunk: Sequence[Any], skipped: list[tuple[Any, str]]
) -> list[Patch]:
    kept, pictures = [], []
    for source in chunk:
        try:
            pictures.append(network.pictures([source])[0])
            kept.append(source)
        except DataError as error:
            skipped.append((source, str(error)))
    if not kept:
        return []
    values = network.encode(np.stack(pictures), [layer])[layer][..., channel]
    maps = values.reshape(len(kept), *(values.shape[1:] if values.ndim == 3 else (1, 1)))
    found = []
    for source, picture, answers in zip(kept, pictures, maps, strict=True):
        down, across = (int(index) for index in np.unravel_index(answers.argmax(), answers.shape))
        box = patch_box(network, layer, (down, across))
        found.append(Patch(source, float(answers[down, across]), (down, across), picture, box))
    return found


def patch_box(network: Network, layer: str, place: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give (top, left, bottom, right), the pixels that a unit sees."""
    field, size = network.field(layer), network.size
    top, left = (field.start + index * field.stride for index in place)
    edges = (top, left, top + field.side, left + field.side)
    return tuple(min(max(edge, 0), size) for edge in edges)  # type: ignore[return-value]


def close_ups(network: Network, layer: str, pictures: Sequence[np.ndarray], directions: np.ndarray) -> list[np.ndarray]:
    """Cut out of each picture what its unit sees, and enlarge it; layers without places keep the picture.

    Args:
        network: see `preimage.networks.network`.
        layer: the tap.
        pictures: float or uint8 [S, S, 3] each, RGB 0..255.
        directions: float [B, ...] of the tap's shape, not 0 at the unit alone.

    Returns:
        uint8 [S, S, 3] each.
    """
    parts = []
    for picture, direction in zip(pictures, directions, strict=True):
        place = [int(index[0]) for index in np.nonzero(direction)[:2]] if direction.ndim == 3 else [0, 0]
        top, left, bottom, right = patch_box(network, layer, (place[0], place[1]))
        whole = Image.fromarray(np.rint(picture).astype(np.uint8))
        parts.append(np.asarray(whole.resize(whole.size, Image.Resampling.BICUBIC, (left, top, right, bottom))))
    return parts
