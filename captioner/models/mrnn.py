"""The paper's generator: a ReLU recurrent network that reads the image once."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, dense, for_each_hypothesis
from captioner.models.cells import ReluCell, uniform, zero_state

Tensor = Any


class MultimodalRnn(Generator):
    """h_t = max(0, W_hx x_t + W_hh h_(t-1) + b_h + [t = 1] W_hi v),  y_t = softmax(W_oh h_t + b_o).

    Settings `feed_once=False` and `relu_encoders=True` are switches of the original's code.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.2.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__(config, num_words, num_features)
        units = config.hidden_dim
        self.from_image = dense(units, num_features, kernel_initializer=uniform())
        self.from_word = dense(units, config.word_dim, kernel_initializer=uniform())
        self.cell = ReluCell(units)
        self.recurrent = keras.layers.RNN(self.cell, return_sequences=True)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.output_words = self.add_weight(shape=(units, num_words), initializer=small, name="output_words")
        self.recurrent.build((None, None, units))
        self.built = True

    def encode(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Project the mean descriptor, "image" float32 [B, U]."""
        vector = self.from_image(self.scaling.mean(descriptors, mask))
        if self.config.relu_encoders:
            vector = ops.relu(vector)
        return {"image": self.image_dropout(vector, training=training)}

    def initial_state(self, memory: Memory) -> State:
        """Return zeros, and the number of steps taken, float32 [B, 1]."""
        return [*zero_state(self.cell, memory["image"]), ops.zeros_like(memory["image"][:, :1])]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Return float32 [B, T, V] logits; all arguments as in `Generator.logits`."""
        inputs = self._project_words(words, training)  # [B, T, U]
        image = memory["image"][:, None]  # [B, 1, U]
        if self.config.feed_once:
            inputs = ops.concatenate([inputs[:, :1] + image, inputs[:, 1:]], axis=1)
        else:
            inputs = inputs + image
        return self._word_logits(self.recurrent(inputs), training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word of each hypothesis; all arguments as in `Generator.next_logits`."""
        hidden, steps = state
        image = for_each_hypothesis(memory["image"], words)
        if self.config.feed_once:
            image = ops.where(steps == 0, image, 0.0)
        hidden, _ = self.cell(self._project_words(words, False) + image, [hidden])
        return self._word_logits(hidden, False), [hidden, steps + 1]

    def _project_words(self, words: Tensor, training: bool) -> Tensor:
        """Return W_hx x_t, float32 [..., U], of int32 [...] words."""
        vectors = self.words(words)
        if self.config.relu_encoders:
            vectors = ops.relu(vectors)
        return self.from_word(self.word_dropout(vectors, training=training))
