"""The losses of words when a captioner reads a single descriptor of the image.

A word that a cell explains is about as likely when the network reads that cell alone. All descriptors of an image form
one batch; no attention layer, gradient or further training is needed.

Letters: N descriptors of F features, T words.

References: Ramanishka et al. 2017, arXiv:1612.07360, section 3.3.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from vislang.core.compile import compiled

_ROWS = 512  # descriptors in one pass
_POSITIONS = 16_384  # words of the sentences of these; each takes 30 to 90 kB with a vocabulary of 11,000


def query_losses(model: Any, descriptors: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Compute -log q_(t,i)(w_t), float32 [N, T]: the loss of each word of a given sentence for each descriptor alone.

    Args:
        model: a trained captioner (`captioner.load_model`).
        descriptors: float [N, F].
        words: int32 [T], word ids of the sentence.
    """
    return _in_blocks(descriptors, words, lambda some, sentences: -model.given_log_probs(some, sentences))


def divergences(model: Any, descriptors: np.ndarray, words: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Compute KL(p_t || q_(t,i)), float32 [N, T], of the words given the whole image against those given a descriptor.

        KL(p_t || q_(t,i)) = sum_w p_t(w) log(p_t(w) / q_(t,i)(w))

    Args:
        descriptors: float [N, F].
        words: int32 [T], the sentence that the captioner wrote; p_t and q_(t,i) are given the words before t.
        whole: float [M, F], the descriptors that it wrote from.
    """
    network = model.network
    everything = ops.ones((1, len(whole)), "bool")
    full = network.word_log_probs(ops.cast(whole[None], "float32"), everything, ops.cast(words[None], "int32"))
    graph = _divergence_graph(network)
    return _in_blocks(
        descriptors,
        words,
        lambda some, sentences: graph(ops.cast(some, "float32"), ops.cast(sentences, "int32"), full),
    )


@functools.lru_cache(maxsize=4)
def _divergence_graph(network: Any) -> Callable[..., Any]:
    def divergence(lone: Any, words: Any, full: Any) -> Any:
        alone = network.word_log_probs(lone, ops.ones(ops.shape(lone)[:2], "bool"), words)
        return ops.sum(ops.exp(full) * (full - alone), axis=-1)

    shape = (None, 1, network.num_features)
    words = (None, None)
    full = (1, None, network.num_words)
    return compiled(divergence, (shape, "float32"), (words, "int32"), (full, "float32"))


def _in_blocks(
    descriptors: np.ndarray, words: np.ndarray, losses: Callable[[np.ndarray, np.ndarray], Any]
) -> np.ndarray:
    """Join what `losses` returns for descriptors [B, 1, F] and the sentence for each, [B, T]."""
    found = []
    step = max(1, min(_ROWS, _POSITIONS // len(words)))
    for start in range(0, len(descriptors), step):
        some = descriptors[start : start + step]
        found.append(np.asarray(losses(some[:, None], np.broadcast_to(words, (len(some), len(words))))))
    return np.concatenate(found)
