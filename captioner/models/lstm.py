"""neuraltalk's generator: an LSTM whose first input is the image."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, dense
from captioner.models.cells import LstmCell, uniform, zero_state

Tensor = Any


class ImageFirstLstm(Generator):
    """An LSTM that reads the image, whose output is discarded, then the start mark and the words.

    With `lstm_tanh=False` the cell's output has no tanh, the default of the original's code.

    References: Vinyals et al. 2015, arXiv:1411.4555; the code of Karpathy and Fei-Fei 2015.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__(config, num_words, num_features)
        units = config.hidden_dim
        self.from_image = dense(config.word_dim, num_features, kernel_initializer=uniform())
        self.gates = dense(4 * units, config.word_dim, kernel_initializer=uniform())
        self.cell = LstmCell(units, output_tanh=config.lstm_tanh)
        self.recurrent = keras.layers.RNN(self.cell, return_sequences=True)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.output_words = self.add_weight(shape=(units, num_words), initializer=small, name="output_words")
        self.recurrent.build((None, None, 4 * units))
        self.built = True

    def encode(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Project the mean descriptor to an input like a word's, "image" float32 [B, word_dim]."""
        vector = self.from_image(self.scaling.mean(descriptors, mask))
        return {"image": self.image_dropout(vector, training=training)}

    def initial_state(self, memory: Memory) -> State:
        """Return the state after reading the image."""
        _, state = self.cell(self.gates(memory["image"]), zero_state(self.cell, memory["image"]))
        return state

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Return float32 [B, T, V] logits; all arguments as in `Generator.logits`."""
        vectors = self.word_dropout(self.words(words), training=training)
        inputs = ops.concatenate([memory["image"][:, None], vectors], axis=1)  # [B, 1 + T, word_dim]
        return self._word_logits(self.recurrent(self.gates(inputs))[:, 1:], training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word of each hypothesis; all arguments as in `Generator.next_logits`."""
        hidden, state = self.cell(self.gates(self.words(words)), state)
        return self._word_logits(hidden, False), state
