"""neuraltalk's generator: an LSTM whose first input is the image."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State
from captioner.models.cells import LstmCell, uniform, zero_state

Tensor = Any


class ImageFirstLstm(Generator):
    """Reads the image, whose output is thrown away, then the start mark and the words.

    With `lstm_tanh=False` the cell's output is not squashed, the default of the original's code.

    References: Vinyals et al. 2015, arXiv:1411.4555; the code of Karpathy and Fei-Fei 2015.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(config, num_words, num_features, **options)
        units = config.hidden_dim
        self.from_image = keras.layers.Dense(config.word_dim, kernel_initializer=uniform())
        self.gates = keras.layers.Dense(4 * units, kernel_initializer=uniform())
        self.cell = LstmCell(units, output_tanh=config.lstm_tanh)
        self.recurrent = keras.layers.RNN(self.cell, return_sequences=True)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.output_words = self.add_weight(shape=(units, num_words), initializer=small, name="output_words")
        self.from_image.build((None, num_features))
        self.gates.build((None, config.word_dim))
        self.recurrent.build((None, None, 4 * units))
        self.built = True

    def look(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """See `Generator.look`."""
        vector = self.from_image(self.image.mean(descriptors, mask))
        return {"image": self.image_dropout(vector, training=training)}  # [B, word_dim]

    def begin(self, memory: Memory) -> State:
        """See `Generator.begin`: the state after the image."""
        _, state = self.cell(self.gates(memory["image"]), zero_state(self.cell, memory["image"]))
        return state

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """See `Generator.logits`."""
        vectors = self.word_dropout(self.words(words), training=training)
        inputs = ops.concatenate([memory["image"][:, None], vectors], axis=1)  # [B, 1 + T, word_dim]
        return self._words_from(self.recurrent(self.gates(inputs))[:, 1:], training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """See `Generator.next_logits`."""
        hidden, state = self.cell(self.gates(self.words(words)), state)
        return self._words_from(hidden, False), state

    def _words_from(self, hidden: Tensor, training: bool) -> Tensor:
        return ops.matmul(self.output_dropout(hidden, training=training), self.output_words) + self.output_bias
