"""Features averaged over ten crops of an image: its corners, its middle, and all five mirrored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.base import LoadedBackbone
from vislang.core.errors import ConfigError
from vislang.images.preprocess import prepare_ten_crops


class TenCropBackbone(LoadedBackbone):
    """A backbone whose vectors are means over ten crops; its maps, whose cells would mix, are left out.

    Args:
        backbone: loaded with a preprocessing such as "ten-crop-224-bgr-mean/v1".
    """

    needs_decoded = True

    def __init__(self, backbone: LoadedBackbone):
        vectors: dict[str, tuple[int | None, ...]] = {}
        for layer, shape in backbone.layers.items():
            if len(shape) == 1:
                vectors[layer] = shape
        super().__init__(backbone.name, backbone.preprocessing, vectors)
        self.backbone = backbone
        self.model = backbone.model

    def encode_decoded(
        self, images: Sequence[Image.Image], batch: np.ndarray, layers: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return {layer: float32 [B, F]} of B upright RGB images, the mean over the crops of each."""
        found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
        for image in images:
            crops = prepare_ten_crops(image, self.preprocessing)
            for layer, features in self.backbone.encode(crops, layers).items():
                if features.ndim != 2:
                    raise ConfigError(
                        f"layer {layer} of backbone {self.name} is a map, expected a vector such as"
                        f" {', '.join(self.layers)}: the cells of ten crops show different places"
                    )
                found[layer].append(features.mean(axis=0))
        return {layer: np.stack(vectors) for layer, vectors in found.items()}

    def encode(self, batch: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Refuse prepared images, which are single crops.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"preprocessing {self.preprocessing.name} takes ten crops of an image, got images that are cropped already;"
            " pass the images themselves"
        )

    def _arrays(self) -> Sequence[Any]:
        return self.backbone._arrays()

    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> Sequence[Any]:
        return self.backbone._forward(batch, layers)
