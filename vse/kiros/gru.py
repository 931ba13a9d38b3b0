"""The gated recurrent unit of the original ranker, equation by equation."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="vislang")  # Bidirectional copies its layers through their configs
class OriginalGRUCell(keras.layers.Layer):
    """One step of the original's GRU.

        [r|u] = sigmoid(e W + b + h U)          r: reset gate, u: update gate
        c     = tanh(e Wx + bx + r * (h Ux))    the reset gate acts after the recurrent product
        h'    = u * h + (1 - u) * c

    Weights keep the original's names, shapes and halves, so that its released files load without reordering:
    W [E, 2D], U [D, 2D], b [2D], Wx [E, D], Ux [D, D], bx [D].

    Args:
        units: D, the width of the state.

    References: Kiros et al. 2014, arXiv:1411.2539 (code of 2017); Cho et al. 2014, arXiv:1406.1078.
    """

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "units": self.units}

    def build(self, input_shape: tuple) -> None:
        """Create the weights: uniform +-0.1 from words, orthogonal blocks between states, zero biases."""
        width = input_shape[-1]
        units = self.units
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        self.W = self.add_weight(shape=(width, 2 * units), initializer=uniform, name="W")
        self.b = self.add_weight(shape=(2 * units,), initializer="zeros", name="b")
        self.U = self.add_weight(shape=(units, 2 * units), initializer=_orthogonal_blocks, name="U")
        self.Wx = self.add_weight(shape=(width, units), initializer=uniform, name="Wx")
        self.bx = self.add_weight(shape=(units,), initializer="zeros", name="bx")
        self.Ux = self.add_weight(shape=(units, units), initializer=_orthogonal_blocks, name="Ux")

    def call(self, words: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Step from states[0], float32 [B, D], over one word vector a row, float32 [B, E]."""
        state = states[0]
        gates = ops.sigmoid(ops.matmul(words, self.W) + self.b + ops.matmul(state, self.U))  # [B, 2D]
        reset = gates[:, : self.units]
        keep = gates[:, self.units :]
        candidate = ops.tanh(ops.matmul(words, self.Wx) + self.bx + reset * ops.matmul(state, self.Ux))
        state = keep * state + (1.0 - keep) * candidate
        return state, [state]


def _orthogonal_blocks(shape: tuple[int, int], dtype: Any = None) -> Tensor:
    """Return square orthogonal blocks side by side, as the original initializes U and Ux."""
    rows, columns = shape
    blocks = [keras.initializers.Orthogonal()((rows, rows), dtype=dtype) for _ in range(columns // rows)]
    return ops.concatenate(blocks, axis=1)
