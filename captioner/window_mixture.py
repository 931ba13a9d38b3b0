"""Captions written from windows of a picture, each word by one of them: what teaches a network where words come from.

A network that only ever sees whole pictures learns that grass goes with dogs, and takes any lawn for a reason to say
"dog". Here each word of a caption is explained by one of several windows, which one is not known:

    P(w_t | w_<t, picture) = 1/W sum_k q_k(w_t | w_<t),  q_k of a network that sees the mean of window k and no more

so that a window need not answer for what others show. The chance that window k was the one, q_k / sum_j q_j, is what
explanations draw. It is the expectation step of a mixture (Jacobs et al. 1991), and multiple-instance learning of words
(Fang et al. 2015, arXiv:1411.4952) inside a language model.

Letters: I images, N descriptors of F features, W windows, B captions of T words, V words.
"""

import math
from typing import Any

import keras
from keras import ops

from captioner.model import Captioner, shifted
from common.vocabulary import PAD

Tensor = Any


def window_means(descriptors: Tensor, count: int, seed: Any) -> Tensor:
    """Give the means over random windows of grids, float32 [I, W, F].

    Windows are rectangles of any size and place, all heights and all widths equally likely. Descriptors that make no
    square are taken as a row, such as the frames of a clip.

    Args:
        descriptors: float32 [I, N, F], N known.
        count: W.
        seed: a `keras.random.SeedGenerator`.
    """
    images, cells = ops.shape(descriptors)[0], descriptors.shape[1]
    side = math.isqrt(cells)
    rows = side if side * side == cells else 1
    down, across = (_random_runs((images, count, 1), length, seed) for length in (rows, cells // rows))
    windows = ops.logical_and(down[..., :, None], across[..., None, :])  # [I, W, rows, columns]
    weights = ops.cast(ops.reshape(windows, (-1, count, cells)), descriptors.dtype)
    return ops.matmul(weights / ops.sum(weights, axis=-1, keepdims=True), descriptors)


def window_losses(captioner: Captioner, means: Tensor, words: Tensor, owners: Tensor) -> Tensor:
    """Give the negative log-probability of each caption as a mixture over windows, float32 [B], with dropout.

    Args:
        captioner: the generators; their losses are added.
        means: float32 [I, W, F], each window's one descriptor.
        words: int32 [B, T], end mark included, padded with 0.
        owners: int32 [B], which image each caption is of.
    """
    count, steps = means.shape[1], ops.shape(words)[1]
    alone = ops.reshape(means, (-1, 1, means.shape[2]))  # [I * W, 1, F]
    windows = ops.reshape(owners[:, None] * count + ops.arange(count, dtype="int32"), (-1,))  # [B * W]
    repeated = ops.repeat(words, count, axis=0)
    given = {"descriptors": alone, "mask": ops.ones(ops.shape(alone)[:2], "bool"), "owners": windows}
    logits = captioner({**given, "words": shifted(repeated)}, training=True)  # [members, B * W, T, V]
    chosen = ops.take_along_axis(logits, ops.broadcast_to(repeated, ops.shape(logits)[:3])[..., None], axis=-1)
    log_probs = chosen[..., 0] - ops.logsumexp(logits, axis=-1)
    of_windows = ops.reshape(log_probs, (-1, ops.shape(words)[0], count, steps))
    mixed = ops.logsumexp(of_windows, axis=2) - math.log(count)  # [members, B, T]
    return -ops.sum(ops.where(ops.equal(words, PAD), 0.0, mixed), axis=(0, 2))


def _random_runs(shape: tuple, length: int, seed: Any) -> Tensor:
    """Give bool [..., length] for a shape [..., 1]: a run of True of any length from 1 on, all equally likely."""
    long, place = (keras.random.uniform(shape, seed=seed) for _ in range(2))
    long = 1.0 + ops.floor(long * length)
    start = ops.floor(place * (length - long + 1.0))
    at = ops.arange(length, dtype="float32")
    return ops.logical_and(at >= start, at < start + long)
