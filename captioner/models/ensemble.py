"""The captioner: generators side by side behind the one descriptor interface."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.attention_lstm import AttendingLstm
from captioner.models.base import Generator, Memory, State, for_each_hypothesis
from captioner.models.lstm import ImageFirstLstm
from captioner.models.mrnn import MultimodalRnn
from captioner.models.reranker import Judge
from captioner.models.s2vt import SequenceToSequence
from vislang.text.vocabulary import PAD, START
from vislang.training.compile import compiled

Tensor = Any

GENERATORS: dict[str, type[Generator]] = {
    "mrnn": MultimodalRnn,
    "lstm": ImageFirstLstm,
    "attend": AttendingLstm,
    "s2vt": SequenceToSequence,
}


class Captioner(keras.Model):
    """`members` generators; the probability of a word is the mean of theirs.

    An image or a clip is a set of descriptors, float32 [B, N, F] with mask bool [B, N]: one pooled vector, a grid,
    regions or frames. `word_log_probs` scores given sentences; `start` and `step` write new ones.

    Args:
        config: the settings.
        num_words: V, special words included.
        num_features: F.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(**options)
        self.config, self.num_words, self.num_features = config, num_words, num_features
        self._chosen_graph: Callable | None = None
        self._fit_graph: Callable | None = None
        self._place_graph: Callable | None = None
        make = GENERATORS[config.model]
        self.generators = [make(config, num_words, num_features) for _ in range(config.members)]
        self.judges = [Judge(config, num_words, num_features) for _ in range(config.judges)]
        self.built = True

    def standardise_with(self, means: np.ndarray, deviations: np.ndarray) -> None:
        """Take the statistics of the training images' features (`ImageScaling.standardise_with`)."""
        for part in [*self.generators, *self.judges]:
            part.image.standardise_with(means, deviations)

    def start_from(self, log_frequencies: np.ndarray) -> None:
        """Start all output biases at float32 [V] log word frequencies."""
        for generator in self.generators:
            generator.start_from(log_frequencies)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Give every member's logits.

        Args:
            inputs: "descriptors" float32 [B, N, F], "mask" bool [B, N], "words" int32 [B, T], the words read, which
                begin with the start mark. With "owners" int32 [B], whose each sentence is, there are fewer images.

        Returns:
            float32 [members, B, T, V].
        """
        logits = []
        for generator in self.generators:
            memory = generator.look(inputs["descriptors"], inputs["mask"], training=training)
            if "owners" in inputs:
                memory = {name: ops.take(part, inputs["owners"], axis=0) for name, part in memory.items()}
            logits.append(generator.logits(memory, inputs["words"], training=training))
        return ops.stack(logits)

    def word_log_probs(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Give the log-probability of every word at every place of given sentences.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            words: int32 [B, T], sentences without start mark.

        Returns:
            float32 [B, T, V]: at place t, given the image and the words before t.
        """
        return self._mean_log_probs(
            self({"descriptors": descriptors, "mask": mask, "words": shifted(words)}, training=False)
        )

    def log_probs_of_many(self, descriptors: Tensor, mask: Tensor, words: Tensor, training: bool = False) -> Tensor:
        """Score several sentences of each image, looked at once.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N].
            words: int32 [H, T], H a multiple of B, the sentences of an image side by side, without start mark.
            training: with dropout.

        Returns:
            float32 [H, T, V].
        """
        read, logits = shifted(words), []
        for generator in self.generators:
            memory = generator.look(descriptors, mask, training=training)
            memory = {name: for_each_hypothesis(part, words) for name, part in memory.items()}
            logits.append(generator.logits(memory, read, training=training))
        return self._mean_log_probs(ops.stack(logits))

    def predict_fit(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Give float32 [H], the judges' mean cosine of each sentence with its image; one compiled graph.

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N].
            words: int32 [H, T], H a multiple of B, the sentences of an image side by side, padded with 0.
        """
        if self._fit_graph is None:
            shape = (None, None, self.num_features)
            self._fit_graph = compiled(self._fit, (shape, "float32"), (shape[:2], "bool"), (shape[:2], "int32"))
        return self._fit_graph(descriptors, mask, words)

    def _fit(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        return sum(judge.fit(descriptors, mask, words) for judge in self.judges) / len(self.judges)

    def predict_places(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        """Give float32 [B, judges * width], of length 1: where images lie in the judges' spaces; one compiled graph.

        A product of two is the judges' mean cosine.
        """
        if self._place_graph is None:
            shape = (None, None, self.num_features)
            self._place_graph = compiled(self._places, (shape, "float32"), (shape[:2], "bool"))
        return self._place_graph(descriptors, mask)

    def _places(self, descriptors: Tensor, mask: Tensor) -> Tensor:
        places = [judge.images(descriptors, mask) for judge in self.judges]
        return ops.concatenate(places, axis=-1) / len(places) ** 0.5

    def predict_chosen(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        """Give float32 [B, T], the log-probability of each word of int32 [B, T], 0 for padding; one compiled graph."""
        if self._chosen_graph is None:
            shape = (None, None, self.num_features)
            self._chosen_graph = compiled(self._chosen, (shape, "float32"), (shape[:2], "bool"), (shape[:2], "int32"))
        return self._chosen_graph(descriptors, mask, words)

    def _chosen(self, descriptors: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        log_probs = self.word_log_probs(descriptors, mask, words)
        chosen = ops.take_along_axis(log_probs, words[..., None], axis=-1)[..., 0]
        return ops.where(ops.equal(words, PAD), 0.0, chosen)

    def start(self, descriptors: Tensor, mask: Tensor) -> tuple[list[Memory], list[State]]:
        """Look at B images and give what never changes while they are captioned, and the state before the first word.

        Both are trees of tensors whose first axis counts images.
        """
        memories = [generator.look(descriptors, mask) for generator in self.generators]
        return memories, [generator.begin(memory) for generator, memory in zip(self.generators, memories, strict=True)]

    def step(self, memory: list[Memory], state: list[State], words: Tensor) -> tuple[Tensor, list[State]]:
        """Read one word for each of H hypotheses; H is a multiple of B and those of one image lie side by side.

        Args:
            memory: from `start`, first axis B.
            state: first axis H.
            words: int32 [H], the start mark at first.

        Returns:
            float32 [H, V] log-probabilities of the next word, and the next state.
        """
        steps = [
            generator.next_logits(of_generator, own, words)
            for generator, of_generator, own in zip(self.generators, memory, state, strict=True)
        ]
        return self._mean_log_probs(ops.stack([logits for logits, _ in steps])), [own for _, own in steps]

    def _mean_log_probs(self, logits: Tensor) -> Tensor:
        """Give the log of the members' mean probability for logits [members, ..., V]."""
        log_probs = ops.log_softmax(logits, axis=-1)
        if self.config.members == 1:
            return log_probs[0]
        return ops.logsumexp(log_probs, axis=0) - math.log(self.config.members)


def shifted(words: Tensor) -> Tensor:
    """Give what is read before each word of sentences int32 [B, T]: the start mark, then all words but the last."""
    return ops.concatenate([ops.full_like(words[:, :1], START), words[:, :-1]], axis=1)
