"""Random numbers: Keras and its backend for weights and dropout, named NumPy generators for data."""

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
    """Return the generator of one purpose, such as (seed, "batches", epoch); different names give independent ones."""
    digest = hashlib.sha256(repr((seed, *name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
