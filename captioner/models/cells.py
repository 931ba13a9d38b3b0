"""Recurrent cells over inputs that are already projected: one large product for all steps, a small one for each."""

from typing import Any

import keras
from keras import ops

Tensor = Any


def uniform() -> keras.initializers.Initializer:
    """Give the original's start for a matrix; each needs its own, or equal shapes get equal numbers."""
    return keras.initializers.RandomUniform(-0.1, 0.1)


class ReluCell(keras.layers.Layer):
    """One step of the paper's RNN: h' = max(0, x + h W + b) for a projected input x, float32 [B, H].

    Args:
        units: H.
        bias: whether there is a b of its own.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.2.
    """

    def __init__(self, units: int, *, bias: bool = False, **options: Any):
        super().__init__(**options)
        self.units = self.output_size = units
        self.state_size = [units]
        self.bias = bias

    def build(self, input_shape: tuple) -> None:
        """Make the weights W [H, H] and, where there is one, b [H]."""
        self.W = self.add_weight(shape=(self.units, self.units), initializer=uniform(), name="W")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b") if self.bias else None

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Step from states[0], float32 [B, H]."""
        total = inputs + ops.matmul(states[0], self.W)
        state = ops.relu(total if self.b is None else total + self.b)
        return state, [state]


class LstmCell(keras.layers.Layer):
    """One step of an LSTM, for a projected input x, float32 [B, 4H].

        [i|f|o|g] = x + h W,  c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')

    Args:
        units: H.
        output_tanh: False leaves the last tanh out, h' = sigmoid(o) c', as the original's code does by default.
    """

    def __init__(self, units: int, *, output_tanh: bool = True, **options: Any):
        super().__init__(**options)
        self.units = self.output_size = units
        self.state_size = [units, units]
        self.output_tanh = output_tanh

    def build(self, input_shape: tuple) -> None:
        """Make the weight W [H, 4H]."""
        self.W = self.add_weight(shape=(self.units, 4 * self.units), initializer="glorot_uniform", name="W")

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Step from states [h, c], float32 [B, H] each."""
        hidden, cell = states
        gates = inputs + ops.matmul(hidden, self.W)
        opened = ops.sigmoid(gates[:, : 3 * self.units])
        taken, kept, shown = (opened[:, number * self.units : (number + 1) * self.units] for number in range(3))
        cell = kept * cell + taken * ops.tanh(gates[:, 3 * self.units :])
        hidden = shown * (ops.tanh(cell) if self.output_tanh else cell)
        return hidden, [hidden, cell]


def zero_state(cell: ReluCell | LstmCell, like: Tensor) -> list[Tensor]:
    """Give the states before the first step, float32 [B, H] each, for as many rows as `like` has."""
    return [ops.zeros((ops.shape(like)[0], width), dtype=like.dtype) for width in cell.state_size]
