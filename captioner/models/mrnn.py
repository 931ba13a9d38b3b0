"""The paper's generator: a ReLU recurrent network that sees the image once."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, for_each_hypothesis
from captioner.models.cells import ReluCell, uniform, zero_state

Tensor = Any


class MultimodalRnn(Generator):
    """h_t = max(0, W_hx x_t + W_hh h_(t-1) + b_h + [t = 1] W_hi v),  y_t = softmax(W_oh h_t + b_o).

    Settings `feed_once=False` and `relu_encoders=True` are switches of the original's code.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.2.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(config, num_words, num_features, **options)
        units = config.hidden_dim
        self.from_image = keras.layers.Dense(units, kernel_initializer=uniform())
        self.from_word = keras.layers.Dense(units, kernel_initializer=uniform())
        self.cell = ReluCell(units)
        self.recurrent = keras.layers.RNN(self.cell, return_sequences=True)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.output_words = self.add_weight(shape=(units, num_words), initializer=small, name="output_words")
        self.from_image.build((None, num_features))
        self.from_word.build((None, config.word_dim))
        self.recurrent.build((None, None, units))
        self.built = True

    def look(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """See `Generator.look`."""
        vector = self.from_image(self.image.mean(descriptors, mask))
        if self.config.relu_encoders:
            vector = ops.relu(vector)
        return {"image": self.image_dropout(vector, training=training)}  # [B, H]

    def begin(self, memory: Memory) -> State:
        """See `Generator.begin`; the last part counts the steps."""
        return [*zero_state(self.cell, memory["image"]), ops.zeros_like(memory["image"][:, :1])]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """See `Generator.logits`."""
        inputs = self._read(words, training)  # [B, T, H]
        image = memory["image"][:, None]  # [B, 1, H]
        if self.config.feed_once:
            inputs = ops.concatenate([inputs[:, :1] + image, inputs[:, 1:]], axis=1)
        else:
            inputs = inputs + image
        return self._words_from(self.recurrent(inputs), training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """See `Generator.next_logits`."""
        hidden, steps = state
        image = for_each_hypothesis(memory["image"], words)
        if self.config.feed_once:
            image = ops.where(steps == 0, image, 0.0)
        hidden, _ = self.cell(self._read(words, False) + image, [hidden])
        return self._words_from(hidden, False), [hidden, steps + 1]

    def _read(self, words: Tensor, training: bool) -> Tensor:
        vectors = self.words(words)
        if self.config.relu_encoders:
            vectors = ops.relu(vectors)
        return self.from_word(self.word_dropout(vectors, training=training))

    def _words_from(self, hidden: Tensor, training: bool) -> Tensor:
        return ops.matmul(self.output_dropout(hidden, training=training), self.output_words) + self.output_bias
