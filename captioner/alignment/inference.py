"""A trained aligner: its network, words and settings, read from a checkpoint, and what it says of words and regions."""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from captioner.alignment.config import AlignmentConfig
from captioner.alignment.model import Aligner
from vislang.core.config import from_json
from vislang.core.errors import CheckpointError, DataError
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import CachedDescriptors, check_weights
from vislang.text.tokenizer import tokenize, tokenize_split
from vislang.text.vocabulary import UNKNOWN, Vocabulary
from vislang.training import checkpoints
from vislang.training.epoch_batches import pad_sentences

KIND = "aligner"
_LOWEST = 1e-3  # score of a proposal
_IMAGES, _SENTENCES = 200, 250  # scored at once: 200 x 20 x 250 x 16 products are 64 MB


@dataclass(frozen=True)
class Encoded:
    """Fragments in the joint space: regions of images, or words of sentences.

    Attributes:
        vectors: float32 [N, K, D].
        there: bool [N, K], True for real ones.
        wholes: float32 [N, W], the pictures or sentences as wholes, in spaces of their own; W is 0 without any.
        priors: float32 [N, K], what each region is worth as the place of any words, in deviations over the regions of
            the words' product: by its proposer's score, less what the whole picture costs. 0 for words.
    """

    vectors: np.ndarray
    there: np.ndarray
    wholes: np.ndarray
    priors: np.ndarray

    def __getitem__(self, rows: Any) -> "Encoded":
        return Encoded(self.vectors[rows], self.there[rows], self.wholes[rows], self.priors[rows])

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class TrainedAligner:
    """What `captioner.load_aligner` gives.

    Attributes:
        network: the encoders.
        vocabulary: the words they know.
        description: the checkpoint's config.json: preset, settings, seed, backbone and data.
    """

    network: Aligner
    vocabulary: Vocabulary
    description: dict[str, Any]

    @property
    def config(self) -> AlignmentConfig:
        """The settings it was trained with."""
        return self.network.config

    def encode_cached(self, cache: FeatureCache, ids: Sequence[str]) -> Encoded:
        """Encode the regions of images whose features lie in a cache made with the same weights."""
        check_weights(cache, self.description["backbone"])
        descriptors = CachedDescriptors(cache, self.description["backbone"]["name"], self.config.layers, ids)
        return _joined([self._regions(block) for block in descriptors.blocks()])

    def encode_descriptors(self, descriptors: Any) -> Encoded:
        """Encode the regions of images, float [B, R, F], a row of 0 where there is none.

        Raises:
            DataError: features of another width than the model was trained on.
        """
        if descriptors.shape[-1] != self.network.num_features:
            raise DataError(
                f"features are {descriptors.shape[-1]} wide, expected {self.network.num_features} "
                f"({self.description['backbone']['name']}, layers {','.join(self.config.layers)}); extract them with"
                " that backbone"
            )
        return self._regions(ops.cast(descriptors, "float32"))

    def encode_sentences(self, sentences: Sequence[str], batch_size: int = 256) -> Encoded:
        """Encode sentences, word by word and as wholes."""
        numbers = [encode_sentence(sentence, self.config, self.vocabulary) for sentence in sentences]
        return self._words(pad_sentences(numbers), batch_size)

    def _words(self, numbers: np.ndarray, batch_size: int = 256) -> Encoded:
        blocks = [numbers[at : at + batch_size] for at in range(0, len(numbers), batch_size)]
        found = [map(np.asarray, self.network.predict_words(block)) for block in blocks]
        return _joined([Encoded(*one, np.zeros(block.shape)) for one, block in zip(found, blocks, strict=True)])

    def encode_split(self, sentences: Sequence[Sequence[str]]) -> tuple[Encoded, list[list[tuple[int, int]]]]:
        """Encode sentences that are already words, such as those of annotations.

        Returns:
            the fragments, and their spans as `vislang.text.tokenizer.tokenize_split` gives them.
        """
        split = [tokenize_split(sentence) for sentence in sentences]
        numbers = [self.vocabulary.encode(tokens[: self.config.max_words]) or [UNKNOWN] for tokens, _ in split]
        return self._words(pad_sentences(numbers)), [spans for _, spans in split]

    def scores(self, images: Encoded, sentences: Encoded) -> np.ndarray:
        """Give what images and sentences are ranked by, float32 [N, M]; higher fits better.

        It is the score of words and regions, plus those of the global embeddings, if any, times `global_weight`.
        """
        return self.combined(self.each_score(images, sentences))

    def combined(self, each: np.ndarray) -> np.ndarray:
        """Give what is ranked by, float32 [N, M], of what `each_score` gave."""
        words, *wholes = each
        return words + self.config.global_weight * sum(wholes)

    def each_score(self, images: Encoded, sentences: Encoded) -> np.ndarray:
        """Give S_kl and the score of each pair of wholes of all images and sentences, float32 [K, N, M]."""
        result = np.empty((1 + len(self.config.global_dims), len(images), len(sentences)), np.float32)
        for top in range(0, len(images), _IMAGES):
            for left in range(0, len(sentences), _SENTENCES):
                rows, columns = slice(top, top + _IMAGES), slice(left, left + _SENTENCES)
                some, others = images[rows], _trimmed(sentences[columns])
                fragments = some.vectors, some.there, some.wholes, others.vectors, others.there, others.wholes
                result[:, rows, columns] = self.network.predict_scores(*fragments)
        return result

    def products(self, images: Encoded, sentences: Encoded) -> np.ndarray:
        """Give v_i . s_t of each image with its own sentence.

        Args:
            images: N of them.
            sentences: as many.

        Returns:
            float32 [N, T, R]; -inf where a region is not there, 0 where a word is not.
        """
        found = np.matmul(sentences.vectors, np.swapaxes(images.vectors, 1, 2))
        found = np.where(sentences.there[..., None], found, 0.0)
        return np.where(images.there[:, None, :], found, -np.inf).astype(np.float32)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the weights and the words: two models with equal ones score alike."""
        digest = hashlib.sha256(json.dumps([self.description["backbone"], self.vocabulary.words]).encode())
        for weight in self.network.weights:
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def _regions(self, descriptors: Any) -> Encoded:
        vectors, there, wholes = map(np.asarray, self.network.predict_regions(descriptors))
        priors = np.zeros(there.shape, np.float32)
        if self.config.proposal_weight:
            last = self.network.regions.num_own - 1  # of a region's own features: the score of its box
            scores = np.asarray(descriptors)[:, : there.shape[1], last]
            priors += self.config.proposal_weight * np.log(np.maximum(scores, _LOWEST))
        priors[:, 0] -= self.config.whole_image_cost
        return Encoded(vectors, there, wholes, priors)


def encode_sentence(sentence: str, config: AlignmentConfig, vocabulary: Vocabulary) -> list[int]:
    """Return the word ids of a sentence, one for each of its tokens; never empty."""
    return vocabulary.encode(tokenize(sentence)[: config.max_words]) or [UNKNOWN]


def _joined(parts: Sequence[Encoded]) -> Encoded:
    columns = zip(*((part.vectors, part.there, part.wholes, part.priors) for part in parts), strict=True)
    return Encoded(*map(np.concatenate, columns))


def _trimmed(sentences: Encoded) -> Encoded:
    """Drop the places that no sentence fills."""
    used = sentences.there.any(axis=0)
    vectors, there, priors = (one[:, used] for one in (sentences.vectors, sentences.there, sentences.priors))
    return Encoded(vectors, there, sentences.wholes, priors)


def read_aligner(folder: str | Path, weights: Path | None = None) -> TrainedAligner:
    """Read a checkpoint folder.

    Args:
        folder: written by training.
        weights: others of its weights than the best.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        ConfigError: settings that this version does not know.
    """
    folder = Path(folder)
    description, vocabulary = checkpoints.read_description(folder, KIND)
    try:
        config = from_json(AlignmentConfig, description["config"])
        widths = int(description["num_features"]), int(description["num_beside"])
        network = Aligner(config, len(vocabulary), *widths)
        description["backbone"]["name"], description["backbone"]["weights"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: config.json lacks {error}; copy or train the checkpoint anew") from error
    checkpoints.load_weights(network, folder, weights)
    return TrainedAligner(network, vocabulary, description)
