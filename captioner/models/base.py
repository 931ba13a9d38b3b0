"""The interface of a caption generator, and what all of them share: feature scaling, word table, output biases."""

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.cells import uniform
from vislang.training.feature_scaling import FeatureScaling

Tensor = Any
Memory = dict[str, Tensor]
State = list[Tensor]


class Generator(keras.layers.Layer, ABC):
    """Generate a sentence word by word. A subclass is one published model, or ours.

    Letters: B images, N descriptors of F features, T steps, V words, H hypotheses (the same number for each image,
    those of one image side by side).
    """

    output_words: Any  # float32 [U, V]

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__()
        self.config = config
        self.scaling = FeatureScaling(config.image_scaling, num_features)
        self.words = keras.layers.Embedding(num_words, config.word_dim, embeddings_initializer=uniform())
        self.word_dropout = keras.layers.Dropout(config.embedding_dropout)
        self.image_dropout = keras.layers.Dropout(config.image_dropout)
        self.output_dropout = keras.layers.Dropout(config.output_dropout)
        self.output_bias = self.add_weight(shape=(num_words,), initializer="zeros", name="output_bias")
        self.words.build((None,))

    @abstractmethod
    def encode(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Encode images into what decoding reads at every step, a dictionary of float32 tensors [B, ...].

        Args:
            descriptors: float32 [B, N, F].
            mask: bool [B, N], True for real descriptors.
        """

    @abstractmethod
    def initial_state(self, memory: Memory) -> State:
        """Return the state before the first word, a list of float32 tensors [B, ...]."""

    @abstractmethod
    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Return the logits of all next words at once (teacher forcing), float32 [B, T, V].

        Args:
            memory: from `encode`, for B images.
            words: int32 [B, T], the words read: first the start mark.
        """

    @abstractmethod
    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word of each hypothesis; return float32 [H, V] logits of the next word, and the next state.

        Args:
            memory: from `encode`, for B images.
            state: float32 tensors [H, ...].
            words: int32 [H].
        """

    def _word_logits(self, hidden: Tensor, training: bool) -> Tensor:
        """Return float32 [..., V] logits of hidden states float32 [..., U], where a subclass has `output_words`."""
        return ops.matmul(self.output_dropout(hidden, training=training), self.output_words) + self.output_bias


def for_each_hypothesis(image_rows: Tensor, hypotheses: Tensor) -> Tensor:
    """Repeat the row of each image for its hypotheses, [H, ...]: hypothesis h belongs to image h // (H / B).

    Args:
        image_rows: any dtype, [B, ...].
        hypotheses: anything [H, ...], H a multiple of B.
    """
    count = ops.shape(hypotheses)[0]
    # In a compiled graph this is far smaller than `ops.repeat`.
    owners = ops.arange(count, dtype="int32") // (count // ops.shape(image_rows)[0])
    return ops.take(image_rows, owners, axis=0)


def dense(units: int, num_inputs: int, activation: str | None = None, **options: Any) -> keras.layers.Dense:
    """Return a built dense layer from float32 [..., num_inputs] to [..., units]."""
    layer = keras.layers.Dense(units, activation=activation, **options)
    layer.build((None, num_inputs))
    return layer
