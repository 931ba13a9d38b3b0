"""Windows of a grid of descriptors: what parts of a picture are called, and how what is said of them becomes a map.

A thing is seldom as large as one cell. So a word's likelihood is asked of windows of many sizes, each seen as the mean
of its cells, and Bayes' rule turns them into the chance that a window is the one which the word is about:

    P(window k | word w) = q_k(w) P(k) / sum_j q_j(w) P(j)

The map of a word is, at every cell, the chance that this window holds the cell.

Letters: R x C cells, K windows, F features.
"""

import numpy as np

_SIDES = (1, 2, 3, 5, 7, 10, 14)  # in cells
_LONGEST = 2.0  # times the other side


def grid_windows(rows: int, columns: int, *, square: bool = False) -> np.ndarray:
    """Lay rectangular windows over a grid.

    Sides are those of `_SIDES` and the grid's own; windows of a side are about half of it apart, so that every cell
    lies in windows of every size. The grid as a whole is always there.

    Args:
        rows: R.
        columns: C.
        square: leave out those that are higher than wide or wider than high.

    Returns:
        int [K, 4]: (top, left, bottom, right) in cells, bottom and right outside; the whole grid is the last.
    """
    found = [
        (top, left, bottom, right)
        for top, bottom in _runs(rows)
        for left, right in _runs(columns)
        if max(bottom - top, right - left) <= (1 if square else _LONGEST) * min(bottom - top, right - left)
    ]
    whole = (0, 0, rows, columns)
    return np.array([window for window in found if window != whole] + [whole], np.int64)


def single_cells(rows: int, columns: int) -> np.ndarray:
    """Give a window for each cell, row by row, and the whole grid; as `grid_windows`."""
    cells = [(row, column, row + 1, column + 1) for row in range(rows) for column in range(columns)]
    return np.array([*cells, (0, 0, rows, columns)], np.int64)


def window_chances(losses: np.ndarray) -> np.ndarray:
    """Give the chance of each window to be the one that a word is about.

    Args:
        losses: float [F, T, K]; the windows of all frames compete for a word, all equally likely beforehand.

    Returns:
        float32 [F, T, K], sum 1 over frames and windows.
    """
    scores = -np.asarray(losses, np.float32)
    chances = np.exp(scores - scores.max(axis=(0, 2), keepdims=True))
    return chances / chances.sum(axis=(0, 2), keepdims=True)


def window_means(cells: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Give the mean descriptor of each window, float32 [..., K, F], for cells float [..., R, C, F]."""
    rows, columns = cells.shape[-3:-1]
    weights = window_shares(windows, rows, columns).reshape(len(windows), -1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    flat = np.asarray(cells, np.float32).reshape(*cells.shape[:-3], rows * columns, cells.shape[-1])
    return weights.astype(np.float32) @ flat


def window_shares(windows: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Say which window holds which cell, float64 [K, R, C] of 0 and 1."""
    top, left, bottom, right = (edge[:, None, None] for edge in windows.T)
    down, across = np.arange(rows)[None, :, None], np.arange(columns)[None, None, :]
    return ((down >= top) & (down < bottom) & (across >= left) & (across < right)).astype(np.float64)


def window_areas(windows: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Give the windows' areas in shares of the grid, float64 [K]."""
    return (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1]) / (rows * columns)


def _runs(length: int) -> list[tuple[int, int]]:
    """Give (first, after the last) of runs of several lengths over `length` cells."""
    sizes = [size for size in _SIDES if size < length] + [length]
    runs = []
    for size in sizes:
        count = 1 + int(np.ceil((length - size) / max(1, size // 2)))
        starts = np.unique(np.round(np.linspace(0, length - size, count)).astype(int))
        runs += [(int(start), int(start) + int(size)) for start in starts]
    return runs
