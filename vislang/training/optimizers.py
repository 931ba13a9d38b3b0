"""Optimizers: one description of algorithm, learning rate schedule and gradient clipping."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import keras
from keras.optimizers import schedules

Optimizers = Mapping[str, Callable[..., keras.optimizers.Optimizer]]

OPTIMIZERS: Optimizers = {
    "adam": keras.optimizers.Adam,
    # The solver of neuraltalk: cache = 0.999 cache + 0.001 g^2, step = rate g / sqrt(cache + 1e-8).
    "rmsprop": partial(keras.optimizers.RMSprop, rho=0.999, epsilon=1e-8),
    "sgd": keras.optimizers.SGD,
}
_LAST_SHARE = 0.01  # of the learning rate at the end of "cosine"


@dataclass(frozen=True)
class OptimizerConfig:
    """How a training updates the weights.

    Attributes:
        optimizer: name of the algorithm, such as a key of `OPTIMIZERS`.
        learning_rate: the highest learning rate.
        schedule: "constant"; "cosine", a linear warm-up followed by a cosine; or "step", which multiplies the rate by
            0.1 after each of `drops`.
        warmup_steps: of "cosine"; at most a tenth of all steps.
        drops: of "step": numbers of steps, ascending.
        clip_norm: largest global norm of the gradient; 0: not clipped.
        clip_value: largest absolute value of each element of the gradient; 0: not clipped.
        momentum: of "sgd".
        weight_decay: share of every weight that is subtracted at each step, times the learning rate.
    """

    optimizer: str
    learning_rate: float
    schedule: str = "constant"
    warmup_steps: int = 200
    drops: tuple[int, ...] = ()
    clip_norm: float = 0.0
    clip_value: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0

    @classmethod
    def of(cls, config: Any, **changes: Any) -> "OptimizerConfig":
        """Return the settings of the optimizer among those of a training.

        Args:
            config: has fields of the same names.
            **changes: fields that it lacks, or that differ.
        """
        values = {}
        for field in fields(cls):
            if hasattr(config, field.name):
                values[field.name] = getattr(config, field.name)
        return cls(**{**values, **changes})


def make_optimizer(
    config: OptimizerConfig, steps: int, optimizers: Optimizers = OPTIMIZERS
) -> keras.optimizers.Optimizer:
    """Build an optimizer.

    Args:
        steps: updates of the whole training, over which the schedule extends.
        optimizers: the algorithms that `config.optimizer` chooses from.
    """
    options: dict[str, Any] = {"learning_rate": learning_rate(config, steps)}
    if config.clip_norm:
        options["global_clipnorm"] = config.clip_norm
    if config.clip_value:
        options["clipvalue"] = config.clip_value
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
    if config.weight_decay:
        options["weight_decay"] = config.weight_decay
    return optimizers[config.optimizer](**options)


def learning_rate(config: OptimizerConfig, steps: int) -> float | schedules.LearningRateSchedule:
    """Return the learning rate, as Keras' optimizers take it: a number or a function of the step.

    Args:
        config: the schedule and its settings.
        steps: updates of the whole training.
    """
    rate = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(config.warmup_steps, steps // 10)
        return schedules.CosineDecay(
            0.0,
            max(1, steps - warmup),
            alpha=_LAST_SHARE,
            warmup_target=rate,
            warmup_steps=warmup,
        )
    if config.schedule == "step" and config.drops:
        rates = [rate * 0.1**count for count in range(len(config.drops) + 1)]
        return schedules.PiecewiseConstantDecay(list(config.drops), rates)
    return rate


def compile_task(
    task: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Any, metrics: Sequence[keras.metrics.Metric] = ()
) -> None:
    """Compile a model for training with all state of its optimizer made, so that an earlier run can be resumed.

    Args:
        task: the model that trains; its weights exist.
        optimizer: not yet built.
        loss: as `keras.Model.compile` takes it.
        metrics: of which the history shows the means over an epoch.
    """
    optimizer.build(task.trainable_variables)
    task.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    task.built = True
