"""Maps of words from the losses of cells, through windows of many sizes.

Things are seldom as large as one cell. So each square window has a loss, the mean of its cells', and Bayes' rule turns
losses into the probability that a window is that of the word:

    P(window k | word) = exp(-loss_k) P(k) / sum_j exp(-loss_j) P(j)

The prior is uniform over the sizes of windows and, of a size, over the places. The map of a word is, at every cell, the
probability that its window holds the cell. A word without any preference gets a peak in the middle, where most windows
overlap.

Letters: F frames, T words, R x C cells, K windows.
"""

import functools

import numpy as np

_SIDES = (1, 2, 3, 5, 7, 10, 14)  # in cells


def cell_chances(losses: np.ndarray) -> np.ndarray:
    """Compute the probability of each cell to lie in the window of a word, float32 [F, T, R, C].

    Args:
        losses: float [F, T, R, C]; the windows of all frames compete for a word.
    """
    frames, words, rows, columns = losses.shape
    shares, priors = _windows(rows, columns)
    means = shares / shares.sum(axis=1, keepdims=True)
    cells = np.asarray(losses, np.float32).reshape(frames, words, -1)
    scores = cells @ -means.T + np.log(priors)  # [F, T, K]
    chances = np.exp(scores - scores.max(axis=(0, 2), keepdims=True))
    chances /= chances.sum(axis=(0, 2), keepdims=True)
    return (chances @ shares).reshape(losses.shape)


def stretched(maps: np.ndarray) -> np.ndarray:
    """Scale each word's map to 0 to 1 over all frames, float [F, T, R, C]; a constant map becomes 0."""
    above = maps - maps.min(axis=(0, 2, 3), keepdims=True)
    return above / np.maximum(above.max(axis=(0, 2, 3), keepdims=True), np.finfo(np.float32).tiny)


def grid_windows(rows: int, columns: int) -> np.ndarray:
    """Lay square windows over a grid.

    Their sides are those of `_SIDES` that fit; windows of a side are about half of it apart, so that every cell lies in
    windows of every size. The whole grid is one of them, square or not.

    Returns:
        int [K, 4]: (top, left, bottom, right) in cells, bottom and right outside; the whole grid is the last.
    """
    found = [
        (top, left, top + side, left + side)
        for side in _SIDES
        if side <= min(rows, columns)
        for top in _starts(rows, side)
        for left in _starts(columns, side)
    ]
    whole = (0, 0, rows, columns)
    return np.array([window for window in found if window != whole] + [whole], np.int64)


@functools.lru_cache(maxsize=16)
def _windows(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which window holds which cell, float32 [K, R * C] of 0 and 1, and the prior of each, [K]."""
    windows = grid_windows(rows, columns)
    top, left, bottom, right = (edge[:, None, None] for edge in windows.T)
    down = np.arange(rows)[None, :, None]
    across = np.arange(columns)[None, None, :]
    shares = (down >= top) & (down < bottom) & (across >= left) & (across < right)
    sizes, size_of_window, counts = np.unique(
        windows[:, 2:] - windows[:, :2], axis=0, return_inverse=True, return_counts=True
    )
    priors = 1.0 / (len(sizes) * counts[size_of_window.ravel()])
    return shares.reshape(len(windows), -1).astype(np.float32), priors.astype(np.float32)


def _starts(length: int, side: int) -> list[int]:
    """Return the first cells of runs of `side` over `length` cells, about half of their length apart."""
    count = 1 + int(np.ceil((length - side) / max(1, side // 2)))
    return sorted({round(start) for start in np.linspace(0, length - side, count)})
