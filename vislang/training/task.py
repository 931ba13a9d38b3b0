"""What `model.fit` trains: the base of all tasks."""

from typing import Any

import keras

from vislang.training.devices import divided


class Task(keras.Model):
    """A model around the network that a training is about.

    Attributes:
        updates: how many updates have begun, an int32 variable, where `call` counts them by `count_update`. On JAX
            neither a forward pass nor a loss sees the optimizer's own count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.updates = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="updates")

    def count_update(self) -> None:
        """Note that another update has begun."""
        self.updates.assign(self.updates + 1)

    def train_step(self, *state_and_batch: Any) -> Any:
        """Make one update, with the batch divided among the devices in use.

        Args:
            *state_and_batch: on JAX the state of the training, and the batch; on TensorFlow the batch alone.
        """
        *state, batch = state_and_batch
        return super().train_step(*state, divided(batch))
