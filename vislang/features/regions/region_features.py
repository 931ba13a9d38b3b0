"""Regions of an image as features: proposals, and a vector for each, beside the whole image.

Layers, for a KIND of `vislang.features.regions.proposers.PROPOSERS`:
    boxes-KIND    [20, 5]: corners in shares of the sides, and score; the whole image first, rows of 0 where missing
    regions-KIND  [20, F]: RoI-align on the map of the whole image, computed once
    crops-KIND    [20, F]: each box cut out, resized and encoded by itself, as Karpathy and Fei-Fei 2015 do
    described-KIND [20, 2F + 4]: a region of regions-KIND, its corners, and the whole image
"""

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import REGION_KINDS, FeatureName
from vislang.backbones.registry import load_backbone
from vislang.core.boxes import areas
from vislang.core.errors import ConfigError, DataError, look_up
from vislang.features.cache.reader import FeatureCache
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.proposals import MOST, Proposer, choose_regions
from vislang.features.regions.proposers import PROPOSERS, load_proposer
from vislang.features.regions.roi_align import roi_align
from vislang.images.preprocess import prepare

_GRID = "grid"
_POOLED = "pooled"
_THREADS = 2


def boxes_beside(cache: FeatureCache, backbone: str, layer: str) -> tuple[str, str]:
    """Return the cache's names of the backbone and of the layer with the boxes of a layer of regions.

    Args:
        cache: an open cache.
        backbone: its name in the cache.
        layer: a setting such as "regions-detector@320".

    Raises:
        DataError: the boxes are missing, or of another detector.
    """
    wanted = FeatureName.parse(layer)
    name, regions = wanted.in_cache(backbone)
    boxes = wanted.of_kind("boxes").stored
    if cache.key(name, boxes).weights != cache.key(name, regions).weights:
        raise DataError(
            f"{cache.path}: {boxes} are of another detector than {regions} of {name}; extract both into a new cache: "
            f"python -m vislang.features.extract --layers {regions},{boxes} --cache NEW"
        )
    return name, boxes


def load_for_layers(
    name: str, layers: Sequence[str], preprocessing: str | None, options: ReadingOptions
) -> LoadedBackbone:
    """Load a backbone that has these layers, features of regions among them."""
    backbone = load_backbone(name, weights=options.weights, preprocessing=preprocessing)
    return with_regions(backbone, layers, options.proposals)


def with_regions(backbone: LoadedBackbone, layers: Sequence[str], proposals: str | None = None) -> LoadedBackbone:
    """Add layers of regions to a backbone, if any is requested.

    Args:
        backbone: has a layer "grid".
        layers: the requested layers.
        proposals: the proposer to use instead of the one that the layers name, such as "detector:model.pb".

    Raises:
        ConfigError: layers of several kinds, or of another kind than `proposals`.
    """
    names = list(map(FeatureName.parse, layers))
    kinds = {name.proposals for name in names if name.is_of_regions}
    if not kinds:
        return backbone
    if len(kinds) > 1:
        raise ConfigError(
            f"layers are of proposals {' and '.join(sorted(kinds))}, expected one kind; extract each alone"
        )
    (kind,) = kinds
    look_up(PROPOSERS, kind, "proposals", "where a detector is: --proposals detector:WHERE")
    if proposals is not None and proposals.partition(":")[0] != kind:
        raise ConfigError(f"proposals got {proposals!r} for layers of {kind}; name layers such as regions-{kind} alike")
    return RegionBackbone(backbone, _proposer(proposals or kind))


class RegionBackbone(LoadedBackbone):
    """A backbone that also computes features of the regions that a proposer proposes."""

    needs_decoded = True

    def __init__(self, backbone: LoadedBackbone, proposer: Proposer):
        if len(backbone.layers.get(_GRID, ())) != 3:
            raise ConfigError(f"backbone {backbone.name} has no map of the image, which regions need; take another")
        if backbone.preprocessing.geometry != "squash":
            raise ConfigError(
                f"preprocessing {backbone.preprocessing.name} of {backbone.name} keeps a part of each image, regions"
                " need all of it; take a preprocessing squash-SIZE"
            )
        self.backbone = backbone
        self.proposer = proposer
        width = int(backbone.layers[_GRID][-1] or 0)
        self._kind = proposer.name.partition(":")[0]
        sizes = {"boxes": 5, "regions": width, "crops": width, "described": 2 * width + 4}
        own: dict[str, tuple[int | None, ...]] = {}
        for what in REGION_KINDS:
            own[f"{what}-{self._kind}"] = (MOST + 1, sizes[what])
        super().__init__(backbone.name, backbone.preprocessing, {**backbone.layers, **own})
        self.model = backbone.model

    def fingerprint_of(self, layer: str) -> str:
        """Return the backbone's own for its own layers; for those of regions a hash of it and the proposer's."""
        if not FeatureName.parse(layer).is_of_regions:
            return self.backbone.fingerprint_of(layer)
        both = f"{self.backbone.fingerprint} {self.proposer.fingerprint} {MOST} {self.proposer.same}"
        return hashlib.sha256(both.encode()).hexdigest()

    def encode_decoded(
        self, images: Sequence[Image.Image], batch: np.ndarray, layers: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return {layer: float32 [B, ...]} of B upright RGB images and the same prepared, float32 [B, S, S, 3]."""
        kinds = {layer: FeatureName.parse(layer).kind for layer in layers}
        plain = [layer for layer, kind in kinds.items() if kind not in REGION_KINDS]
        features = self.backbone.encode(batch, list(dict.fromkeys([*plain, _GRID])))
        grids = features[_GRID]
        with ThreadPoolExecutor(_THREADS) as threads:  # a detector by itself leaves cores idle
            regions = np.stack(list(threads.map(self._regions, images, grids)))
        found = {layer: features[layer] for layer in plain}
        for layer, kind in kinds.items():
            if kind == "boxes":
                found[layer] = regions
            elif kind == "regions":
                found[layer] = _aligned(grids, regions)
            elif kind == "described":
                found[layer] = described(_aligned(grids, regions), regions)
            elif kind == "crops":
                found[layer] = np.stack([self._crops(*pair) for pair in zip(images, regions, strict=True)])
        return found

    def _regions(self, image: Image.Image, grid: np.ndarray) -> np.ndarray:
        return choose_regions(*self.proposer.propose(image, grid), same=self.proposer.same)

    def _crops(self, image: Image.Image, regions: np.ndarray) -> np.ndarray:
        """Return float32 [20, F] of one image; rows of 0 where there is no box."""
        corners = regions[:, :4] * np.array([image.width, image.height] * 2)
        real = np.flatnonzero(areas(regions[:, :4]) > 0)
        crops = [image.crop(_whole_pixels(corners[number])) for number in real]
        batch = np.stack([prepare(crop, self.preprocessing) for crop in crops])
        vectors = np.zeros((len(regions), self.backbone.layers[_GRID][-1] or 0), np.float32)
        vectors[real] = self.backbone.encode(batch, [_POOLED])[_POOLED]
        return vectors

    def _arrays(self) -> Sequence[Any]:
        return self.backbone._arrays()

    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> Sequence[Any]:
        return self.backbone._forward(batch, layers)


def described(vectors: np.ndarray, boxes: np.ndarray, wholes: np.ndarray | None = None) -> np.ndarray:
    """Join regions with their boxes and with their whole images.

    Args:
        vectors: float [..., R, F].
        boxes: float [..., R, 4 or more], corners in shares of the sides.
        wholes: float [..., F], the whole images; None: the first regions.

    Returns:
        float [..., R, 2F + 4], a row of 0 where a box has no area.
    """
    wholes = vectors[..., 0, :] if wholes is None else wholes
    beside = np.broadcast_to(wholes[..., None, :], vectors.shape)
    real = areas(boxes[..., :4]) > 0
    return np.concatenate([vectors, boxes[..., :4], beside], axis=-1) * real[..., None]


def _aligned(grids: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return float32 [B, R, F] of grids [B, H, W, F] and boxes [B, R, 5]; rows of 0 where there is no box."""
    real = areas(regions[..., :4]) > 0
    return roi_align(grids, regions[..., :4]) * real[..., None]


@functools.lru_cache(maxsize=2)
def _proposer(name: str) -> Proposer:
    return load_proposer(name)


def _whole_pixels(corners: np.ndarray) -> tuple[int, int, int, int]:
    """Grow a box to whole pixels, at least one."""
    left, top = map(int, np.floor(corners[:2]))
    right, bottom = map(int, np.ceil(corners[2:]))
    return left, top, max(right, left + 1), max(bottom, top + 1)
