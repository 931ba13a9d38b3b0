"""The one place that seeds: Keras and its backend for weights and dropout, named NumPy streams for data."""

import hashlib

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and the Keras backend, and ask TensorFlow for deterministic kernels."""
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Give a generator of its own for one purpose, so that adding a purpose never shifts another.

    Args:
        seed: the run's seed.
        name: what it is for, such as ("batches", epoch); equal names give equal streams.
    """
    digest = hashlib.sha256(repr((seed, *name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
