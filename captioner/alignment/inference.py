"""A trained aligner, read from a checkpoint: it embeds regions and words, and scores images against sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.alignment.config import AlignmentConfig
from vislang.core.errors import ConfigError, shown
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import as_float32
from vislang.features.regions.region_features import boxes_beside
from vislang.text.tokenizer import tokenize, tokenize_split
from vislang.text.vocabulary import UNKNOWN, Vocabulary, pad_sentences
from vislang.training.trained_model import TrainedModel

if TYPE_CHECKING:
    from captioner.alignment.model import Aligner

_MIN_PROPOSAL_SCORE = 1e-3
_ENCODED = 256  # sentences encoded at once
# Scored at once: 200 images x 20 regions x 250 sentences x 16 words are 64 MB of products.
_IMAGES = 200
_SENTENCES = 250


@dataclass(frozen=True)
class EncodedFragments:
    """Embedded regions of N images, or words of N sentences; K of each, padding included.

    Attributes:
        vectors: float32 [N, K, D], in the joint space.
        mask: bool [N, K], True for real regions or words.
        global_embeddings: float32 [N, W], of whole images or sentences, in spaces of their own; W is 0 without any.
        priors: float32 [N, K], added to a region's products with words, in standard deviations of these over the
            regions: from its proposal score, less the cost of the whole image. 0 for words.
    """

    vectors: np.ndarray
    mask: np.ndarray
    global_embeddings: np.ndarray
    priors: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All fields in their order."""
        return self.vectors, self.mask, self.global_embeddings, self.priors

    def __getitem__(self, rows: Any) -> "EncodedFragments":
        return EncodedFragments(*(array[rows] for array in self.arrays))

    def __len__(self) -> int:
        return len(self.vectors)

    def without_padding(self) -> "EncodedFragments":
        """Drop the columns of K that are padding in all rows."""
        used = self.mask.any(axis=0)
        return EncodedFragments(self.vectors[:, used], self.mask[:, used], self.global_embeddings, self.priors[:, used])


def encode_sentence(sentence: str, config: AlignmentConfig, vocabulary: Vocabulary) -> list[int]:
    """Return the word ids of a sentence, one for each of its tokens; never empty."""
    return vocabulary.encode(tokenize(sentence)[: config.max_words]) or [UNKNOWN]


@dataclass(frozen=True)
class TrainedAligner(TrainedModel):
    """A trained aligner: what `captioner.load_aligner` returns."""

    kind = "aligner"
    config_class = AlignmentConfig
    sizes = ("num_features", "num_beside")
    network: "Aligner"
    vocabulary: Vocabulary

    @classmethod
    def new_network(cls, config: Any, *sizes: Any) -> "Aligner":
        """Build an untrained aligner; see `TrainedModel`."""
        from captioner.alignment.model import Aligner

        return Aligner(config, *sizes)

    def encode_cached(self, cache: FeatureCache, ids: Sequence[str]) -> EncodedFragments:
        """Encode the regions of images of an open cache made with the same weights."""
        blocks = self.cached_descriptors(cache, ids).blocks()
        return _concatenated(list(map(self._encode_regions, blocks)))

    def cached_boxes(self, cache: FeatureCache, ids: Sequence[str]) -> np.ndarray:
        """Return the boxes of the regions that are encoded, and their scores, float32 [N, R, 5].

        Raises:
            DataError: the cache lacks them, or they are of another detector.
        """
        place = boxes_beside(cache, self.backbone, self.config.layers[0])
        return cache.read(*place, ids).astype(np.float32)

    def encode_descriptors(self, descriptors: Any) -> EncodedFragments:
        """Encode the regions of images, float [B, R, F], rows of 0 for padding.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        self.check_width(descriptors)
        return self._encode_regions(as_float32(descriptors))

    def encode_sentences(self, sentences: Sequence[str]) -> EncodedFragments:
        """Encode the words of sentences."""
        ids = [encode_sentence(sentence, self.config, self.vocabulary) for sentence in sentences]
        return self._encode_words(pad_sentences(ids))

    def encode_split(self, sentences: Sequence[Sequence[str]]) -> tuple[EncodedFragments, list[list[tuple[int, int]]]]:
        """Encode sentences that are divided into words, such as those of annotations.

        Returns:
            the fragments, and their spans as `vislang.text.tokenizer.tokenize_split` gives them.
        """
        ids = []
        spans = []
        for sentence in sentences:
            tokens, own_spans = tokenize_split(sentence)
            ids.append(self.vocabulary.encode(tokens[: self.config.max_words]) or [UNKNOWN])
            spans.append(own_spans)
        return self._encode_words(pad_sentences(ids)), spans

    def scores(self, images: EncodedFragments, sentences: EncodedFragments) -> np.ndarray:
        """Compute what N images and M sentences are ranked by, float32 [N, M]; higher fits better.

        It is the score of words and regions, plus those of the global embeddings, if any, times `global_weight`.
        """
        return self.combined(self.each_score(images, sentences))

    def combined(self, each: np.ndarray) -> np.ndarray:
        """Combine the scores float32 [K, N, M] of `each_score` into one, float32 [N, M]."""
        return each[0] + self.config.global_weight * sum(each[1:])

    def each_score(self, images: EncodedFragments, sentences: EncodedFragments) -> np.ndarray:
        """Compute float32 [K, N, M]: S_kl, then the cosines of the global embeddings."""
        scores = np.empty((1 + len(self.config.global_dims), len(images), len(sentences)), np.float32)
        for first_image in range(0, len(images), _IMAGES):
            for first_sentence in range(0, len(sentences), _SENTENCES):
                rows = slice(first_image, first_image + _IMAGES)
                columns = slice(first_sentence, first_sentence + _SENTENCES)
                regions = images[rows]
                words = sentences[columns].without_padding()
                fragments = (*regions.arrays[:3], *words.arrays[:3])  # without priors
                scores[:, rows, columns] = self.network.predict_scores(*fragments)
        return scores

    def products(self, images: EncodedFragments, sentences: EncodedFragments) -> np.ndarray:
        """Compute v_i . s_t of each of N images with its own sentence, float32 [N, T, R].

        It is -inf for padding regions and 0 for padding words.
        """
        products = np.matmul(sentences.vectors, np.swapaxes(images.vectors, 1, 2))
        products = np.where(sentences.mask[..., None], products, 0.0)
        return np.where(images.mask[:, None, :], products, -np.inf).astype(np.float32)

    def region_scores(self, regions: EncodedFragments, words: Sequence[str]) -> np.ndarray:
        """Score the R regions of one image for each of T words, float32 [T, R], in standard deviations of its products.

        The words are read as one sentence; those beyond `max_words`, and those without tokens, have the regions' priors
        alone. Padding regions have -inf.

        Args:
            regions: from `encode_descriptors`, of one image.
            words: the sentence, not as one text.

        Raises:
            ConfigError: one text.
        """
        if isinstance(words, str):
            raise ConfigError(f"words got {shown(words)}, expected a list of words")
        encoded, (spans,) = self.encode_split([words])
        products = self.products(regions, encoded)[0]
        scores = np.empty((len(words), products.shape[1]), np.float32)
        for of_word, (first, last) in zip(scores, spans, strict=True):
            summed = np.where(regions.mask[0], products[first:last].sum(axis=0), -np.inf)
            of_word[:] = summed / (stds_over_regions(summed) or 1.0) + regions.priors[0]
        return scores

    def _encode_words(self, ids: np.ndarray) -> EncodedFragments:
        """Encode sentences int32 [C, T], padded with 0."""
        parts = []
        for start in range(0, len(ids), _ENCODED):
            block = ids[start : start + _ENCODED]
            vectors, mask, global_embeddings = map(np.asarray, self.network.predict_words(block))
            parts.append(EncodedFragments(vectors, mask, global_embeddings, np.zeros(block.shape)))
        return _concatenated(parts)

    def _encode_regions(self, descriptors: Any) -> EncodedFragments:
        """Encode the regions of images, float32 [B, R, F]."""
        vectors, mask, global_embeddings = map(np.asarray, self.network.predict_regions(descriptors))
        priors = np.zeros(mask.shape, np.float32)
        if self.config.proposal_weight:
            own = self.network.num_features - self.network.num_beside
            last = own - 1  # of a region's own features: the score of its box
            scores = np.asarray(descriptors)[:, : mask.shape[1], last]
            priors += self.config.proposal_weight * np.log(np.maximum(scores, _MIN_PROPOSAL_SCORE))
        priors[:, 0] -= self.config.whole_image_cost
        return EncodedFragments(vectors, mask, global_embeddings, priors)


def stds_over_regions(products: np.ndarray) -> np.ndarray:
    """Compute the standard deviation over the regions of float [..., R], -inf for padding; the unit of priors."""
    real = np.isfinite(products)
    count = np.maximum(real.sum(axis=-1), 1)
    inside = np.where(real, products, 0.0)
    mean = inside.sum(axis=-1) / count
    squares = np.where(real, np.square(inside - mean[..., None]), 0.0)
    return np.sqrt(squares.sum(axis=-1) / count)


def _concatenated(parts: Sequence[EncodedFragments]) -> EncodedFragments:
    return EncodedFragments(*map(np.concatenate, zip(*(part.arrays for part in parts), strict=True)))
