"""What a captioner would lose if a picture were more like one of its windows: our quantity behind the maps.

A captioner that was trained on whole pictures answers badly when it sees one cell alone: that is like nothing it knows.
So it is shown one descriptor, the mean of the picture, which is tilted towards a window by a small step:

    v(a) = mean of the picture + a (mean of window k - mean of the picture)
    L_(t,k) = L_t + dL_t/da at a = 0,  L_t = -log p(w_t | w_<t, v(0))

It is the first order of the loss of a picture that is all like the window. All windows together cost one pass forward
and one back, since the slope is linear in what the picture is tilted towards: a window has the mean of its cells'.

Letters: P pictures of R x C cells with F features, T words.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from vislang.training.compile import compiled_gradient

_ROWS = 512  # words of pictures in one pass: memory grows with it


def gradient_losses(model: Any, cells: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the loss of each word for the mean of each picture, and its slope towards each cell.

    Args:
        model: a trained captioner.
        cells: float [P, R, C, F], pictures, or frames that are each seen as a picture.
        numbers: int32 [T], the sentence.

    Returns:
        float32 [P, T], -log p(w_t | w_<t, mean); float32 [P, T, R, C], dL_t/da, whose mean over a picture is 0.
    """
    pictures = len(cells)
    words = len(numbers)
    means = np.asarray(cells, np.float32).mean(axis=(1, 2))  # [P, F]
    losses = []
    gradients = []
    graph = _slope_graph(model.network)
    step = max(1, _ROWS // words)
    for start in range(0, pictures, step):
        some = np.repeat(means[start : start + step], words, axis=0)[:, None]  # [P' * T, 1, F]
        sentences = np.broadcast_to(np.asarray(numbers, np.int32), (len(some), words))
        places = np.tile(np.arange(words, dtype=np.int32), len(some) // words)
        found, gradient = graph(some, sentences, places)
        losses.append(np.asarray(found))
        gradients.append(np.asarray(gradient)[:, 0])
    pulls = np.concatenate(gradients).reshape(pictures, words, -1)
    away = np.asarray(cells, np.float32) - means[:, None, None]
    slopes = np.einsum("ptf,prcf->ptrc", pulls, away, optimize=True)
    return np.concatenate(losses).reshape(pictures, words), slopes


@functools.lru_cache(maxsize=4)
def _slope_graph(network: Any) -> Callable[..., tuple[Any, Any]]:
    def loss(descriptors: Any, sentences: Any, places: Any) -> Any:
        """Give -log p of the word at one place of each row's sentence, float32 [rows]."""
        log_probs = network.word_log_probs(descriptors, ops.ones(ops.shape(descriptors)[:2], "bool"), sentences)
        chosen = ops.take_along_axis(log_probs, sentences[..., None], axis=-1)[..., 0]
        return -ops.take_along_axis(chosen, places[:, None], axis=1)[:, 0]

    shape = (None, 1, network.num_features)
    return compiled_gradient(loss, (shape, "float32"), ((None, None), "int32"), ((None,), "int32"))
