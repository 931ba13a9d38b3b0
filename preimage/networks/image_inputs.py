"""Images as a network's input: whatever a user passes as images, read at the network's size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from preimage.options import Progress
from vislang.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from vislang.images.sources import Skipped

_BATCH = 16


@dataclass(frozen=True)
class NetworkImages:
    """Images at the size of a network's input."""

    names: tuple[str, ...]  # path or index of each of the B readable images
    images: np.ndarray  # float32 [B, S, S, 3], RGB 0..255
    skipped: "tuple[Skipped, ...]"


def read_images(network: "Network", images: Any, *, strict: bool = False, most: int | None = None) -> NetworkImages:
    """Read images, in any form that `preimage.api` describes.

    Args:
        strict: raise for the first unreadable image.
        most: read only so many, evenly spread over all; None: all.

    Raises:
        DataError: no image is readable, or one is not and `strict`, or float images of another size.
    """
    batches = list(read_batches(network, images, strict=strict, most=most))
    names = tuple(name for batch in batches for name in batch.names)
    skipped = tuple(image for batch in batches for image in batch.skipped)
    require_readable(names, skipped)
    return NetworkImages(names, np.concatenate([batch.images for batch in batches]), skipped)


def read_image(network: "Network", image: Any) -> np.ndarray:
    """Read exactly one image in any form that `read_images` takes: float32 [S, S, 3], RGB 0..255."""
    from vislang.images.sources import one_image

    if _is_float(image):
        return np.asarray(one_image(_checked(network, image.reshape(-1, *image.shape[-3:]))))
    return network.resized(one_image(image))


def read_batches(
    network: "Network", images: Any, *, strict: bool = False, most: int | None = None, progress: Progress | None = None
) -> Iterator[NetworkImages]:
    """Read images batch by batch, in order; arguments and errors as of `read_images`.

    A batch of unreadable images is empty. `progress` is called with the number of images after the caller is done with
    them.
    """
    from vislang.images.sources import Skipped, image_sources

    read: Any = network.resized
    if _is_float(images):
        sources: Any = _checked(network, images)
        names = list(map(str, range(len(sources))))
        read = np.asarray
    else:
        sources, names = image_sources(images)
    rows = list(range(len(sources)))
    if most is not None:
        rows = evenly_spaced_rows(len(sources), most)
    for first in range(0, len(rows), _BATCH):
        kept = []
        arrays = [np.zeros((0, network.size, network.size, 3), np.float32)]
        skipped = []
        for row in rows[first : first + _BATCH]:
            try:
                arrays.append(read(sources[row])[None])
            except DataError as error:
                if strict:
                    raise
                skipped.append(Skipped(names[row], str(error)))
                continue
            kept.append(names[row])
        yield NetworkImages(tuple(kept), np.concatenate(arrays), tuple(skipped))
        if progress is not None:
            progress(len(kept) + len(skipped))


def require_readable(names: Sequence[str], skipped: "Sequence[Skipped]") -> None:
    """Refuse images of which none could be read, with the reason of the first."""
    if not names and len(skipped) == 1:
        raise DataError(skipped[0].reason)
    if not names:
        raise DataError(f"none of {len(skipped)} images can be read; the first: {skipped[0].reason}")


def evenly_spaced_rows(count: int, most: int) -> list[int]:
    """Choose up to `most` of `count` rows, evenly spread, the first and the last among them."""
    if most < 1:
        raise ConfigError(f"got a limit of {most} images, expected 1 or more")
    return np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()


def _is_float(images: Any) -> bool:
    return isinstance(images, np.ndarray) and np.issubdtype(images.dtype, np.floating)


def _checked(network: "Network", images: np.ndarray) -> np.ndarray:
    """Return float images as float32 [B, S, S, 3] of the network's size."""
    if images.ndim != 4 or images.shape[1:] != (network.size, network.size, 3) or not len(images):
        raise DataError(
            f"got float images {list(images.shape)}, expected float [B, {network.size}, {network.size}, 3] of values"
            f" 0..255 for network {network.name}; give uint8 images of any other size"
        )
    return np.asarray(images, np.float32)
