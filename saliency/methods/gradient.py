"""The gradient of each word's loss with respect to the image's mean descriptor, projected onto each cell.

A captioner trained on whole images predicts badly from a single cell. So it reads the mean of the image, moved a small
step towards a window:

    v(a) = mean of the image + a (mean of window k - mean of the image)
    L_(t,k) = L_t + dL_t/da at a = 0,  L_t = -log p(w_t | w_<t, v(0))

This is the first-order loss of an image that is all like the window. The slope is linear in the direction, so that of a
window is the mean over its cells: all windows cost one forward and one backward pass.

Letters: P images of R x C cells with F features, T words.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from vislang.core.compile import compiled_gradient

_ROWS = 512  # words of images in one pass
# Words of the sentences of these rows in one pass; each takes 90 kB with a vocabulary of 11,000.
_POSITIONS = 4096


def gradient_losses(model: Any, cells: np.ndarray, word_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the loss of each word for the mean of each image, and its slope towards each cell.

    Args:
        cells: float [P, R, C, F], images, or frames that are each read as an image.
        word_ids: int32 [T], the sentence.

    Returns:
        float32 [P, T], -log p(w_t | w_<t, mean); float32 [P, T, R, C], dL_t/da, whose mean over an image is 0.
    """
    images = len(cells)
    words = len(word_ids)
    means = np.asarray(cells, np.float32).mean(axis=(1, 2))  # [P, F]
    losses = []
    gradients = []
    graph = _slope_graph(model.network)
    step = max(1, min(_ROWS, _POSITIONS // words))
    if step > words:
        step -= step % words  # whole images
    for start in range(0, images * words, step):
        rows = np.arange(start, min(start + step, images * words))
        sentences = np.broadcast_to(np.asarray(word_ids, np.int32), (len(rows), words))
        found, gradient = graph(means[rows // words][:, None], sentences, (rows % words).astype(np.int32))
        losses.append(np.asarray(found))
        gradients.append(np.asarray(gradient)[:, 0])
    by_word = np.concatenate(gradients).reshape(images, words, -1)
    away = np.asarray(cells, np.float32) - means[:, None, None]
    slopes = np.einsum("ptf,prcf->ptrc", by_word, away, optimize=True)
    return np.concatenate(losses).reshape(images, words), slopes


@functools.lru_cache(maxsize=4)
def _slope_graph(network: Any) -> Callable[..., tuple[Any, Any]]:
    def loss(descriptors: Any, sentences: Any, positions: Any) -> Any:
        """Return -log p of the word at one position of each row's sentence, float32 [rows]."""
        log_probs = network.word_log_probs(descriptors, ops.ones(ops.shape(descriptors)[:2], "bool"), sentences)
        chosen = ops.take_along_axis(log_probs, sentences[..., None], axis=-1)[..., 0]
        return -ops.take_along_axis(chosen, positions[:, None], axis=1)[:, 0]

    shape = (None, 1, network.num_features)
    return compiled_gradient(loss, (shape, "float32"), ((None, None), "int32"), ((None,), "int32"))
