"""The generator of caption-guided saliency: one LSTM reads the descriptors one by one, then writes."""

from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State
from captioner.models.cells import LstmCell
from vislang.text.vocabulary import START

Tensor = Any


class SequenceToSequence(Generator):
    """S2VT with one layer: the same cell reads N descriptors and writes T words, and no attention joins the two.

        f_i = W_e v_i + b_e
        reading, i = 1..N: h_i = LSTM([f_i ; 0])
        writing, t = 1..T: h_t = LSTM([0 ; e_(t-1)]),  e_0 = 0,  y_t = softmax(W_p h_t + b_p)

    With `reading_order` "snake" the descriptors are those of a square grid, row by row, and odd rows are read from
    right to left, so that neighbours in time are neighbours in the picture.

    References: Venugopalan et al. 2015, arXiv:1505.00487; Ramanishka et al. 2017, arXiv:1612.07360.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int, **options: Any):
        super().__init__(config, num_words, num_features, **options)
        units = config.hidden_dim
        self.from_image = keras.layers.Dense(units, kernel_initializer="glorot_uniform")
        # One matrix for the input [f ; e] of the cell, in two parts: the other half is always zero.
        self.image_gates, self.word_gates = (keras.layers.Dense(4 * units, use_bias=False) for _ in range(2))
        self.gate_bias = self.add_weight(shape=(4 * units,), initializer=_forget_first, name="gate_bias")
        self.cell = LstmCell(units)
        self.reading = keras.layers.RNN(self.cell, return_state=True)
        self.writing = keras.layers.RNN(self.cell, return_sequences=True)
        self.output_words = self.add_weight(shape=(units, num_words), initializer="glorot_uniform", name="output_words")
        self.from_image.build((None, num_features))
        self.image_gates.build((None, units))
        self.word_gates.build((None, config.word_dim))
        for layer in (self.reading, self.writing):
            layer.build((None, None, 4 * units))
        self.built = True

    def look(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """See `Generator.look`: reads all descriptors."""
        if self.config.block_side > 1:
            descriptors, mask = block_means(descriptors, mask, self.config.block_side)
        if self.config.reading_order == "snake":
            order = snake(descriptors.shape[1] or ops.shape(descriptors)[1])
            descriptors, mask = (ops.take(one, order, axis=1) for one in (descriptors, mask))
        read = self.from_image(self.image.each(descriptors))  # [B, N, U]
        read = self.image_dropout(read, training=training)
        gates = self.image_gates(read) + self.gate_bias
        if training and gates.shape[1] is not None:
            hidden, cell = self._read_unrolled(gates, mask)
        else:
            _, hidden, cell = self.reading(gates, mask=mask)
        return {"hidden": hidden, "cell": cell}  # [B, U] each

    def _read_unrolled(self, gates: Tensor, mask: Tensor) -> State:
        """Do what `reading` does, step by step in the graph: small batches train more than twice as fast."""
        state = [ops.zeros_like(gates[:, 0, : self.config.hidden_dim])] * 2
        for step in range(gates.shape[1]):
            _, after = self.cell(gates[:, step], state)
            state = [ops.where(mask[:, step, None], new, old) for new, old in zip(after, state, strict=True)]
        return state

    def begin(self, memory: Memory) -> State:
        """See `Generator.begin`: the state after reading."""
        return [memory["hidden"], memory["cell"]]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """See `Generator.logits`."""
        inputs = self.word_gates(self.word_dropout(self._vectors(words), training=training)) + self.gate_bias
        return self._words_from(self.writing(inputs, initial_state=self.begin(memory)), training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """See `Generator.next_logits`."""
        hidden, state = self.cell(self.word_gates(self._vectors(words)) + self.gate_bias, state)
        return self._words_from(hidden, False), state

    def _vectors(self, words: Tensor) -> Tensor:
        """Look words up; the start mark is no word but zeros."""
        return ops.where(ops.equal(words, START)[..., None], 0.0, self.words(words))

    def _words_from(self, hidden: Tensor, training: bool) -> Tensor:
        return ops.matmul(self.output_dropout(hidden, training=training), self.output_words) + self.output_bias


def block_means(descriptors: Tensor, mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Give the means of the blocks of a square grid, row by row, for fewer steps of reading.

    Args:
        descriptors: float32 [B, N, F]; where N is no square number they are given as they are.
        mask: bool [B, N].
        side: of a block in cells; the last blocks of a row or a column may be smaller.

    Returns:
        float32 [B, N', F], means of what the mask lets through, and bool [B, N'].
    """
    count = descriptors.shape[1] or ops.shape(descriptors)[1]
    cells = ops.arange(count, dtype="int32")
    length = ops.cast(ops.round(ops.sqrt(ops.cast(count, "float32"))), "int32")
    across = (length + side - 1) // side
    blocks = (cells // length // side) * across + cells % length // side
    blocks = ops.where(length * length == count, blocks, cells)
    if isinstance(count, int):  # a known number of blocks lets training unroll the reading
        root = round(count**0.5)
        numbers = ops.arange((-(-root // side)) ** 2 if root * root == count else count, dtype="int32")
    else:
        numbers = ops.arange(ops.max(blocks) + 1, dtype="int32")
    belongs = ops.cast(numbers[:, None] == blocks[None], "float32") * ops.cast(mask, "float32")[:, None]  # [B, N', N]
    sizes = ops.sum(belongs, axis=-1, keepdims=True)
    return ops.matmul(belongs / ops.maximum(sizes, 1.0), descriptors), sizes[..., 0] > 0


def snake(count: Tensor | int) -> Tensor:
    """Give int32 [count], the order in which the cells of a square grid are read: odd rows from right to left.

    Cells that make no square are read as they come.
    """
    cells = ops.arange(count, dtype="int32")
    side = ops.cast(ops.round(ops.sqrt(ops.cast(count, "float32"))), "int32")
    row, column = cells // side, cells % side
    turned = ops.where(row % 2 == 1, row * side + side - 1 - column, cells)
    return ops.where(side * side == count, turned, cells)


def _forget_first(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """Start the bias of gates [i|f|o|g] at 0, and at 1 for f: what is read is not forgotten from the start."""
    bias = np.zeros(shape, np.float32)
    bias[shape[0] // 4 : shape[0] // 2] = 1.0
    return ops.convert_to_tensor(bias, dtype)
