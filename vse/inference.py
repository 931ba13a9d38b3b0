"""A trained ranker, read from a checkpoint: it encodes images and sentences into the joint space."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vislang.backbones.feature_name import FeatureName
from vislang.core.errors import ConfigError, shown
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import as_float32, join_layers
from vislang.features.model_inputs import encode_layers
from vislang.features.reading_options import ReadingOptions
from vislang.images.sources import Skipped
from vislang.text.tokenizer import TOKENIZERS
from vislang.text.vocabulary import UNKNOWN, Vocabulary, pad_sentences
from vislang.training.trained_model import TrainedModel
from vse.config import VseConfig

if TYPE_CHECKING:
    from vse.model import Ranker

_IMAGES = 256  # encoded in one forward pass
_BLANK_SIDE = 448  # pixels
_BLANK_LEVELS = (0, 128, 255)
_TINY = 1e-12
_CELL_PREPROCESSING = "448"  # 14x14 cells of most CNNs


@dataclass(frozen=True)
class CellWeights:
    """How the cells of an image add to its score with each of T texts.

    Attributes:
        vectors: float32 [T, F], the weights of the features of a cell.
        blank: float32 [T, R, C], the highest sum of a blank image at each place.
    """

    vectors: np.ndarray
    blank: np.ndarray

    def __getitem__(self, rows: Any) -> "CellWeights":
        return CellWeights(self.vectors[rows], self.blank[rows])

    def scores(self, cells: np.ndarray) -> np.ndarray:
        """Compute what each of the cells, float [..., R, C, F], adds beyond a blank image: float32 [..., T, R, C]."""
        sums = np.einsum("...rcf,tf->...trc", np.asarray(cells, np.float32), self.vectors, optimize=True)
        return sums - self.blank


@dataclass(frozen=True)
class TrainedRanker(TrainedModel):
    """A trained ranker: what `vse.load_model` returns."""

    kind = "vse"
    config_class = VseConfig
    network: "Ranker"
    vocabulary: Vocabulary

    @classmethod
    def new_network(cls, config: Any, *sizes: Any) -> "Ranker":
        """Build an untrained ranker; see `TrainedModel`."""
        from vse.model import Ranker

        return Ranker(config, *sizes)

    @property
    def width(self) -> int:
        """D', the width of an embedding."""
        return self.config.ensemble_size * self.config.embed_dim

    def words(self, sentence: str) -> list[int]:
        """Return the word ids of a sentence as in training; a sentence without words is one unknown word."""
        return encode_words(sentence, self.config, self.vocabulary)

    def known_words(self, sentence: str) -> tuple[list[str], list[str]]:
        """Return the words of a sentence that the vocabulary holds, punctuation left out, and the others."""
        words = TOKENIZERS[self.config.tokenizer](sentence)
        words = [word for word in words if any(map(str.isalnum, word))]
        ids = self.vocabulary.encode(words)
        known = [word for word, number in zip(words, ids, strict=True) if number != UNKNOWN]
        unknown = [word for word, number in zip(words, ids, strict=True) if number == UNKNOWN]
        return known, unknown

    def require_known(self, sentence: str, what: str) -> None:
        """Refuse a text of which no word is known: it would be read as the unknown word and find something anyway.

        Args:
            sentence: the text.
            what: what it is to the user, such as "--text".

        Raises:
            ConfigError: no word of it is known.
        """
        if not self.known_words(sentence)[0]:
            raise ConfigError(f"{what} got {shown(sentence)}, expected at least one word that the ranker knows")

    def encode_sentences(self, sentences: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Encode M sentences: float32 [M, D'], of length 1."""
        ids = list(map(self.words, sentences))
        order = np.argsort(list(map(len, ids)), kind="stable")
        vectors = np.zeros((len(ids), self.width), np.float32)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            vectors[rows] = self._joined(self.network.predict_sentences(pad_sentences([ids[row] for row in rows])))
        return vectors

    def encode_descriptors(self, descriptors: Any) -> np.ndarray:
        """Encode images given as descriptors, float [B, N, F]: float32 [B, D'], of length 1.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        self.check_width(descriptors)
        return self._joined(self.network.predict_images(as_float32(descriptors)))

    def encode_features(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """Encode images given as features: float32 [N, D'], of length 1.

        Args:
            features: {layer: float [N, ...]} with every feature layer of the settings.
        """
        layers = [features[layer] for layer in self.config.layers]
        vectors = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(layers[0]), _IMAGES):
            descriptors = join_layers([layer[start : start + _IMAGES] for layer in layers])
            vectors.append(self.encode_descriptors(descriptors))
        return np.concatenate(vectors)

    def encode_images(
        self, sources: Sequence[Any], options: ReadingOptions = ReadingOptions()
    ) -> Iterator[tuple[np.ndarray, list[int], list[Skipped]]]:
        """Encode images batch by batch, so that memory does not grow with the features.

        Args:
            sources: paths, bytes, PIL images or arrays.

        Yields:
            for each batch: float32 [K, D'], the indices of its K usable images among `sources`, and the other images
            with their reasons.
        """
        for batch in self.encode_batches(sources, options):
            vectors = np.zeros((0, self.width), np.float32)
            if batch.kept:
                vectors = self.encode_features(batch.features)
            yield vectors, batch.kept, batch.skipped

    @property
    def cell_layer(self) -> str:
        """The layer of the cells that `word_weights` weighs.

        It is the first layer where that is a grid, else the grid of larger images by the CNN of the first layer.

        Raises:
            ConfigError: the score of an image is no sum over cells that have weights on a common scale.
        """
        first = FeatureName.parse(self.config.layers[0])
        if first.layer not in ("pooled", "grid") or self.config.image_scaling != "standardised":
            raise ConfigError(
                f"this ranker reads {self.config.layers[0]} with image_scaling {self.config.image_scaling}, expected"
                " pooled or grid features, standardised, for maps of words; take the bundled ranker or the preset best"
            )
        if first.layer == "grid":
            return self.config.layers[0]
        return str(FeatureName("grid", preprocessing=_CELL_PREPROCESSING, backbone=first.backbone))

    def encode_cells(self, sources: Sequence[Any], options: ReadingOptions = ReadingOptions()) -> Iterator[np.ndarray]:
        """Yield the cells of each image, float32 [R, C, F]; an unreadable one raises.

        Args:
            sources: paths, bytes, PIL images or arrays.

        Raises:
            DataError: an unreadable image, or weights other than in training.
        """
        trained_on = self.description["backbone"]
        weights = {**trained_on["weights"]}
        if self.config.layers[0] in weights:
            weights[self.cell_layer] = weights[self.config.layers[0]]
        options = self.reading_options(replace(options, strict=True))
        for batch in encode_layers(sources, [self.cell_layer], {**trained_on, "weights": weights}, options):
            yield from np.asarray(batch.features[self.cell_layer], np.float32)

    @functools.cached_property
    def blank_cells(self) -> np.ndarray:
        """The cells of a black, a grey and a white image, float32 [3, R, C, F].

        They differ by their place, because the CNN pads its edges with 0.
        """
        images = [np.full((_BLANK_SIDE, _BLANK_SIDE, 3), level, np.uint8) for level in _BLANK_LEVELS]
        return np.stack(list(self.encode_cells(images)))

    def word_weights(self, sentences: Sequence[str], width: int) -> np.ndarray:
        """Compute the weights of features in the score of an image with each of M sentences, float32 [M, width].

        The embedding of an image is a linear map of the mean of its cells until it is scaled to length 1. So the
        weights give each cell's part in the score, up to a constant and a factor: class activation mapping, with
        sentences for classes. What attention adds to the mean (`image_pooling`) has no part in them. They are of
        length 1 where features have a standard deviation of 1.

        Args:
            width: of the features of the first layer.

        References: Zhou et al. 2016, arXiv:1512.04150.
        """
        vectors = self.encode_sentences(sentences).reshape(len(sentences), self.config.ensemble_size, -1)  # [M, B, D]
        weights, scale = (np.asarray(one)[..., :width] for one in self.network.predict_feature_weights(vectors))
        return weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), _TINY) * scale

    def cell_weights(self, texts: Sequence[str]) -> CellWeights:
        """Compute the weights of cells in the scores of T words or phrases; those of an empty one are 0."""
        vectors = self.word_weights(texts, self.blank_cells.shape[-1])
        vectors[[not text for text in texts]] = 0.0
        blank = np.einsum("brcf,tf->btrc", self.blank_cells, vectors, optimize=True)
        return CellWeights(vectors, blank.max(axis=0))

    def cell_scores(self, cells: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Compute what each cell adds to the score of a text beyond any blank image, float32 [..., T, R, C].

        Args:
            cells: float [..., R, C, F], from `encode_cells`.
            texts: T words or phrases; the scores of an empty one are 0.
        """
        return self.cell_weights(texts).scores(cells)

    def encode_cached(self, cache: FeatureCache, ids: Sequence[str]) -> np.ndarray:
        """Encode N images of an open cache made with the same weights: float32 [N, D'], of length 1."""
        blocks = self.cached_descriptors(cache, ids).blocks()
        return np.concatenate(list(map(self.encode_descriptors, blocks)))

    def _joined(self, vectors: Any) -> np.ndarray:
        """Join float32 [M, B, D] of the members to [B, D'], so that a dot product is their mean cosine."""
        vectors = np.asarray(vectors) / np.float32(self.config.ensemble_size) ** 0.5
        return np.moveaxis(vectors, 0, 1).reshape(vectors.shape[1], -1)


def encode_words(sentence: str, config: VseConfig, vocabulary: Vocabulary) -> list[int]:
    """Return the word ids that the sentence encoder reads; never empty."""
    words = TOKENIZERS[config.tokenizer](sentence)[: config.max_words]
    return vocabulary.encode(words, end=config.append_end) or [UNKNOWN]
