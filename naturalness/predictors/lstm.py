"""Four predictors that scan a feature map down, up, to the right and to the left, and foretell each next cell.

    y^_(t+1) = Linear(LSTM_2(LSTM_1(x_1 .. x_t)))

Every row (or column) is a sequence of its own; those of one direction share their weights, directions share none. All
four run in one graph: a square map as one scan of four stacked directions, any other as two scans of two.

Letters: B pictures, H x W cells, K components, U units, D directions, T steps, S sequences.

References: Kato and Harada 2015, arXiv:1511.02872.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any
DIRECTIONS = ("down", "up", "right", "left")


class DirectionalPredictors(keras.layers.Layer):
    """The predictors of one tap.

    Args:
        width: K.
        units: U of each LSTM.
        depth: how many LSTMs stand on one another.
        deviation: of the normal that weights start from; biases start at 0.
    """

    def __init__(self, width: int, units: int, *, depth: int = 2, deviation: float = 0.01, name: str | None = None):
        super().__init__(name=name)
        self.width = width
        self.units = units
        self.depth = depth
        normal = keras.initializers.RandomNormal(stddev=deviation)
        count = len(DIRECTIONS)

        def matrix(rows: int, columns: int, called: str) -> Tensor:
            return self.add_weight(shape=(count, rows, columns), initializer=normal, name=called)

        def bias(columns: int, called: str) -> Tensor:
            return self.add_weight(shape=(count, 1, columns), initializer="zeros", name=called)

        self.inputs = [matrix(width if level == 0 else units, 4 * units, f"inputs_{level}") for level in range(depth)]
        self.recurrent = [matrix(units, 4 * units, f"recurrent_{level}") for level in range(depth)]
        self.biases = [bias(4 * units, f"bias_{level}") for level in range(depth)]
        self.output_kernel = matrix(units, width, "output")
        self.output_bias = bias(width, "output_bias")
        self.built = True

    def call(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Foretell cells.

        Args:
            maps: float32 [B, H, W, K], at least 2 x 2 cells.

        Returns:
            for each of DIRECTIONS, the predictions where they belong: down of rows 1.., up of rows ..H-2, both
            [B, H-1, W, K]; right of columns 1.., left of columns ..W-2, both [B, H, W-1, K].
        """
        sequences = [as_sequences(maps, direction) for direction in DIRECTIONS]
        square = maps.shape[1] is not None and maps.shape[1] == maps.shape[2]
        groups: Sequence[slice] = [slice(0, 4)] if square else [slice(0, 2), slice(2, 4)]
        foretold = []
        for group in groups:
            stacked = ops.stack(sequences[group])  # [D, T, S, K]
            foretold += list(ops.unstack(self._foretell(stacked[:, :-1], group), num=group.stop - group.start))
        shape = ops.shape(maps)
        return tuple(as_maps(one, direction, shape) for one, direction in zip(foretold, DIRECTIONS, strict=True))

    def _foretell(self, x: Tensor, group: slice) -> Tensor:
        for kernel, recurrent, bias in zip(self.inputs, self.recurrent, self.biases, strict=True):
            x = _scan(ops.matmul(x, kernel[group, None]) + bias[group, None], recurrent[group])
        return ops.matmul(x, self.output_kernel[group, None]) + self.output_bias[group, None]


def as_sequences(maps: Tensor, direction: str) -> Tensor:
    """Give maps [B, H, W, K] as sequences [T, S, K] in the order of a scan."""
    steps = ops.transpose(maps, (1, 0, 2, 3) if direction in ("down", "up") else (2, 0, 1, 3))  # [T, B, other side, K]
    steps = ops.reshape(steps, (ops.shape(steps)[0], -1, maps.shape[-1]))
    if direction in ("up", "left"):
        return ops.flip(steps, axis=0)
    return steps


def as_maps(sequences: Tensor, direction: str, shape: Sequence[Any]) -> Tensor:
    """Give sequences [T, S, K] as maps in the order of the picture; the inverse of `as_sequences`.

    Args:
        sequences: of all steps, or of all but the first.
        direction: of the scan.
        shape: (B, H, W, K) of the maps that `as_sequences` took.
    """
    if direction in ("up", "left"):
        sequences = ops.flip(sequences, axis=0)
    vertical = direction in ("down", "up")
    other = shape[2] if vertical else shape[1]
    steps = ops.reshape(sequences, (ops.shape(sequences)[0], shape[0], other, sequences.shape[-1]))
    return ops.transpose(steps, (1, 0, 2, 3) if vertical else (1, 2, 0, 3))


def _scan(inputs: Tensor, recurrent: Tensor) -> Tensor:
    """Run LSTMs over [D, T, S, 4U], gates i, f, o, g, and give their states [D, T, S, U]."""
    steps = ops.transpose(inputs, (1, 0, 2, 3))  # [T, D, S, 4U]
    zeros = ops.zeros_like(steps[0, :, :, : recurrent.shape[1]])

    def step(state: tuple[Tensor, Tensor], arriving: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        hidden, cell = state
        gates, candidate = ops.split(arriving + ops.matmul(hidden, recurrent), [3 * recurrent.shape[1]], axis=-1)
        entering, kept, leaving = ops.split(ops.sigmoid(gates), 3, axis=-1)
        cell = kept * cell + entering * ops.tanh(candidate)
        hidden = leaving * ops.tanh(cell)
        return (hidden, cell), (hidden, cell)  # Keras' scan on TensorFlow gives as many outputs as there are states

    _, (states, _) = ops.scan(step, (zeros, zeros), steps)
    return ops.transpose(states, (1, 0, 2, 3))
