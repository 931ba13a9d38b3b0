"""A trained visual language model with its CNN: losses, scores and maps of images."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from naturalness.config import NaturalnessConfig
from naturalness.layer_maps import MIN_SIDE, ExportedLayers, LayerMaps, require_size
from naturalness.maps import cell_map, centred_map, map_of_size, resized_map, scaled_by
from naturalness.reference import Reference, error_values, read_reference
from vislang.backbones.exported import cnn_of_model
from vislang.core.errors import DataError, unknown_name
from vislang.core.onnx_graphs import ExportedNetwork
from vislang.training.trained_model import TrainedModel

if TYPE_CHECKING:
    from naturalness.feature_maps import FrozenLayers
    from naturalness.model import VisualLanguageModel

MAPS = ("fixation", "anomaly")
Tensor = Any


@dataclass(frozen=True)
class Rating:
    """How natural an image is.

    Attributes:
        score: as of `TrainedNaturalness.score`.
        percentile: of the photographs of training, the share that is less natural, in percent; None: the model has
            no reference.
        flat: whether it has less content than 99 % of them, as a blank image; None: the model has no reference.
    """

    score: float
    percentile: float | None = None
    flat: bool | None = None


@dataclass(frozen=True)
class TrainedNaturalness(TrainedModel):
    """A visual language model with its CNN: what `naturalness.load_model` returns.

    Attributes:
        reference: the scores of its training photographs; None: it was trained without.
    """

    kind = "naturalness"
    config_class = NaturalnessConfig
    sizes = ("channels",)
    has_words = False
    backbone_entries = ("name", "fingerprint")
    network: "VisualLanguageModel"
    reference: Reference | None = None

    @classmethod
    def new_network(cls, config: Any, *sizes: Any) -> "VisualLanguageModel":
        """Build an untrained model; see `TrainedModel`."""
        from naturalness.model import VisualLanguageModel

        return VisualLanguageModel(config, *sizes)

    def with_files(self, folder: Path) -> Self:
        """Return the model with its reference and its CNN: wrong weights are an error of loading, not of first use."""
        model = replace(self, reference=read_reference(folder, len(self.config.experts)))
        _ = model.layer_maps
        return model

    def fingerprinted(self) -> list[Any]:
        """Return the weights and the reference."""
        if self.reference is None:
            return super().fingerprinted()
        return [*super().fingerprinted(), np.array([*self.reference.highest, *self.reference.percentiles])]

    @functools.cached_property
    def layer_maps(self) -> LayerMaps:
        """The maps of the CNN that the model was trained on: exported with it, or those of `cnn`."""
        if not isinstance(self.network, ExportedNetwork):
            return self.cnn
        found = cnn_of_model(self.network.manifest, weights=self.backbone_weights)
        if found is None:
            return self.cnn
        self._check_weights(found.fingerprint)
        strides = found.entry.strides
        return ExportedLayers(
            found.graph, found.entry.layers, strides, found.preprocessing, mirrored=self.config.mirror_padding
        )

    @functools.cached_property
    def cnn(self) -> "FrozenLayers":
        """The CNN that the model was trained on, with gradients."""
        from naturalness.feature_maps import FrozenLayers

        config = self.config
        cnn = FrozenLayers(self.backbone, config.layers, mirrored=config.mirror_padding, weights=self.backbone_weights)
        self._check_weights(cnn.loaded.fingerprint)
        return cnn

    def _check_weights(self, fingerprint: str) -> None:
        if fingerprint != self.description["backbone"]["fingerprint"]:
            raise DataError(
                f"the weights of {self.backbone} differ from those that the model was trained on; pass that file with"
                " --weights, or train anew"
            )

    def loss(self, images: Tensor) -> Tensor:
        """Compute how unnatural images are, with gradients by their pixels: a prior for image reconstruction.

        Args:
            images: float32 [B, H, W, 3], RGB, 0 to 255.

        Returns:
            float32 [B]; about 1 for images such as those of training, more for less natural ones. With weights
            gamma, as in preset "kato-prior", the original's sum over layers, on another scale.
        """
        return self.network(self.cnn.tensors(images))

    def cell_errors(self, index: int, maps: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the errors of one expert in each direction; see `ExpertModel.cell_errors`.

        Args:
            index: of the expert.
            maps: of an image, from `layer_maps`.
        """
        index %= len(self.config.experts)  # -1 is the last
        found = getattr(self.network, f"predict_errors_{index}")(maps[self.config.experts[index].layer][None])
        directions = found if isinstance(found, (list, tuple)) else [found]
        return tuple(np.asarray(one)[0] for one in directions)

    def rate(self, image: np.ndarray) -> Rating:
        """Compute how natural an image is, at the size of training: its shorter side shrunk to the CNN's input.

        Args:
            image: uint8 [H, W, 3], RGB.
        """
        require_size(image)
        maps = self.layer_maps.maps(scaled_by(image, self._training_scale(image.shape)))
        errors = []
        for index in range(len(self.config.experts)):
            errors.append(np.mean([one.mean() for one in self.cell_errors(index, maps)]))
        values = error_values(np.array(errors))
        scoring = self.config.score_experts
        if self.reference is None:
            return Rating(float(values[list(scoring)].mean()))
        score = self.reference.score(values, scoring)
        return Rating(score, self.reference.percentile(score), self.reference.is_flat(values))

    def score(self, image: np.ndarray) -> float:
        """Compute how natural an image uint8 [H, W, 3] is: 0 as training images are on average, below 0 less so.

        It is minus the mean, over the experts that score naturalness, of the logarithm of their mean error. Errors far
        below those of photographs count against the image (`naturalness.reference.capped_score`).
        """
        return self.rate(image).score

    def map(self, image: np.ndarray, *, kind: str = "fixation") -> np.ndarray:
        """Compute how unnatural each pixel of an image uint8 [H, W, 3] is; see `naturalness.unnaturalness_map`.

        A "fixation" map is the errors of the expert that predicts where people look. An "anomaly" map is log(1 + r), r
        the inverse likelihood ratio of a cell with those far from it (`naturalness.predictors.mutual_information`), and
        a little of the errors of the experts that score naturalness, or these alone where the settings name no layer.
        Preset "kato" has the original's map, before its smoothing.
        """
        if kind not in MAPS:
            raise unknown_name("kind of map", kind, MAPS)
        require_size(image)
        scaled = scaled_by(image, self._map_scale(image.shape, kind))
        return map_of_size(self._map(scaled, kind), image.shape[1::-1])

    def _training_scale(self, shape: tuple[int, ...]) -> float:
        """Return the factor that shrinks the shorter side of an image of a shape to the CNN's input, at most 1."""
        return min(1.0, max(MIN_SIDE, self.layer_maps.preprocessing.size) / min(shape[:2]))

    def _map_scale(self, shape: tuple[int, ...], kind: str) -> float:
        """Return the factor by which an image of a shape is resized before its map is computed."""
        if kind == "anomaly":
            return self._training_scale(shape)
        if not self.config.map_side:
            return 1.0
        factor = self.config.map_side / float(shape[0] * shape[1]) ** 0.5
        return max(factor, MIN_SIDE / min(shape[:2]))

    def _map(self, image: np.ndarray, kind: str) -> np.ndarray:
        """Return the map of an image uint8 [H, W, 3] at its own size, float32 [H, W]."""
        maps = self.layer_maps.maps(image)
        size = image.shape[1::-1]
        if kind == "fixation":
            return self._error_map(self.config.fixation_expert, maps, size)
        errors = np.mean([self._error_map(index, maps, size) for index in self.config.score_experts], axis=0)
        layer = self.config.information_layer
        if not layer:
            return errors
        surprise = np.logaddexp(0.0, np.asarray(self.network.predict_information(maps[layer][None]))[0])
        return resized_map(surprise, self._stride(layer), size) + np.float32(self.config.anomaly_weight) * errors

    def _error_map(self, index: int, maps: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
        """Return the errors of one expert over an image of a width and height, float32 [H, W]."""
        config = self.config
        errors = self.cell_errors(index, maps)
        shape = (max(one.shape[0] for one in errors), max(one.shape[1] for one in errors))
        cells = cell_map(errors, shape, places=config.places, power=config.power)
        resize = resized_map
        if config.places == "half_cell":
            resize = centred_map
        return np.asarray(resize(cells, self._stride(self.config.experts[index].layer), size), np.float32)

    def _stride(self, layer: str) -> int:
        return self.layer_maps.strides[self.layer_maps.layers.index(layer)]


def as_pixels(image: Image.Image) -> np.ndarray:
    """Return uint8 [H, W, 3] of an RGB image."""
    return np.asarray(image.convert("RGB"))
