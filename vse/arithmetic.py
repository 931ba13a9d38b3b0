"""Arithmetic with embeddings of images and words, such as a blue car, less "blue", plus "red"."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vse.inference import TrainedRanker


def arithmetic_query(model: "TrainedRanker", image: np.ndarray, negative: str, positive: str) -> np.ndarray:
    """Compute image - negative + positive, float32 [D] of length 1.

    Args:
        image: float32 [D], an encoded image.
        negative: the word to subtract.
        positive: the word to add.
    """
    subtracted, added = model.encode_sentences([negative, positive])
    query = image - subtracted + added
    return query / max(float(np.linalg.norm(query)), 1e-12)


def order_by_mean(vectors: np.ndarray) -> np.ndarray:
    """Return the order of vectors float32 [K, D] by their similarity to their mean, the most similar first: int [K]."""
    return np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
