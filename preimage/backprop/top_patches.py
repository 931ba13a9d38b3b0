"""The image patches with the largest activations of a channel.

Reference: Zeiler & Fergus 2014, arXiv:1311.2901, figure 2.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from preimage.networks.image_inputs import NetworkImages, read_batches, require_readable
from preimage.options import Progress
from vislang.core.errors import ConfigError
from vislang.core.model_kinds import require_kind

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from vislang.images.sources import Skipped


@dataclass(frozen=True)
class Patch:
    """The receptive field of one unit in one image."""

    name: str  # path or index of the image
    activation: float  # of the unit
    image: np.ndarray  # float32 [S, S, 3], RGB 0..255, the whole image at the network's size
    box: tuple[int, int, int, int]  # (top, left, bottom, right) of its receptive field in pixels, clipped to the image

    def enlarged(self, image: np.ndarray) -> np.ndarray:
        """Crop the receptive field out of an image float or uint8 [S, S, 3] and enlarge it: uint8 [S, S, 3]."""
        top, left, bottom, right = self.box
        whole = Image.fromarray(np.rint(image).astype(np.uint8))
        return np.asarray(whole.resize(whole.size, Image.Resampling.BICUBIC, (left, top, right, bottom)))


@dataclass(frozen=True)
class TopPatches:
    """The patches with the largest activations of a channel, at most one of each image, the largest first."""

    patches: tuple[Patch, ...]
    skipped: "tuple[Skipped, ...]"  # images that could not be read

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
        images: in any form that `preimage.api` describes.
        channel: index of a channel, unit or class.
        count: of patches.
        strict: raise for the first unreadable image.
        progress: called with the number of images just read.

    Raises:
        ConfigError: a channel that the layer does not have, or a count below 1.

    Example:
        >>> len(top_patches(network, "photos/", "last", 2, count=1).patches)
        1
    """
    require_kind(network, "network")
    network.require_channels(layer, [channel])
    if count < 1:
        raise ConfigError(f"count got {count}, expected 1 or more patches")
    patches: list[Patch] = []
    skipped: list[Any] = []
    for batch in read_batches(network, images, strict=strict, progress=progress):
        skipped += batch.skipped
        patches += _strongest(network, layer, channel, batch)
        patches.sort(key=lambda patch: -patch.activation)  # stable: of two equal activations the first stays
        del patches[count:]
    found = TopPatches(tuple(patches), tuple(skipped))
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
        box = field_box(network, layer, (int(row), int(column)))
        patches.append(Patch(name, float(activations.max()), image, box))
    return patches


def field_box(network: "Network", layer: str, position: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of the receptive field of a unit, clipped to the image."""
    field = network.receptive_field(layer)
    top = field.start + position[0] * field.stride
    left = field.start + position[1] * field.stride
    edges = np.clip([top, left, top + field.side, left + field.side], 0, network.size)
    return tuple(edges.tolist())
