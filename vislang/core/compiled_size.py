"""Sizes of arrays that differ from batch to batch."""

import math
import sys


def compiled_size(size: int, step: int) -> int:
    """Return a size of arrays that differs from batch to batch, on JAX rounded up to a multiple of `step`.

    JAX compiles anew for every size, TensorFlow once for all. Keras is not imported to ask for its backend: exported
    networks do without it.
    """
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() == "jax":
        return math.ceil(size / step) * step
    return size
