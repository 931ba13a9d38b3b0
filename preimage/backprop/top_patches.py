"""The image patches with the largest activations of a channel.

Reference: Zeiler & Fergus 2014, arXiv:1311.2901, figure 2.
"""

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from preimage.networks.image_inputs import NetworkImages, read_batches, require_readable
from preimage.options import Progress
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from vislang.images.sources import Skipped


@dataclass(frozen=True)
class Patch:
    """The receptive field of one unit in one image.

    Attributes:
        name: path or index of the image.
        activation: of the unit.
        position: row and column of the unit in the layer's map; (0, 0) for a layer without positions.
        image: float32 [S, S, 3], RGB 0..255, the whole image at the network's size.
        box: (top, left, bottom, right) of the unit's receptive field in pixels, clipped to the image.
    """

    name: str
    activation: float
    position: tuple[int, int]
    image: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def pixels(self) -> np.ndarray:
        """The receptive field, float32 [h, w, 3], RGB 0..255."""
        top, left, bottom, right = self.box
        return self.image[top:bottom, left:right]

    def enlarged(self, image: np.ndarray) -> np.ndarray:
        """Crop the receptive field out of an image float or uint8 [S, S, 3] and enlarge it: uint8 [S, S, 3]."""
        top, left, bottom, right = self.box
        whole = Image.fromarray(np.rint(image).astype(np.uint8))
        return np.asarray(whole.resize(whole.size, Image.Resampling.BICUBIC, (left, top, right, bottom)))


@dataclass(frozen=True)
class TopPatches:
    """The patches with the largest activations of a channel.

    Attributes:
        patches: the largest activation first, at most one of each image.
        skipped: images that could not be read, each with `source` and `reason`.
    """

    patches: tuple[Patch, ...]
    skipped: "tuple[Skipped, ...]"

    @property
    def names(self) -> tuple[str, ...]:
        """Path or index of the image of each patch."""
        return tuple(patch.name for patch in self.patches)


def top_patches(
    network: "Network",
    images: Any,
    layer: str,
    channel: int,
    *,
    count: int = 9,
    strict: bool = False,
    progress: Progress | None = None,
) -> TopPatches:
    """Find the image patches with the largest activations of a channel, at most one in each image.

    Args:
        network: from `load_network`.
        images: as for `classify_images`.
        layer: its name.
        channel: index of a channel, unit or class.
        count: of patches.
        strict: raise for the first unreadable image.
        progress: called with the number of images just read.

    Raises:
        ConfigError: a channel that the layer does not have, or a count below 1.
        DataError: no image can be read.

    Example:
        >>> top_patches(network, "photos/", "last", 2, count=1).patches[0].pixels.shape[-1]
        3
    """
    network.require_channels(layer, [channel])
    if count < 1:
        raise ConfigError(f"count got {count}, expected 1 or more patches")
    best: list[tuple[float, int, Patch]] = []
    skipped: list[Any] = []
    order = 0
    for batch in read_batches(network, images, strict=strict, progress=progress):
        skipped += batch.skipped
        for patch in _strongest(network, layer, channel, batch):
            order += 1  # of two equal activations the first stays, and patches are never compared
            heapq.heappush(best, (patch.activation, -order, patch))
            if len(best) > count:
                heapq.heappop(best)
    best.sort(key=lambda entry: entry[:2], reverse=True)
    found = TopPatches(tuple(patch for _, _, patch in best), tuple(skipped))
    require_readable(found.names, skipped)
    return found


def _strongest(network: "Network", layer: str, channel: int, batch: NetworkImages) -> list[Patch]:
    if not batch.names:
        return []
    values = network.encode(batch.images, [layer])[layer][..., channel]
    if values.ndim < 3:
        values = values.reshape(-1, 1, 1)
    patches = []
    for name, image, activations in zip(batch.names, batch.images, values, strict=True):
        row, column = np.unravel_index(activations.argmax(), activations.shape)
        position = (int(row), int(column))
        box = field_box(network, layer, position)
        patches.append(Patch(name, float(activations[position]), position, image, box))
    return patches


def field_box(network: "Network", layer: str, position: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of the receptive field of a unit, clipped to the image."""
    field = network.receptive_field(layer)
    top = field.start + position[0] * field.stride
    left = field.start + position[1] * field.stride
    edges = np.clip([top, left, top + field.side, left + field.side], 0, network.size)
    return tuple(edges.tolist())
