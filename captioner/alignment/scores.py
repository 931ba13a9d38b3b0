"""How well a sentence fits an image, from the products of its words with the image's regions.

Letters: B images, R regions, C sentences, T words, D joint width.
"""

from typing import Any

from keras import ops

Tensor = Any
_MASKED = -1e9  # product with a padding region: finite, so that gradients stay finite


def products(regions: Tensor, words: Tensor) -> Tensor:
    """Compute v_i . s_t of every word with every region, float32 [C, T, B, R]; regions last, as they are pooled over.

    Args:
        regions: float32 [B, R, D].
        words: float32 [C, T, D].
    """
    images, count, width = ops.shape(regions)
    sentences, steps, _ = ops.shape(words)
    flat = ops.matmul(ops.reshape(words, (-1, width)), ops.transpose(ops.reshape(regions, (-1, width))))
    return ops.reshape(flat, (sentences, steps, images, count))


def max_scores(similarity: Tensor, region_mask: Tensor, word_mask: Tensor) -> Tensor:
    """Compute S_kl = sum over words t of max over regions i of v_i . s_t, float32 [B, C].

    Args:
        similarity: float32 [C, T, B, R] from `products`.
        region_mask: bool [B, R], True for real regions.
        word_mask: bool [C, T], True for real words.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, equation 8.
    """
    return _summed(ops.max(ops.where(region_mask, similarity, _MASKED), axis=-1), word_mask)


def sum_scores(similarity: Tensor, region_mask: Tensor, word_mask: Tensor) -> Tensor:
    """Compute S_kl = sum over words and regions of max(0, v_i . s_t), float32 [B, C], from `max_scores`' arguments.

    References: Karpathy, Joulin and Fei-Fei 2014 (DeFrag), arXiv:1406.5679; Karpathy and Fei-Fei 2015, equation 7.
    """
    return _summed(ops.sum(ops.where(region_mask, ops.relu(similarity), 0.0), axis=-1), word_mask)


def soft_scores(similarity: Tensor, region_mask: Tensor, word_mask: Tensor, temperature: Any) -> Tensor:
    """Compute S_kl = sum over words of the regions' products, weighted by their softmax, float32 [B, C].

    Args:
        similarity: as for `max_scores`.
        region_mask: as for `max_scores`.
        word_mask: as for `max_scores`.
        temperature: what the products are divided by in the softmax: a number, or float32 [C, T]. Towards 0 this
            becomes `max_scores`.

    References: Lee et al. 2018 (SCAN, text to image), arXiv:1803.08024.
    """
    inside = ops.where(region_mask, similarity, _MASKED)
    divisor = temperature if isinstance(temperature, float) else temperature[:, :, None, None]
    weights = ops.softmax(inside / divisor, axis=-1)
    return _summed(ops.sum(weights * similarity, axis=-1), word_mask)


def _summed(pooled: Tensor, word_mask: Tensor) -> Tensor:
    """Sum float32 [C, T, B] over the real words: float32 [B, C]."""
    return ops.transpose(ops.sum(ops.where(word_mask[..., None], pooled, 0.0), axis=1))
