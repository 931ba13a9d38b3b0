"""What every generator of sentences answers, and what they share: image scaling, word table, output biases."""

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.cells import uniform
from captioner.models.image_features import ImageScaling

Tensor = Any
Memory = dict[str, Tensor]
State = list[Tensor]


class Generator(keras.layers.Layer, ABC):
    """Writes a sentence word by word. A subclass is one published model, or ours.

    Letters: B images, N descriptors of F features, T steps, V words, H hypotheses (the same number for each image,
    those of one image side by side).

    Args:
        config: the settings.
        num_words: V, special words included.
        num_features: F.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(**options)
        self.config, self.num_words, self.num_features = config, num_words, num_features
        self.image = ImageScaling(config.image_scaling, num_features)
        self.words = keras.layers.Embedding(num_words, config.word_dim, embeddings_initializer=uniform())
        self.word_dropout = keras.layers.Dropout(config.word_dropout)
        self.image_dropout = keras.layers.Dropout(config.image_dropout)
        self.output_dropout = keras.layers.Dropout(config.output_dropout)
        self.output_bias = self.add_weight(shape=(num_words,), initializer="zeros", name="output_bias")
        self.words.build((None,))

    def start_from(self, log_frequencies: np.ndarray) -> None:
        """Start the output biases at float32 [V] log word frequencies, so that training need not learn those."""
        self.output_bias.assign(log_frequencies)

    @abstractmethod
    def look(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Give what decoding needs of each image, a dictionary of tensors [B, ...].

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
            training: with dropout.
        """

    @abstractmethod
    def begin(self, memory: Memory) -> State:
        """Give the state before the first word, a list of tensors [B, ...]."""

    @abstractmethod
    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Give float32 [B, T, V] for int32 [B, T], the words read: the first is the start mark."""

    @abstractmethod
    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word for each hypothesis.

        Args:
            memory: from `look`, for B images.
            state: tensors [H, ...].
            words: int32 [H].

        Returns:
            float32 [H, V] and the next state.
        """


def for_each_hypothesis(of_image: Tensor, hypotheses: Tensor) -> Tensor:
    """Repeat [B, ...] to [H, ...], each image's row for its hypotheses.

    Args:
        of_image: a part of the memory.
        hypotheses: anything with H rows.
    """
    times = ops.shape(hypotheses)[0] // ops.shape(of_image)[0]
    return ops.repeat(of_image, times, axis=0)
