"""Recurrent cells whose inputs are projected beforehand: one large product for all steps, a small one for each."""

from typing import Any

import keras
from keras import ops

Tensor = Any


def uniform() -> keras.initializers.Initializer:
    """Return the original's initializer of a matrix; a shared one would give equal shapes equal values."""
    return keras.initializers.RandomUniform(-0.1, 0.1)


class ReluCell(keras.layers.Layer):
    """One step of a ReLU RNN, h' = max(0, x + h W + b), for a projected input x, float32 [B, U].

    Args:
        bias: whether there is a b of its own.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.2.
    """

    def __init__(self, units: int, *, bias: bool = False):
        super().__init__()
        self.units = units
        self.output_size = units
        self.state_size = [units]
        self.bias = bias

    def build(self, input_shape: tuple) -> None:
        """Create W [U, U] and, with `bias`, b [U]."""
        self.W = self.add_weight(shape=(self.units, self.units), initializer=uniform(), name="W")
        self.b = None
        if self.bias:
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Compute h', float32 [B, U], from inputs x and states [h], each float32 [B, U]."""
        total = inputs + ops.matmul(states[0], self.W)
        if self.b is not None:
            total = total + self.b
        hidden = ops.relu(total)
        return hidden, [hidden]


class LstmCell(keras.layers.Layer):
    """One step of an LSTM for a projected input x, float32 [B, 4U].

        [i|f|o|g] = x + h W,  c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')

    Args:
        output_tanh: False omits the last tanh, h' = sigmoid(o) c', the default of the original's code.
    """

    def __init__(self, units: int, *, output_tanh: bool = True):
        super().__init__()
        self.units = units
        self.output_size = units
        self.state_size = [units, units]
        self.output_tanh = output_tanh

    def build(self, input_shape: tuple) -> None:
        """Create W [U, 4U]."""
        self.W = self.add_weight(shape=(self.units, 4 * self.units), initializer="glorot_uniform", name="W")

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Compute h' and [h', c'], float32 [B, U] each, from inputs x and states [h, c]."""
        hidden, cell = states
        gates = inputs + ops.matmul(hidden, self.W)
        gates, g = ops.split(gates, [3 * self.units], axis=-1)
        i, f, o = ops.split(ops.sigmoid(gates), 3, axis=-1)  # one call for three gates is faster
        g = ops.tanh(g)
        cell = f * cell + i * g
        hidden = o * ops.tanh(cell) if self.output_tanh else o * cell
        return hidden, [hidden, cell]


def zero_state(cell: ReluCell | LstmCell, like: Tensor) -> list[Tensor]:
    """Return the states before the first step, zeros [B, U] each, for as many rows as `like` [B, ...] has."""
    return [ops.zeros((ops.shape(like)[0], width), dtype=like.dtype) for width in cell.state_size]
