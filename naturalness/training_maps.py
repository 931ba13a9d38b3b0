"""Feature maps of training images, batch by batch, from a CNN or from a feature cache."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from naturalness.feature_maps import FrozenLayers
from vislang.core.cli import progress_is_shown
from vislang.core.errors import DataError
from vislang.features.cache.reader import open_cache
from vislang.images.decode import decode_image

Maps = Mapping[str, np.ndarray]  # {layer: float [B, h, w, C]}
_BATCH = 32
_TRIMMED = 2  # cells at each edge of cached maps, which were made without a mirror image around the image


@dataclass(frozen=True)
class TrainingImage:
    """An image to learn from.

    Attributes:
        name: unique; the id in a feature cache.
        path: the file, or None where a data set has none.
    """

    name: str
    path: Path | None


class TrainingMaps:
    """The maps of all training images; each iteration goes through them from the start.

    Args:
        network: the CNN whose layers are read.
        images: N of them.
        cache: a feature cache that holds the maps, or None to compute them.
        backbone: the name under which the cache holds them.

    Attributes:
        skipped: the images that could not be read in any iteration so far: {name: reason}.

    Raises:
        DataError: on iteration, where no image at all can be read.
    """

    def __init__(
        self, network: FrozenLayers, images: Sequence[TrainingImage], *, cache: Path | None = None, backbone: str = ""
    ):
        self.network = network
        self.images = images
        self.cache = cache
        self.backbone = backbone
        self.skipped: dict[str, str] = {}

    def __iter__(self) -> Iterator[Maps]:
        batches = self._computed() if self.cache is None else self._cached(self.cache)
        count = 0
        with tqdm(total=len(self.images), unit="image", disable=not progress_is_shown()) as bar:
            for maps in batches:
                size = len(next(iter(maps.values())))
                count += size
                bar.update(size)
                yield maps
        if not count:
            name, reason = next(iter(self.skipped.items()))
            raise DataError(f"none of {len(self.images)} images can be read, first {name}: {reason}")

    @functools.cached_property
    def first(self) -> Maps:
        """The maps of the first batch."""
        return next(iter(self))

    def _computed(self) -> Iterator[Maps]:
        for start in range(0, len(self.images), _BATCH):
            pixels = []
            for image in self.images[start : start + _BATCH]:
                try:
                    pixels.append(self._pixels(image))
                except DataError as error:
                    self.skipped[image.name] = str(error)
            if pixels:
                yield {layer: np.asarray(maps) for layer, maps in self.network.tensors(np.stack(pixels)).items()}

    def _pixels(self, image: TrainingImage) -> np.ndarray:
        """Read an image as the CNN takes it, float32 [side, side, 3], RGB, 0 to 255."""
        if image.path is None:
            raise DataError("the data set has no file of it, expected one or --cache FILE")
        side = self.network.loaded.preprocessing.size
        return np.asarray(decode_image(image.path, shorter_side=side).resize((side, side)), np.float32)

    def _cached(self, path: Path) -> Iterator[Maps]:
        inner = slice(None)
        if self.network.mirrored:
            inner = slice(_TRIMMED, -_TRIMMED)
        with open_cache(path) as cache:
            for start in range(0, len(self.images), _BATCH):
                ids = [image.name for image in self.images[start : start + _BATCH]]
                maps = {}
                for layer in self.network.layers:
                    maps[layer] = cache.read(self.backbone, layer, ids)[:, inner, inner]
                yield maps
