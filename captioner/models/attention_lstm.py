"""Our generator: an LSTM that attends to the descriptors before every word."""

from typing import Any

import keras
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, dense, for_each_hypothesis
from captioner.models.cells import LstmCell, zero_state

Tensor = Any
_MASKED = -1e9  # attention score of a padding descriptor


class AttentionLstm(Generator):
    """Attention that never feeds the first LSTM, so that training computes it for all steps in one product.

        h_t = LSTM(x_t, image)          the image's mean joins every step
        c_t = sum_n softmax_n(q(h_t) . v_n) v_n          for each head, with its part of q and v
        s_t = LSTM([h_t, c_t])          with `layers` 2; else h_t
        y_t = softmax(tanh(W [s_t, c_t]) E' + b)          E the word table when `tied_words`

    References: Lu et al. 2017, arXiv:1612.01887 (attention after the LSTM); Anderson et al. 2018, arXiv:1707.07998
    (two LSTMs); Press and Wolf 2017, arXiv:1608.05859 (tied words).
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__(config, num_words, num_features)
        units = config.hidden_dim
        attended = config.attention_dim
        self.descriptor_dropout = keras.layers.Dropout(config.image_dropout, noise_shape=(None, 1, None))
        self.mean_projection = dense(units, num_features, "relu")
        self.values = dense(attended, num_features, "relu")
        self.image_gates = dense(4 * units, units)
        self.word_gates = dense(4 * units, config.word_dim)
        self.queries = dense(attended, units)
        self.cells = [LstmCell(units) for _ in range(config.recurrent_layers)]
        self.recurrent = [keras.layers.RNN(cell, return_sequences=True) for cell in self.cells]
        self.upper_gates = [dense(4 * units, units + attended) for _ in self.cells[1:]]
        self.output_projection = dense(config.word_dim, units + attended, "tanh")
        for layer in self.recurrent:
            layer.build((None, None, 4 * units))
        if not config.tied_words:
            self.output_words = self.add_weight(
                shape=(config.word_dim, num_words), initializer="glorot_uniform", name="output_words"
            )
        self.built = True

    def encode(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Project the mean to the gates of the first LSTM, and each descriptor to its attention value."""
        mean = self.image_dropout(self.scaling.mean(descriptors, mask), training=training)
        # One dropout mask for all descriptors of an image: drawing one for each costs more than the product after it.
        each = self.descriptor_dropout(self.scaling.each(descriptors), training=training)
        return {
            "gates": self.image_gates(self.mean_projection(mean)),  # [B, 4U]
            "values": self._split_heads(self.values(each)),  # [B, heads, N, A / heads]
            "attention_bias": ops.where(mask, 0.0, _MASKED)[:, None, None, :],  # [B, 1, 1, N]
        }

    def initial_state(self, memory: Memory) -> State:
        """Return zeros for every LSTM."""
        return [state for cell in self.cells for state in zero_state(cell, memory["gates"])]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Return float32 [B, T, V] logits; all arguments as in `Generator.logits`."""
        vectors = self.word_dropout(self.words(words), training=training)
        hidden = self.recurrent[0](self.word_gates(vectors) + memory["gates"][:, None])  # [B, T, U]
        hidden = self.output_dropout(hidden, training=training)
        context = self._attend(memory, hidden)  # [B, T, A]
        for recurrent, gates in zip(self.recurrent[1:], self.upper_gates, strict=True):
            hidden = recurrent(gates(ops.concatenate([hidden, context], axis=-1)))
            hidden = self.output_dropout(hidden, training=training)
        return self._attended_logits(hidden, context, training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word of each hypothesis; all arguments as in `Generator.next_logits`."""
        inputs = self.word_gates(self.words(words)) + for_each_hypothesis(memory["gates"], words)
        hidden, next_state = self.cells[0](inputs, state[:2])
        num_images = ops.shape(memory["gates"])[0]
        steps = ops.reshape(hidden, (num_images, -1, self.config.hidden_dim))  # an image's beams attend together
        context = ops.reshape(self._attend(memory, steps), (-1, self.config.attention_dim))  # [H, A]
        for layer, (cell, gates) in enumerate(zip(self.cells[1:], self.upper_gates, strict=True), start=1):
            inputs = gates(ops.concatenate([hidden, context], axis=-1))
            hidden, layer_state = cell(inputs, state[2 * layer : 2 * layer + 2])
            next_state = [*next_state, *layer_state]
        return self._attended_logits(hidden, context, False), next_state

    def attention(self, memory: Memory, hidden: Tensor) -> Tensor:
        """Compute the attention weights of each step, float32 [B, heads, T, N], which sum to 1 over N.

        Args:
            memory: from `encode`.
            hidden: float32 [B, T, U].
        """
        queries = self._split_heads(self.queries(hidden))  # [B, heads, T, A / heads]
        scores = ops.matmul(queries, ops.swapaxes(memory["values"], -1, -2))
        width = self.config.attention_dim // self.config.attention_heads
        # Not ops.softmax, which warns of a single descriptor.
        return ops.exp(ops.log_softmax(scores / width**0.5 + memory["attention_bias"], axis=-1))

    def _attend(self, memory: Memory, hidden: Tensor) -> Tensor:
        """Compute the context vectors c_t, float32 [B, T, A], of hidden states float32 [B, T, U]."""
        context = ops.matmul(self.attention(memory, hidden), memory["values"])  # [B, heads, T, A / heads]
        context = ops.transpose(context, (0, 2, 1, 3))
        return ops.reshape(context, (ops.shape(context)[0], -1, self.config.attention_dim))

    def _split_heads(self, vectors: Tensor) -> Tensor:
        """Split float32 [B, N, A] into [B, heads, N, A / heads]."""
        heads = self.config.attention_heads
        split = ops.reshape(vectors, (ops.shape(vectors)[0], -1, heads, self.config.attention_dim // heads))
        return ops.transpose(split, (0, 2, 1, 3))

    def _attended_logits(self, hidden: Tensor, context: Tensor, training: bool) -> Tensor:
        mixed = self.output_projection(ops.concatenate([hidden, context], axis=-1))
        mixed = self.output_dropout(mixed, training=training)
        if self.config.tied_words:
            return ops.matmul(mixed, ops.transpose(self.words.embeddings)) + self.output_bias
        return ops.matmul(mixed, self.output_words) + self.output_bias
