"""A trained ranker: its networks, words and settings, read from a checkpoint, and how it encodes."""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vislang.core.config import from_json
from vislang.core.errors import CheckpointError, DataError
from vislang.features.cache.reader import FeatureCache
from vislang.features.descriptors import CachedDescriptors, check_weights, join_taps
from vislang.features.model_inputs import encode_taps
from vislang.features.pipeline import Skipped
from vislang.features.reading_options import ReadingOptions
from vislang.text.tokenizer import TOKENIZERS
from vislang.text.vocabulary import UNKNOWN, Vocabulary
from vislang.training import checkpoints
from vislang.training.epoch_batches import pad_sentences
from vse.config import VseConfig
from vse.model import Ranker

KIND = "vse"


@dataclass(frozen=True)
class TrainedRanker:
    """What `vse.load_model` gives.

    Attributes:
        network: the encoders.
        vocabulary: the words they know.
        description: the checkpoint's config.json: preset, settings, seed, backbone and data.
    """

    network: Ranker
    vocabulary: Vocabulary
    description: dict[str, Any]

    @property
    def config(self) -> VseConfig:
        """The settings it was trained with."""
        return self.network.config

    @property
    def backbone(self) -> str:
        """The name of the CNN whose features it reads."""
        return self.description["backbone"]["name"]

    def words(self, sentence: str) -> list[int]:
        """Turn a sentence into word numbers as in training; without any word it is one unknown word."""
        return encode_words(sentence, self.config, self.vocabulary)

    def encode_sentences(self, sentences: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Give float32 [M, D'], each of length 1; D' is members times embed_dim."""
        numbers = [self.words(sentence) for sentence in sentences]
        order = np.argsort([len(sentence) for sentence in numbers], kind="stable")
        result = np.zeros((len(numbers), self.width), np.float32)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            result[rows] = self._joined(self.network.predict_sentences(pad_sentences([numbers[row] for row in rows])))
        return result

    def encode_descriptors(self, descriptors: Any) -> np.ndarray:
        """Give float32 [B, D'] of length 1 for descriptors [B, N, F].

        Raises:
            DataError: features of another width than the model was trained on.
        """
        if descriptors.shape[-1] != self.network.num_features:
            raise DataError(
                f"features are {descriptors.shape[-1]} wide, expected {self.network.num_features} "
                f"({self.backbone}, layers {','.join(self.config.layers)}); extract them with that backbone"
            )
        return self._joined(self.network.predict_images(ops.cast(descriptors, "float32")))

    def encode_features(self, features: dict[str, np.ndarray], batch_size: int = 256) -> np.ndarray:
        """Give float32 [N, D'] of length 1 for {tap: float [N, ...]} with every tap of the settings."""
        parts = [features[tap] for tap in self.config.layers]
        blocks = range(0, len(parts[0]), batch_size)
        encoded = [self.encode_descriptors(join_taps([part[at : at + batch_size] for part in parts])) for at in blocks]
        return np.concatenate(encoded) if encoded else np.zeros((0, self.width), np.float32)

    def encode_images(
        self, sources: Sequence[Any], options: ReadingOptions = ReadingOptions()
    ) -> Iterator[tuple[np.ndarray, list[int], list[Skipped]]]:
        """Encode images batch by batch; only the vectors are kept, whatever the size of the taps.

        Args:
            sources: paths, bytes, PIL images or arrays.
            options: how they are read.

        Yields:
            for each batch: float32 [K, D'], the indices of its K usable images among `sources`, and the other images
            with their reasons.
        """
        for batch in encode_taps(sources, self.config.layers, self.description["backbone"], options):
            vectors = np.zeros((0, self.width), np.float32)
            if batch.kept:
                vectors = self.encode_features(batch.features)
            yield vectors, batch.kept, batch.skipped

    def encode_cached(self, cache: FeatureCache, ids: Sequence[str]) -> np.ndarray:
        """Give float32 [N, D'] of length 1 for images whose features lie in a cache made with the same weights."""
        check_weights(cache, self.description["backbone"])
        descriptors = CachedDescriptors(cache, self.backbone, self.config.layers, ids)
        return np.concatenate([self.encode_descriptors(block) for block in descriptors.blocks()])

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the networks' weights and the words: two models with equal ones encode alike."""
        digest = hashlib.sha256(json.dumps([self.description["backbone"], self.vocabulary.words]).encode())
        for weight in self.network.weights:
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    @property
    def width(self) -> int:
        """D', the width of what is encoded."""
        return self.config.ensemble_size * self.config.embed_dim

    def _joined(self, vectors: Any) -> np.ndarray:
        """Lay [members, B, D] side by side so that a dot product is the members' mean cosine."""
        vectors = np.asarray(vectors) / np.float32(self.config.ensemble_size) ** 0.5
        return np.moveaxis(vectors, 0, 1).reshape(vectors.shape[1], -1)


def encode_words(sentence: str, config: VseConfig, vocabulary: Vocabulary) -> list[int]:
    """Turn a sentence into the word numbers that the sentence encoder reads; never empty."""
    words = TOKENIZERS[config.tokenizer](sentence)[: config.max_words]
    return vocabulary.encode(words, end=config.append_end) or [UNKNOWN]


def read_ranker(folder: str | Path) -> TrainedRanker:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        ConfigError: settings that this version does not know.
    """
    folder = Path(folder)
    description, vocabulary = checkpoints.read_description(folder, KIND)
    try:
        config = from_json(VseConfig, description["config"])
        network = Ranker(config, len(vocabulary), int(description["num_features"]))
        description["backbone"]["name"], description["backbone"]["weights"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: config.json lacks {error}; copy or train the checkpoint anew") from error
    checkpoints.load_weights(network, folder)
    return TrainedRanker(network, vocabulary, description)
