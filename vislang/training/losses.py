"""Losses over all pairs of a batch, as functions of a score matrix, written with keras.ops.

In all of them `scores` is float32 [B, B] with scores[i, j] the similarity of image i and sentence j, matched pairs on
the diagonal, and `negatives` is bool [B, B], True where image i and sentence j do not belong together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

Tensor = Any
_EXCLUDED = -1e9  # far below any score, and finite, so that gradients stay finite
_MAX_LOG_SCALE = math.log(100.0)


def logit_scale(log_scale: Tensor) -> Tensor:
    """Return the factor of a softmax's logits, 1 / temperature, from its learned logarithm; at most 100.

    References: Radford et al. 2021 (CLIP), arXiv:2103.00020, section 2.5.
    """
    return ops.exp(ops.minimum(log_scale, _MAX_LOG_SCALE))


def hinge_costs(scores: Tensor, negatives: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Compute how far every wrong pair comes within the margin of the right one.

    Returns:
        float32 [B, B] twice, >= 0: the cost of scores[i, j] against the right image of sentence j, and against the
        right sentence of image i. 0 where `negatives` is False.
    """
    right = ops.diagonal(scores)  # [B]
    counted = ops.cast(negatives, scores.dtype)
    wrong_image = ops.relu(margin - right[None, :] + scores) * counted
    wrong_sentence = ops.relu(margin - right[:, None] + scores) * counted
    return wrong_image, wrong_sentence


def summed_hinge(scores: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """Compute the two-way hinge over all wrong pairs, summed over the batch and never averaged.

    Returns:
        float32 scalar >= 0; 2 B (B - 1) margin when all scores are equal and all off-diagonal pairs are wrong.

    References: Kiros et al. 2014, arXiv:1411.2539.
    """
    wrong_image, wrong_sentence = hinge_costs(scores, negatives, margin)
    return ops.sum(wrong_image) + ops.sum(wrong_sentence)


def hardest_hinge(scores: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """Compute the two-way hinge over the hardest wrong pair of each query, summed over the batch, float32 >= 0.

    References: Faghri et al. 2018 (VSE++), arXiv:1707.05612.
    """
    wrong_image, wrong_sentence = hinge_costs(scores, negatives, margin)
    return ops.sum(ops.max(wrong_image, axis=0)) + ops.sum(ops.max(wrong_sentence, axis=1))


def softmax_loss(scores: Tensor, negatives: Tensor) -> Tensor:
    """Compute the two-way cross entropy of the right partner among the batch, averaged over the pairs (InfoNCE).

    Args:
        scores: similarities already divided by the temperature.
        negatives: pairs that are neither right nor wrong (another sentence of the same image) are left out.

    Returns:
        float32 scalar >= 0; 2 log B when all scores are equal and all off-diagonal pairs are wrong.

    References: van den Oord et al. 2018, arXiv:1807.03748; both directions as in Zhang et al. 2020, arXiv:2010.00747.
    """
    diagonal = ops.eye(ops.shape(scores)[0], dtype="bool")
    kept = ops.where(ops.logical_or(negatives, diagonal), scores, _EXCLUDED)
    right = ops.diagonal(scores)
    of_images = ops.logsumexp(kept, axis=1) - right
    of_sentences = ops.logsumexp(kept, axis=0) - right
    return ops.mean(of_images) + ops.mean(of_sentences)


def pair_loss(config: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of scores and negatives that settings name: "softmax", or "summed_hinge" with their margin."""
    if config.loss == "softmax":
        return softmax_loss
    return lambda scores, negatives: summed_hinge(scores, negatives, config.margin)


def l2_penalty(weights: Sequence[Tensor], strength: float) -> Tensor:
    """Return `strength` times the sum of all squared weights, a float32 scalar.

    Args:
        weights: tensors of any shapes.
        strength: 0 or more.
    """
    squares = [ops.sum(ops.square(weight)) for weight in weights]
    return strength * ops.sum(ops.stack(squares))


def matrices(weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the weights with two or more axes, which L2 penalties usually act on: biases and scalars are left out."""
    return [weight for weight in weights if len(weight.shape) > 1]
