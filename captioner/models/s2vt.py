"""The generator of caption-guided saliency: one LSTM reads the descriptors one by one, then writes."""

from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.base import Generator, Memory, State, dense
from captioner.models.cells import LstmCell
from vislang.text.vocabulary import START

Tensor = Any


class SequenceToSequence(Generator):
    """S2VT with one layer: the same cell reads N descriptors and writes T words, and no attention joins the two.

        f_i = W_e v_i + b_e
        reading, i = 1..N: h_i = LSTM([f_i ; 0])
        writing, t = 1..T: h_t = LSTM([0 ; e_(t-1)]),  e_0 = 0,  y_t = softmax(W_p h_t + b_p)

    With `reading_order` "snake" the descriptors are those of a square grid, row by row, and odd rows are read from
    right to left, so that neighbours in time are neighbours in the image.

    References: Venugopalan et al. 2015, arXiv:1505.00487; Ramanishka et al. 2017, arXiv:1612.07360.
    """

    def __init__(self, config: CaptionerConfig, num_words: int, num_features: int):
        super().__init__(config, num_words, num_features)
        units = config.hidden_dim
        self.from_image = dense(units, num_features)
        # The matrix of the cell's input [f ; e] in two parts, as the other half of the input is always zero.
        self.image_gates = dense(4 * units, units, use_bias=False)
        self.word_gates = dense(4 * units, config.word_dim, use_bias=False)
        self.gate_bias = self.add_weight(shape=(4 * units,), initializer=_forget_bias_of_one, name="gate_bias")
        self.cell = LstmCell(units)
        self.reading = keras.layers.RNN(self.cell, return_state=True)
        self.writing = keras.layers.RNN(self.cell, return_sequences=True)
        self.output_words = self.add_weight(shape=(units, num_words), initializer="glorot_uniform", name="output_words")
        for layer in (self.reading, self.writing):
            layer.build((None, None, 4 * units))
        self.built = True

    def encode(self, descriptors: Tensor, mask: Tensor, training: bool = False) -> Memory:
        """Read all descriptors; "hidden" and "cell" are the state after the last, float32 [B, U] each."""
        if self.config.block_side > 1:
            descriptors, mask = block_means(descriptors, mask, self.config.block_side)
        if self.config.reading_order == "snake":
            order = snake_order(descriptors.shape[1] or ops.shape(descriptors)[1])
            descriptors = ops.take(descriptors, order, axis=1)
            mask = ops.take(mask, order, axis=1)
        features = self.from_image(self.scaling.each(descriptors))  # [B, N, U]
        features = self.image_dropout(features, training=training)
        gates = self.image_gates(features) + self.gate_bias
        if training and gates.shape[1] is not None:
            hidden, cell = self._read_unrolled(gates, mask)
        else:
            _, hidden, cell = self.reading(gates, mask=mask)
        return {"hidden": hidden, "cell": cell}

    def _read_unrolled(self, gates: Tensor, mask: Tensor) -> State:
        """Compute what `reading` does, unrolled in the graph: small batches train more than twice as fast."""
        zeros = ops.zeros_like(gates[:, 0, : self.config.hidden_dim])
        state = [zeros, zeros]
        for step in range(gates.shape[1]):
            _, after = self.cell(gates[:, step], state)
            state = [ops.where(mask[:, step, None], new, old) for new, old in zip(after, state, strict=True)]
        return state

    def initial_state(self, memory: Memory) -> State:
        """Return the state after reading."""
        return [memory["hidden"], memory["cell"]]

    def logits(self, memory: Memory, words: Tensor, training: bool = False) -> Tensor:
        """Return float32 [B, T, V] logits; all arguments as in `Generator.logits`."""
        inputs = self.word_gates(self.word_dropout(self._vectors(words), training=training)) + self.gate_bias
        return self._word_logits(self.writing(inputs, initial_state=self.initial_state(memory)), training)

    def next_logits(self, memory: Memory, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Read one word of each hypothesis; all arguments as in `Generator.next_logits`."""
        hidden, state = self.cell(self.word_gates(self._vectors(words)) + self.gate_bias, state)
        return self._word_logits(hidden, False), state

    def _vectors(self, words: Tensor) -> Tensor:
        """Look up word vectors, float32 [..., E]; the start mark is zeros."""
        return ops.where(ops.equal(words, START)[..., None], 0.0, self.words(words))


def block_means(descriptors: Tensor, mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Average-pool a square grid, so that fewer steps are read.

    Args:
        descriptors: float32 [B, N, F], a grid row by row; returned as they are where N is no square number.
        mask: bool [B, N], True for real descriptors.
        side: of a block in cells; the last blocks of a row or a column may be smaller.

    Returns:
        float32 [B, N', F], means over the real descriptors of a block, and bool [B, N'], True where there are any.
    """
    count = descriptors.shape[1] or ops.shape(descriptors)[1]
    cells = ops.arange(count, dtype="int32")
    length = _grid_side(count)
    blocks_across = (length + side - 1) // side
    block_of_cell = (cells // length // side) * blocks_across + cells % length // side
    block_of_cell = ops.where(length * length == count, block_of_cell, cells)
    if isinstance(count, int):  # a known number of blocks lets training unroll the reading
        known_side = round(count**0.5)
        num_blocks = (-(-known_side // side)) ** 2 if known_side * known_side == count else count
    else:
        num_blocks = ops.max(block_of_cell) + 1
    blocks = ops.arange(num_blocks, dtype="int32")
    belongs = ops.cast(blocks[:, None] == block_of_cell[None], "float32")  # [N', N]
    belongs = belongs * ops.cast(mask, "float32")[:, None]  # [B, N', N]
    sizes = ops.sum(belongs, axis=-1, keepdims=True)
    return ops.matmul(belongs / ops.maximum(sizes, 1.0), descriptors), sizes[..., 0] > 0


def snake_order(count: Tensor | int) -> Tensor:
    """Return int32 [count], the order in which the cells of a square grid are read: odd rows from right to left.

    Where `count` is no square number the order is 0, 1, 2, ...
    """
    cells = ops.arange(count, dtype="int32")
    side = _grid_side(count)
    row = cells // side
    column = cells % side
    reversed_rows = ops.where(row % 2 == 1, row * side + side - 1 - column, cells)
    return ops.where(side * side == count, reversed_rows, cells)


def _grid_side(count: Tensor | int) -> Tensor:
    """Return the rounded square root of a number of cells, an int32 scalar."""
    return ops.cast(ops.round(ops.sqrt(ops.cast(count, "float32"))), "int32")


def _forget_bias_of_one(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """Initialise the bias of gates [i|f|o|g], float32 [4U], to 0 and for f to 1 (Jozefowicz et al. 2015)."""
    bias = np.zeros(shape, np.float32)
    bias[shape[0] // 4 : shape[0] // 2] = 1.0
    return ops.convert_to_tensor(bias, dtype)
