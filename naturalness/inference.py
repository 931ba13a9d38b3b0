"""A trained visual language model with its CNN: losses, scores and maps of pictures."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from naturalness.config import NaturalnessConfig
from naturalness.feature_maps import FrozenLayers
from naturalness.maps import cell_map, original_picture, over_picture
from naturalness.model import VisualLanguageModel
from vislang.core.config import from_json
from vislang.core.errors import DataError, unknown_name
from vislang.training.trained_model import TrainedModel

KIND = "naturalness"
MAPS = ("fixation", "anomaly")
Tensor = Any


@dataclass(frozen=True)
class TrainedNaturalness(TrainedModel):
    """A visual language model with its CNN: what `naturalness.load_model` returns."""

    kind = KIND
    has_words = False
    backbone_entries = ("name", "fingerprint")
    network: VisualLanguageModel

    @classmethod
    def build_network(cls, description: dict[str, Any], vocabulary: Any) -> VisualLanguageModel:
        """Build the model, without its weights."""
        config = from_json(NaturalnessConfig, description["config"])
        return VisualLanguageModel(config, description["channels"])

    @classmethod
    def read(
        cls,
        folder: str | Path,
        *,
        backbone_weights: str | Path | None = None,
        network_weights: Path | None = None,
    ) -> Self:
        """Read a checkpoint folder and the CNN; all arguments and errors as in `TrainedModel.read`.

        Raises:
            DataError: weights of the CNN other than in training.
        """
        model = super().read(folder, backbone_weights=backbone_weights, network_weights=network_weights)
        _ = model.cnn  # wrong weights are an error of loading, not of the first use
        return model

    @functools.cached_property
    def cnn(self) -> FrozenLayers:
        """The CNN that the model was trained on."""
        config = self.config
        cnn = FrozenLayers(self.backbone, config.layers, mirrored=config.mirror_padding, weights=self.backbone_weights)
        if cnn.loaded.fingerprint != self.description["backbone"]["fingerprint"]:
            raise DataError(
                f"the weights of {self.backbone} differ from those that the model was trained on; pass that file with"
                " --weights, or train anew"
            )
        return cnn

    def loss(self, pictures: Tensor) -> Tensor:
        """Give how unnatural pictures are, with gradients by their pixels: a prior for pictures that are made.

        Args:
            pictures: float32 [B, H, W, 3], RGB, 0 to 255.

        Returns:
            float32 [B]; about 1 for photographs such as those of training, more for less natural ones. Of the preset
            `kato` it is the original's loss, whose scale is another.
        """
        return self.network(self.cnn.tensors(pictures))

    def errors(self, picture: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Give for each expert its errors of each direction; see `ExpertModel.cell_errors`.

        Args:
            picture: uint8 [H, W, 3], RGB.
        """
        maps = self.cnn.maps(picture)
        return [self._errors(number, maps) for number in range(len(self.network.experts))]

    def _errors(self, number: int, maps: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        expert = self.network.experts[number]
        found = expert.cell_errors(maps[expert.expert.layer][None])
        return tuple(np.asarray(one[0]) / float(expert.level) for one in found)

    def score(self, picture: np.ndarray) -> float:
        """Give how natural a picture is: 0 as training pictures are on average, below 0 less so.

        It is minus the mean over the experts that judge of the logarithm of their mean error.
        """
        maps = self.cnn.maps(picture)
        means = []
        for number in self.config.score_experts:
            means.append(np.mean([one.mean() for one in self._errors(number, maps)]))
        return -float(np.log(means).mean())

    def map(self, picture: np.ndarray, *, kind: str = "fixation") -> np.ndarray:
        """Compute how unnatural each pixel of an image is.

        Args:
            picture: uint8 [H, W, 3], RGB.
            kind: "fixation", the errors of the expert that predicts where people look; "anomaly": log(1 + r), r how
                many times likelier a cell is anywhere than with those far from it
                (`naturalness.predictors.mutual_information`), and a little of the errors of the experts that judge, or
                these alone where the settings name no layer for it.

        Returns:
            float32 [H, W], 0 or more; not smoothed. Of preset `kato`, the original's picture, blurred, 0 to 255.

        Raises:
            ConfigError: an unknown kind, or an image that is too small.
        """
        if kind not in MAPS:
            raise unknown_name("kind of map", kind, MAPS)
        maps = self.cnn.maps(picture)
        size = picture.shape[1::-1]
        if kind == "fixation":
            return self._drawn(self.config.fixation_expert, maps, size)
        judged = np.mean([self._drawn(number, maps, size) for number in self.config.score_experts], axis=0)
        if self.network.mutual_information is None:
            return judged
        layer = self.config.information_layer
        surprise = np.logaddexp(0.0, np.asarray(self.network.mutual_information(maps[layer][None])[0]))
        return over_picture(surprise, self._stride(layer), size) + np.float32(self.config.anomaly_weight) * judged

    def _drawn(self, number: int, maps: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
        """Draw the errors of one expert over a picture of a width and height, float32 [H, W]."""
        config = self.config
        own = self._errors(number, maps)
        shape = (max(one.shape[0] for one in own), max(one.shape[1] for one in own))
        cells = cell_map(own, shape, places=config.places, power=config.power)
        draw = over_picture
        if config.places == "half_cell":
            draw = original_picture
        return np.asarray(draw(cells, self._stride(self.network.experts[number].expert.layer), size), np.float32)

    def _stride(self, layer: str) -> int:
        return self.cnn.strides[self.cnn.layers.index(layer)]


def as_pixels(picture: Image.Image) -> np.ndarray:
    """Give uint8 [H, W, 3] of an RGB picture."""
    return np.asarray(picture.convert("RGB"))
