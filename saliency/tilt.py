"""What a captioner would lose if a picture were a little more like one of its windows: our quantity behind the maps.

A captioner that was trained on whole pictures answers badly when it sees one descriptor alone: that is like nothing it
knows. So the picture stays whole and is only tilted towards a window, every descriptor by the same small step:

    v_i(a) = v_i + a (mean of window k - mean of the picture)
    L_(t,k) = L_t + dL_t/da at a = 0,  L_t = -log p(w_t | w_<t, v)

It is the first order of the loss of a picture that is all like the window, and costs one pass forward and one back for
all windows, since the slope is linear in what the picture is tilted towards.

Letters: P pictures of N descriptors of F features, T words, R x C cells.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from common.graphs import compiled_gradient

_ROWS = 256  # words of pictures in one pass: memory grows with it


def tilt_losses(model: Any, cells: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the loss of each word for each whole picture, and how it changes with each cell.

    Args:
        model: a trained captioner.
        cells: float [P, R, C, F], pictures, or frames that are each seen as a picture.
        numbers: int32 [T], the sentence.

    Returns:
        float32 [P, T], -log p(w_t | w_<t, picture); float32 [P, T, R, C], dL_t/da for a tilt towards each single cell,
        whose mean over a picture is 0. A window's slope is the mean of its cells'.
    """
    pictures, words = len(cells), len(numbers)
    flat = np.asarray(cells, np.float32).reshape(pictures, -1, cells.shape[-1])  # [P, N, F]
    graph = _slope_graph(model.network)
    losses = np.empty((pictures, words), np.float32)
    slopes = np.empty((pictures, words, *cells.shape[1:3]), np.float32)
    step = max(1, _ROWS // words)
    for start in range(0, pictures, step):
        some = flat[start : start + step]
        places = np.tile(np.arange(words, dtype=np.int32), len(some))
        rows = np.repeat(some, words, axis=0)
        sentences = np.broadcast_to(np.asarray(numbers, np.int32), (len(rows), words))
        found, gradient = graph(rows, sentences, places)
        pulls = np.asarray(gradient).sum(axis=1).reshape(len(some), words, -1)  # [P, T, F]
        away = some - some.mean(axis=1, keepdims=True)  # [P, N, F]
        losses[start : start + step] = np.asarray(found).reshape(len(some), words)
        slopes[start : start + step] = (pulls @ away.transpose(0, 2, 1)).reshape(len(some), words, *cells.shape[1:3])
    return losses, slopes


@functools.lru_cache(maxsize=4)
def _slope_graph(network: Any) -> Callable[..., tuple[Any, Any]]:
    def loss(descriptors: Any, sentences: Any, places: Any) -> Any:
        """Give -log p of the word at one place of each row's sentence, float32 [rows]."""
        log_probs = network.word_log_probs(descriptors, ops.ones(ops.shape(descriptors)[:2], "bool"), sentences)
        chosen = ops.take_along_axis(log_probs, sentences[..., None], axis=-1)[..., 0]
        return -ops.take_along_axis(chosen, places[:, None], axis=1)[:, 0]

    shape = (None, None, network.num_features)
    return compiled_gradient(loss, (shape, "float32"), ((None, None), "int32"), ((None,), "int32"))
