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
from vislang.core.compile import Spec, compiled
from vislang.text.vocabulary import PAD, START

Tensor = Any

GENERATORS: dict[str, type[Generator]] = {
    "mrnn": MultimodalRnn,
    "lstm": ImageFirstLstm,
    "attend": AttentionLstm,
    "s2vt": SequenceToSequence,
}


class Captioner(keras.Model):
    """An ensemble of generators; the probability of a word is the mean of theirs.

    Throughout, `descriptors` is float32 [B, N, F], one pooled vector, a grid, regions or frames of each image or clip;
    `mask` is bool [B, N], True for real descriptors; and `words` is int32 [H, T], padded with 0, without start mark: H
    sentences, the same number for each image, those of one image side by side.

    Attributes:
        predict_caption_log_probs: compiled; of descriptors, mask, words and a temperature, float32 []: the log of the
            probability of each word under softmax(log p / temperature), float32 [H, T], 0 for padding.
        predict_scores: compiled; of descriptors, mask and words: the scorers' mean cosine of each sentence with its
            image, float32 [H].
        predict_image_embeddings: compiled; of descriptors and mask: float32 [B, scorers * D] of length 1, so that a
            dot product is the scorers' mean cosine.
        predict_mean_descriptor: compiled; of nothing: the mean of the training images' descriptors, float32 [F].
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__()
        self.config = config
        self.num_words = num_words
        self.num_features = num_features
        generator = GENERATORS[config.model]
        self.generators = [generator(config, num_words, num_features) for _ in range(config.ensemble_size)]
        self.scorers = [ImageTextScorer(config, num_words, num_features) for _ in range(config.scorers)]
        images: tuple[Spec, Spec] = (((None, None, num_features), "float32"), ((None, None), "bool"))
        words: Spec = ((None, None), "int32")
        self.predict_caption_log_probs = compiled(self._caption_log_probs, *images, words, ((), "float32"), model=self)
        self.predict_scores = compiled(self._scores, *images, words, model=self)
        self.predict_image_embeddings = compiled(self._image_embeddings, *images, model=self)
        self.predict_mean_descriptor = compiled(self._mean_descriptor, model=self)
        self.built = True

    @property
    def GRAPHS(self) -> tuple[str, ...]:  # noqa: N802, a constant of other networks
        """The names of the compiled graphs."""
        graphs = ("predict_caption_log_probs", "predict_mean_descriptor")
        if self.config.scorers:
            return (*graphs, "predict_scores", "predict_image_embeddings")
        return graphs

    def set_feature_statistics(self, means: np.ndarray, stds: np.ndarray) -> None:
        """Set the statistics of the training images' features, float32 [2, F] each (`FeatureScaling`)."""
        parts: list[Any] = [*self.generators, *self.scorers]
        for part in parts:
            part.scaling.set_statistics(means, stds)

    def set_output_bias(self, log_frequencies: np.ndarray) -> None:
        """Set all output biases to float32 [V] log word frequencies, so that training need not learn them."""
        for generator in self.generators:
            generator.output_bias.assign(log_frequencies)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return the logits of every member, float32 [members, H, T, V].

        Args:
            inputs: "descriptors", "mask" and "words", the words read, which begin with the start mark; one sentence of
                each image, or with "owners" int32 [H] of the image that it names.
        """

        def of_sentences(part: Tensor) -> Tensor:
            if "owners" in inputs:
                return ops.take(part, inputs["owners"], axis=0)
            return part

        return self._logits(inputs["descriptors"], inputs["mask"], inputs["words"], of_sentences, training)

    def word_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor, training: bool = False) -> Tensor:
        """Compute float32 [H, T, V], the log-probability of every word at t given the image and the words before t."""
        logits = self._logits(
            descriptors, mask, shifted(words), lambda part: for_each_hypothesis(part, words), training
        )
        return self._mean_log_probs(logits)

    def _logits(
        self, descriptors: Tensor, mask: Tensor, words_read: Tensor, of_sentences: Callable, training: bool
    ) -> Tensor:
        """Return float32 [members, H, T, V]; `of_sentences` takes a row of a tensor [B, ...] for each sentence."""
        logits = []
        for generator in self.generators:
            memory = generator.encode(descriptors, mask, training=training)
            memory = {name: of_sentences(part) for name, part in memory.items()}
            logits.append(generator.logits(memory, words_read, training=training))
        return ops.stack(logits)

    def start(self, descriptors: Tensor, mask: Tensor) -> tuple[list[Memory], list[State]]:
        """Encode images for decoding: the memory and the state before the first word, trees of tensors [B, ...]."""
        memories = [generator.encode(descriptors, mask) for generator in self.generators]
        pairs = zip(self.generators, memories, strict=True)
        return memories, [generator.initial_state(memory) for generator, memory in pairs]

    def step(self, memory: list[Memory], state: list[State], words: Tensor) -> tuple[Tensor, list[State]]:
        """Read a word of each of H hypotheses: float32 [H, V] log-probabilities of the next word, and the next state.

        Args:
            memory: from `start`, first axis B.
            state: first axis H.
            words: int32 [H], the start mark at first.
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

    def _caption_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor, temperature: Tensor) -> Tensor:
        log_probs = ops.log_softmax(self.word_log_probs(descriptors, mask, words) / temperature, axis=-1)
        chosen = ops.take_along_axis(log_probs, words[..., None], axis=-1)[..., 0]
        return ops.where(ops.equal(words, PAD), 0.0, chosen)

    def _scores(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        return sum(scorer.scores(descriptors, mask, words) for scorer in self.scorers) / len(self.scorers)

    def _mean_descriptor(self) -> Tensor:
        return ops.convert_to_tensor(self.generators[0].scaling.each_shift)

    def _image_embeddings(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        embeddings = [scorer.image_embeddings(descriptors, mask) for scorer in self.scorers]
        return ops.concatenate(embeddings, axis=-1) / len(embeddings) ** 0.5


def shifted(words: Tensor) -> Tensor:
    """Return what is read before each word of sentences int32 [B, T]: the start mark, then all words but the last."""
    return ops.concatenate([ops.full_like(words[:, :1], START), words[:, :-1]], axis=1)
