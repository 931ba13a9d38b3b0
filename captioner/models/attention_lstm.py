"""Our generator: an LSTM that looks at the descriptors before every word."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, for_each_hypothesis
from captioner.models.cells import LstmCell, zero_state

Tensor = Any
_NEVER = -1e9  # attention score of a descriptor that is not there


class AttendingLstm(Generator):
    """Top-down attention whose looking never feeds the first LSTM, so that all steps of training look in one product.

        h_t = LSTM(x_t, image)          the image's mean joins every step
        c_t = sum_n softmax_n(q(h_t) . v_n) v_n          for each head, with its part of q and v
        s_t = LSTM([h_t, c_t])          with `layers` 2; else h_t
        y_t = softmax(tanh(W [s_t, c_t]) E' + b)          E the word table when `tied_words`

    References: Lu et al. 2017, arXiv:1612.01887 (looking after the LSTM); Anderson et al. 2018, arXiv:1707.07998
    (two LSTMs); Press and Wolf 2017, arXiv:1608.05859 (tied words).
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(config, num_words, num_features, **options)
        units = config.hidden_dim
        self.each_dropout = keras.layers.Dropout(config.image_dropout, noise_shape=(None, 1, None))
        self.overall = _dense(units, num_features, "relu")
        self.values = _dense(config.look_dim, num_features, "relu")
        self.image_gates = _dense(4 * units, units)
        self.word_gates = _dense(4 * units, config.word_dim)
        self.queries = _dense(config.look_dim, units)
        self.cells = [LstmCell(units) for _ in range(config.layers)]
        self.recurrent = [keras.layers.RNN(cell, return_sequences=True) for cell in self.cells]
        self.deep_gates = [_dense(4 * units, units + config.look_dim) for _ in self.cells[1:]]
        self.mix = _dense(config.word_dim, units + config.look_dim, "tanh")
        for layer in self.recurrent:
            layer.build((None, None, 4 * units))
        if not config.tied_words:
            self.output_words = self.add_weight(
                shape=(config.word_dim, num_words), initializer="glorot_uniform", name="output_words"
            )
        self.built = True

    def look(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """See `Generator.look`."""
        mean = self.image_dropout(self.image.mean(descriptors, mask), training=training)
        # All descriptors of an image lose the same features: drawing for each costs more than the product after it.
        each = self.each_dropout(self.image.each(descriptors), training=training)
        values = self.values(each)  # [B, N, L]
        return {
            "gates": self.image_gates(self.overall(mean)),  # [B, 4U]
            "values": self._heads(values),  # [B, heads, N, L / heads]
            "absent": ops.where(mask, 0.0, _NEVER)[:, None, None, :],  # [B, 1, 1, N]
        }

    def begin(self, memory: Memory) -> State:
        """See `Generator.begin`."""
        return [state for cell in self.cells for state in zero_state(cell, memory["gates"])]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """See `Generator.logits`."""
        vectors = self.word_dropout(self.words(words), training=training)
        hidden = self.recurrent[0](self.word_gates(vectors) + memory["gates"][:, None])  # [B, T, U]
        hidden = self.output_dropout(hidden, training=training)
        seen = self._attend(memory, hidden)  # [B, T, L]
        for recurrent, gates in zip(self.recurrent[1:], self.deep_gates, strict=True):
            hidden = recurrent(gates(ops.concatenate([hidden, seen], axis=-1)))
            hidden = self.output_dropout(hidden, training=training)
        return self._words_from(hidden, seen, training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """See `Generator.next_logits`."""
        inputs = self.word_gates(self.words(words)) + for_each_hypothesis(memory["gates"], words)
        hidden, following = self.cells[0](inputs, state[:2])
        images = ops.shape(memory["gates"])[0]
        queries = ops.reshape(hidden, (images, -1, self.config.hidden_dim))  # the beams of an image look at once
        seen = ops.reshape(self._attend(memory, queries), (-1, self.config.look_dim))  # [H, L]
        for number, (cell, gates) in enumerate(zip(self.cells[1:], self.deep_gates, strict=True), start=1):
            own = state[2 * number : 2 * number + 2]
            hidden, own = cell(gates(ops.concatenate([hidden, seen], axis=-1)), own)
            following = [*following, *own]
        return self._words_from(hidden, seen, False), following

    def attention(self, memory: Memory, hidden: Tensor) -> Tensor:
        """Give float32 [B, heads, T, N], where each step of float32 [B, T, U] looks; sums to 1 over N."""
        queries = self._heads(self.queries(hidden))  # [B, heads, T, L / heads]
        scores = ops.matmul(queries, ops.swapaxes(memory["values"], -1, -2))
        width = self.config.look_dim // self.config.heads
        # Not ops.softmax, which warns of a single descriptor.
        return ops.exp(ops.log_softmax(scores / width**0.5 + memory["absent"], axis=-1))

    def _attend(self, memory: Memory, hidden: Tensor) -> Tensor:
        seen = ops.matmul(self.attention(memory, hidden), memory["values"])  # [B, heads, T, L / heads]
        seen = ops.transpose(seen, (0, 2, 1, 3))
        return ops.reshape(seen, (ops.shape(seen)[0], -1, self.config.look_dim))

    def _heads(self, vectors: Tensor) -> Tensor:
        """Split float32 [B, N, L] into [B, heads, N, L / heads]."""
        heads = self.config.heads
        split = ops.reshape(vectors, (ops.shape(vectors)[0], -1, heads, self.config.look_dim // heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def _words_from(self, hidden: Tensor, seen: Tensor, training: bool) -> Tensor:
        mixed = self.mix(ops.concatenate([hidden, seen], axis=-1))
        table = ops.transpose(self.words.embeddings) if self.config.tied_words else self.output_words
        return ops.matmul(self.output_dropout(mixed, training=training), table) + self.output_bias


def _dense(units: int, width: int, activation: str | None = None) -> keras.layers.Dense:
    layer = keras.layers.Dense(units, activation=activation)
    layer.build((None, width))
    return layer
