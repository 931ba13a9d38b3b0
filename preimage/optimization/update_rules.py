"""Update rules: from a gradient to the next parameters. Each number is updated on its own."""

from typing import Any

from keras import ops

Tensor = Any
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Kingma & Ba 2014


def momentum(x: Tensor, slope: Tensor, memory: Tensor, rate: Any, step: Any, keep: float) -> tuple[Tensor, Tensor]:
    """V <- keep v - rate g; x <- x + v. `memory` is [1, ...]: v."""
    velocity = keep * memory[0] - rate * slope
    return x + velocity, velocity[None]


def adagrad_momentum(
    x: Tensor, slope: Tensor, memory: Tensor, rate: Any, step: Any, keep: float
) -> tuple[Tensor, Tensor]:
    """G <- keep G + g^2; v <- keep v - g / (1 / rate + sqrt(G)); x <- x + v. `memory` is [2, ...]: v, G."""
    gathered = keep * memory[1] + ops.square(slope)
    velocity = keep * memory[0] - slope / (1.0 / rate + ops.sqrt(gathered))
    return x + velocity, ops.stack([velocity, gathered])


def adam(x: Tensor, slope: Tensor, memory: Tensor, rate: Any, step: Any, keep: float) -> tuple[Tensor, Tensor]:
    """Adam with the usual correction of its first steps, counted from 1; `memory` is [2, ...]: both moments."""
    first = _BETAS[0] * memory[0] + (1 - _BETAS[0]) * slope
    second = _BETAS[1] * memory[1] + (1 - _BETAS[1]) * ops.square(slope)
    mean, spread = first / (1 - _BETAS[0] ** step), second / (1 - _BETAS[1] ** step)
    return x - rate * mean / (ops.sqrt(spread) + _EPSILON), ops.stack([first, second])


RULES = {"momentum": (momentum, 1), "adagrad_momentum": (adagrad_momentum, 2), "adam": (adam, 2)}  # and its memories
