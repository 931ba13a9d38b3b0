"""The optimizer of the original ranker's code."""

from typing import Any

import keras
from keras import ops


class KirosAdam(keras.optimizers.Adam):
    """Adam with the original code's bias corrections, 0.1^t and 0.001^t in place of 0.9^t and 0.999^t.

    For a constant gradient its step is 3.5 times the learning rate at first, 6.6 times at step 12, and once after some
    thousand. Epsilon (1e-8) is added outside the square root.

    References: code of Kiros et al. 2014, arXiv:1411.2539.
    """

    def __init__(self, learning_rate: float = 2e-4, epsilon: float = 1e-8, **options: Any):
        super().__init__(learning_rate=learning_rate, epsilon=epsilon, **options)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        first = ops.power(ops.cast(1.0 - self.beta_1, variable.dtype), step)
        second = ops.power(ops.cast(1.0 - self.beta_2, variable.dtype), step)
        correction = ops.sqrt(1.0 - second) / (1.0 - first)
        index = self._get_variable_index(variable)
        mean = self._momentums[index]
        square = self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1.0 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1.0 - self.beta_2))
        self.assign_sub(variable, rate * correction * mean / (ops.sqrt(square) + self.epsilon))
