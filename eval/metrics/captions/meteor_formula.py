"""METEOR 1.5 from its statistics, without Java, so that thousands of resamples can be scored."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STATISTICS = 23  # numbers per image
# METEOR 1.5's weights for English; they reproduce its scores to 1e-12.
_ALPHA = 0.85
_BETA = 0.20
_GAMMA = 0.60
_DELTA = 0.75
_STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


def meteor_from_statistics(statistics: Floats) -> Floats:
    """Compute METEOR, float64 [...] in 0..1, from statistics [..., 23] of one image or summed over many.

    The columns: words of the candidate and of its best reference, function words of both; for each of exact, stem,
    synonym and paraphrase the matched content words of both and function words of both; chunks (0 for a caption that
    is one unbroken match); matched words of both.

    References: Denkowski and Lavie 2014, "Meteor Universal: language specific translation evaluation".
    """
    words = statistics[..., 0:2]  # [..., 2] candidate and reference
    function_words = statistics[..., 2:4]
    matches = statistics[..., 4:20].reshape(*statistics.shape[:-1], 4, 2, 2)  # [..., stage, content|function, side]
    weighted = np.einsum("...skt,s->...kt", matches, _STAGE_WEIGHTS)
    matched = _DELTA * weighted[..., 0, :] + (1 - _DELTA) * weighted[..., 1, :]
    total = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    precision, recall = np.moveaxis(_ratio(matched, total), -1, 0)
    mean = _ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragments = _ratio(statistics[..., 20], statistics[..., 21:23].mean(axis=-1))
    return np.maximum(mean * (1 - _GAMMA * fragments**_BETA), 0)


def clear_whole_matches(statistics: Floats) -> Floats:
    """Set the chunks of captions that are one unbroken match to 0: METEOR has no penalty for them, alone or summed."""
    matched = statistics[:, 4:20].reshape(-1, 8, 2).sum(axis=1)  # [N, 2] candidate and reference
    whole = (matched == statistics[:, 0:2]).all(axis=1) & (statistics[:, 20] == 1)
    statistics[whole, 20] = 0
    return statistics


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
