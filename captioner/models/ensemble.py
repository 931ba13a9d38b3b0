"""The captioner: an ensemble of generators over image descriptors, with image-text scorers beside it."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.attention_lstm import AttentionLstm
from captioner.models.base import Generator, Memory, State, for_each_hypothesis
from captioner.models.image_text_scorer import ImageTextScorer
from captioner.models.lstm import ImageFirstLstm
from captioner.models.mrnn import MultimodalRnn
from captioner.models.s2vt import SequenceToSequence
from vislang.text.vocabulary import PAD, START
from vislang.training.compile import Spec, compiled

Tensor = Any

GENERATORS: dict[str, type[Generator]] = {
    "mrnn": MultimodalRnn,
    "lstm": ImageFirstLstm,
    "attend": AttentionLstm,
    "s2vt": SequenceToSequence,
}


class Captioner(keras.Model):
    """An ensemble of `members` generators; the probability of a word is the mean of theirs.

    An image or a clip is a set of descriptors, float32 [B, N, F] with mask bool [B, N]: one pooled vector, a grid,
    regions or frames. `word_log_probs` scores given sentences; `start` and `step` write new ones.

    Args:
        config: the settings.
        num_words: V, special words included.
        num_features: F.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__()
        self.config = config
        self.num_words = num_words
        self.num_features = num_features
        self._graphs: dict[str, Callable] = {}
        generator = GENERATORS[config.model]
        self.generators = [generator(config, num_words, num_features) for _ in range(config.ensemble_size)]
        self.scorers = [ImageTextScorer(config, num_words, num_features) for _ in range(config.scorers)]
        self.built = True

    def set_feature_statistics(self, means: np.ndarray, stds: np.ndarray) -> None:
        """Set the statistics of the training images' features, float32 [2, F] each (`FeatureScaling`)."""
        parts: list[Any] = [*self.generators, *self.scorers]
        for part in parts:
            part.scaling.set_statistics(means, stds)

    def set_output_bias(self, log_frequencies: np.ndarray) -> None:
        """Set all output biases to float32 [V] log word frequencies."""
        for generator in self.generators:
            generator.set_output_bias(log_frequencies)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return the logits of every member, float32 [members, B, T, V].

        Args:
            inputs: "descriptors" float32 [B, N, F], "mask" bool [B, N], "words" int32 [B, T], the words read, which
                begin with the start mark. With "owners" int32 [B], the image of each sentence, there are fewer images.
            training: with dropout.
        """
        logits = []
        for generator in self.generators:
            memory = generator.encode(inputs["descriptors"], inputs["mask"], training=training)
            if "owners" in inputs:
                memory = {name: ops.take(part, inputs["owners"], axis=0) for name, part in memory.items()}
            logits.append(generator.logits(memory, inputs["words"], training=training))
        return ops.stack(logits)

    def word_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor, training: bool = False) -> Tensor:
        """Compute the log-probability of every word at every position of given sentences.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [H, T], H a multiple of B, the sentences of an image side by side, without start mark.
            training: with dropout.

        Returns:
            float32 [H, T, V]: at position t, given the image and the words before t.
        """
        words_read = shifted(words)
        logits = []
        for generator in self.generators:
            memory = generator.encode(descriptors, mask, training=training)
            memory = {name: for_each_hypothesis(part, words) for name, part in memory.items()}
            logits.append(generator.logits(memory, words_read, training=training))
        return self._mean_log_probs(ops.stack(logits))

    def start(self, descriptors: Tensor, mask: Tensor) -> tuple[list[Memory], list[State]]:
        """Encode images for decoding.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.

        Returns:
            the memory, which stays the same while images are captioned, and the state before the first word; trees of
            tensors [B, ...].
        """
        memories = [generator.encode(descriptors, mask) for generator in self.generators]
        pairs = zip(self.generators, memories, strict=True)
        return memories, [generator.initial_state(memory) for generator, memory in pairs]

    def step(self, memory: list[Memory], state: list[State], words: Tensor) -> tuple[Tensor, list[State]]:
        """Read one word of each of H hypotheses; H is a multiple of B and those of one image lie side by side.

        Args:
            memory: from `start`, first axis B.
            state: first axis H.
            words: int32 [H], the start mark at first.

        Returns:
            float32 [H, V] log-probabilities of the next word, and the next state.
        """
        logits = []
        states = []
        for generator, own_memory, own_state in zip(self.generators, memory, state, strict=True):
            own_logits, next_state = generator.next_logits(own_memory, own_state, words)
            logits.append(own_logits)
            states.append(next_state)
        return self._mean_log_probs(ops.stack(logits)), states

    def _mean_log_probs(self, logits: Tensor) -> Tensor:
        """Compute the log of the members' mean probability from logits [members, ..., V]."""
        log_probs = ops.log_softmax(logits, axis=-1)
        if self.config.ensemble_size == 1:
            return log_probs[0]
        return ops.logsumexp(log_probs, axis=0) - math.log(self.config.ensemble_size)

    def predict_caption_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Compute the log-probability of each word of given sentences, in one compiled graph.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [H, T] as in `word_log_probs`, padded with 0.

        Returns:
            float32 [H, T], 0 for padding.
        """
        return self._compiled("caption_log_probs", self._caption_log_probs, words=True)(descriptors, mask, words)

    def _caption_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        log_probs = self.word_log_probs(descriptors, mask, words)
        chosen = ops.take_along_axis(log_probs, words[..., None], axis=-1)[..., 0]
        return ops.where(ops.equal(words, PAD), 0.0, chosen)

    def predict_scores(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Compute the scorers' mean cosine of each sentence with its image, in one compiled graph.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [H, T] as in `word_log_probs`, padded with 0.

        Returns:
            float32 [H].
        """
        return self._compiled("scores", self._scores, words=True)(descriptors, mask, words)

    def _scores(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        return sum(scorer.scores(descriptors, mask, words) for scorer in self.scorers) / len(self.scorers)

    def predict_image_embeddings(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        """Embed images in the scorers' joint spaces, in one compiled graph.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.

        Returns:
            float32 [B, scorers * D] of length 1; a dot product is the scorers' mean cosine.
        """
        return self._compiled("image_embeddings", self._image_embeddings, words=False)(descriptors, mask)

    def _image_embeddings(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        embeddings = [scorer.image_embeddings(descriptors, mask) for scorer in self.scorers]
        return ops.concatenate(embeddings, axis=-1) / len(embeddings) ** 0.5

    def _compiled(self, name: str, function: Callable, *, words: bool) -> Callable:
        """Return the compiled graph of a function of descriptors, mask and, with `words`, sentences."""
        if name not in self._graphs:
            inputs: list[Spec] = [((None, None, self.num_features), "float32"), ((None, None), "bool")]
            if words:
                inputs.append(((None, None), "int32"))
            self._graphs[name] = compiled(function, *inputs)
        return self._graphs[name]


def shifted(words: Tensor) -> Tensor:
    """Return what is read before each word of sentences int32 [B, T]: the start mark, then all words but the last."""
    return ops.concatenate([ops.full_like(words[:, :1], START), words[:, :-1]], axis=1)
