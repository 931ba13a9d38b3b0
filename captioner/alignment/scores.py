"""How well a sentence fits an image, from the products of its words with the image's regions.

Letters: B images, R regions, C sentences, T words, D joint width.
"""

from typing import Any

from keras import ops

Tensor = Any
_NEVER = -1e9  # product with a region that is not there: finite, so that gradients stay numbers


def products(regions: Tensor, words: Tensor) -> Tensor:
    """Give v_i . s_t of every word with every region, float32 [C, T, B, R]; regions last, for they are pooled over.

    Args:
        regions: float32 [B, R, D].
        words: float32 [C, T, D].
    """
    images, count, width = ops.shape(regions)
    sentences, steps, _ = ops.shape(words)
    flat = ops.matmul(ops.reshape(words, (-1, width)), ops.transpose(ops.reshape(regions, (-1, width))))
    return ops.reshape(flat, (sentences, steps, images, count))


def max_scores(similarity: Tensor, regions_there: Tensor, words_there: Tensor) -> Tensor:
    """Give S_kl = sum over words t of max over regions i of v_i . s_t, float32 [B, C].

    Args:
        similarity: float32 [C, T, B, R] from `products`.
        regions_there: bool [B, R].
        words_there: bool [C, T].

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, equation 8.
    """
    return _summed(ops.max(ops.where(regions_there, similarity, _NEVER), axis=-1), words_there)


def sum_scores(similarity: Tensor, regions_there: Tensor, words_there: Tensor) -> Tensor:
    """Give S_kl = sum over words and regions of max(0, v_i . s_t), float32 [B, C]; arguments as for `max_scores`.

    References: Karpathy, Joulin and Fei-Fei 2014 (DeFrag), arXiv:1406.5679; Karpathy and Fei-Fei 2015, equation 7.
    """
    return _summed(ops.sum(ops.where(regions_there, ops.relu(similarity), 0.0), axis=-1), words_there)


def soft_scores(similarity: Tensor, regions_there: Tensor, words_there: Tensor, softness: Any) -> Tensor:
    """Give S_kl = sum over words of the regions' products, weighted by their softmax, float32 [B, C].

    Args:
        similarity: as for `max_scores`.
        regions_there: as for `max_scores`.
        words_there: as for `max_scores`.
        softness: what the products are divided by in the softmax: a number, or float32 [C, T]. Towards 0 this
            becomes `max_scores`.

    References: Lee et al. 2018 (SCAN, text to image), arXiv:1803.08024.
    """
    inside = ops.where(regions_there, similarity, _NEVER)
    divisor = softness if isinstance(softness, float) else softness[:, :, None, None]
    weights = ops.softmax(inside / divisor, axis=-1)
    return _summed(ops.sum(weights * similarity, axis=-1), words_there)


def _summed(pooled: Tensor, words_there: Tensor) -> Tensor:
    """Sum float32 [C, T, B] over the words that are there; float32 [B, C]."""
    return ops.transpose(ops.sum(ops.where(words_there[..., None], pooled, 0.0), axis=1))
