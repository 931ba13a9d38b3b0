"""Four predictors that scan a feature map down, up, to the right and to the left, and predict each next cell.

    y^_(t+1) = Linear(LSTM_2(LSTM_1(x_1 .. x_t)))

Every row (or column) is a sequence of its own; those of one direction share their weights, directions share none. All
four run in one graph: a square map as one scan of four stacked directions, any other as two scans of two.

Letters: B images, H x W cells, K components, U units, D directions, T steps, S sequences.

References: Kato and Harada 2015, arXiv:1511.02872.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any
DIRECTIONS = ("down", "up", "right", "left")


class DirectionalPredictors(keras.layers.Layer):
    """The predictors of one layer's maps.

    Args:
        units: U of each LSTM.
        depth: number of stacked LSTMs.
        std: of the normal distribution that initializes the weights; biases start at 0.
    """

    def __init__(self, width: int, units: int, *, depth: int = 2, std: float = 0.01, name: str | None = None):
        super().__init__(name=name)
        self.width = width
        self.units = units
        self.depth = depth
        self._normal = keras.initializers.RandomNormal(stddev=std)
        rows = [width] + [units] * (depth - 1)  # of each level's input
        self.inputs = [self._matrix(rows[level], 4 * units, f"inputs_{level}") for level in range(depth)]
        self.recurrent = [self._matrix(units, 4 * units, f"recurrent_{level}") for level in range(depth)]
        self.biases = [self._bias(4 * units, f"bias_{level}") for level in range(depth)]
        self.output_kernel = self._matrix(units, width, "output")
        self.output_bias = self._bias(width, "output_bias")
        self.built = True

    def _matrix(self, rows: int, columns: int, name: str) -> keras.Variable:
        return self.add_weight(shape=(len(DIRECTIONS), rows, columns), initializer=self._normal, name=name)

    def _bias(self, columns: int, name: str) -> keras.Variable:
        return self.add_weight(shape=(len(DIRECTIONS), 1, columns), initializer="zeros", name=name)

    def call(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Predict cells.

        Args:
            maps: float32 [B, H, W, K], at least 2 x 2 cells.

        Returns:
            for each of DIRECTIONS, the predictions at the places of their cells: down of rows 1.., up of rows ..H-2,
            both [B, H-1, W, K]; right of columns 1.., left of columns ..W-2, both [B, H, W-1, K].
        """
        sequences = [as_sequences(maps, direction) for direction in DIRECTIONS]
        groups = [slice(0, 2), slice(2, 4)]
        if maps.shape[1] is not None and maps.shape[1] == maps.shape[2]:
            groups = [slice(0, 4)]
        predictions: list[Tensor] = []
        for group in groups:
            stacked = ops.stack(sequences[group])  # [D, T, S, K]
            predictions += list(ops.unstack(self._predict(stacked[:, :-1], group), num=group.stop - group.start))
        shape = ops.shape(maps)
        return tuple(as_maps(one, direction, shape) for one, direction in zip(predictions, DIRECTIONS, strict=True))

    def _predict(self, x: Tensor, group: slice) -> Tensor:
        """Return the prediction after each step, [D, T, S, K], for the directions of a group."""
        for kernel, recurrent, bias in zip(self.inputs, self.recurrent, self.biases, strict=True):
            x = _scan(ops.matmul(x, kernel[group, None]) + bias[group, None], recurrent[group])
        return ops.matmul(x, self.output_kernel[group, None]) + self.output_bias[group, None]


def as_sequences(maps: Tensor, direction: str) -> Tensor:
    """Return maps [B, H, W, K] as sequences [T, S, K] in the order of a scan."""
    order = (2, 0, 1, 3)
    if direction in ("down", "up"):
        order = (1, 0, 2, 3)
    steps = ops.transpose(maps, order)  # [T, B, other side, K]
    steps = ops.reshape(steps, (ops.shape(steps)[0], -1, maps.shape[-1]))
    if direction in ("up", "left"):
        steps = ops.flip(steps, axis=0)
    return steps


def as_maps(sequences: Tensor, direction: str, shape: Sequence[Any]) -> Tensor:
    """Return sequences [T, S, K] as maps in the order of the image; the inverse of `as_sequences`.

    Args:
        sequences: of all steps, or of all but the first.
        direction: of the scan.
        shape: (B, H, W, K) of the maps that `as_sequences` took.
    """
    if direction in ("up", "left"):
        sequences = ops.flip(sequences, axis=0)
    other = shape[1]
    order = (1, 2, 0, 3)
    if direction in ("down", "up"):
        other = shape[2]
        order = (1, 0, 2, 3)
    steps = ops.reshape(sequences, (ops.shape(sequences)[0], shape[0], other, sequences.shape[-1]))
    return ops.transpose(steps, order)


def _scan(inputs: Tensor, recurrent: Tensor) -> Tensor:
    """Run LSTMs over [D, T, S, 4U], gates i, f, o, g, and return their states [D, T, S, U]."""
    steps = ops.transpose(inputs, (1, 0, 2, 3))  # [T, D, S, 4U]
    zeros = ops.zeros_like(steps[0, :, :, : recurrent.shape[1]])

    def step(state: tuple[Tensor, Tensor], x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        hidden, cell = state
        gates, candidate = ops.split(x + ops.matmul(hidden, recurrent), [3 * recurrent.shape[1]], axis=-1)
        input_gate, forget_gate, output_gate = ops.split(ops.sigmoid(gates), 3, axis=-1)
        cell = forget_gate * cell + input_gate * ops.tanh(candidate)
        hidden = output_gate * ops.tanh(cell)
        return (hidden, cell), (hidden, cell)  # on TensorFlow, Keras' scan has as many outputs as there are states

    _, (states, _) = ops.scan(step, (zeros, zeros), steps)
    return ops.transpose(states, (1, 0, 2, 3))
