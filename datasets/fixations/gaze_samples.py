"""Fixations from the samples of an eye tracker, as the code that comes with MIT1003 finds them.

A saccade starts where the smoothed speed of the eye rises fast for at least three samples in a row, and ends where it
no longer falls fast. What lies between two saccades is a fixation, at the median of its samples. Saccades that would
leave a fixation of 50 ms or less between them are one.

Reference: `checkFixations.m` of the DatabaseCode of Judd et al. 2009, Learning to predict where humans look.
"""

import numpy as np
from numpy.typing import NDArray

RATE = 240  # samples a second
_WINDOW = 4  # samples of the moving average, and of the windows whose speeds are compared
_FAST = 34 * 6  # pixels a degree times degrees a second: the change of speed that makes a saccade
_SHORTEST = 12  # samples, 50 ms
_RISING = 3  # samples
_SEARCHED = 25  # samples after the rise in which the fall must end


def find_fixations(samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the fixations of one look at a picture.

    Args:
        samples: float [T, 2], x and y in pixels, 240 a second; NaN where the tracker lost the eye.

    Returns:
        float64 [n, 2], x and y, and float64 [n], durations in ms; n >= 1. A fixation all of whose samples are lost is
        at NaN.
    """
    busy = np.zeros(len(samples), bool)
    for first, last in _saccades(speed_changes(samples)):
        busy[first : last + 1] = True
    if busy.all():
        busy[:] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[True], busy, [True]])))
    pieces = list(zip(edges[::2], edges[1::2], strict=True))
    points = np.array([_median(samples[start:end]) for start, end in pieces]).reshape(-1, 2)
    return points, np.array([1000 * (end - start) / RATE for start, end in pieces], np.float64)


def speed_changes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give float64 [T], by how much the smoothed speed (pixels a second) of two windows one sample apart differs.

    The windows hold one sample more than they are divided by, as in the reference.
    """
    steps = np.concatenate([[0.0], np.hypot(*np.diff(samples[:, :2], axis=0).T)])
    changes = np.zeros(len(steps))
    if len(steps) > _WINDOW + 2:
        smooth = np.convolve(steps, np.full(_WINDOW, 1 / _WINDOW))[: len(steps)]
        sums = np.lib.stride_tricks.sliding_window_view(smooth[1:], _WINDOW + 1).sum(axis=1)
        changes[1 : len(sums)] = np.diff(sums) * RATE / _WINDOW
    return changes


def _saccades(changes: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Give (first, last sample) of each saccade."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], changes > _FAST, [False]])))
    rises = [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2) if end - start >= _RISING]
    ended = [(start, _end_of_fall(changes, last)) for start, last in rises]
    found = [(start, end) for start, end in ended if end is not None]
    if len(rises) == 1 and not found and rises[0][1] == np.flatnonzero(changes)[-1]:
        found = [(rises[0][0], len(changes) - 1)]  # the picture went away during the only saccade
    merged: list[tuple[int, int]] = []
    for start, end in found:
        close = merged and start - merged[-1][1] <= _SHORTEST
        merged[-1:] = [(merged[-1][0], end)] if close else [*merged[-1:], (start, end)]
    if merged and len(changes) - 1 - merged[-1][1] <= _SHORTEST:
        merged[-1] = merged[-1][0], len(changes) - 1
    return merged


def _end_of_fall(changes: NDArray[np.float64], last: int) -> int | None:
    """Give the last sample of the first fast fall after a rise, or None if none ends soon enough."""
    for sample in range(last + 1, min(last + 1 + _SEARCHED, len(changes) - 2)):
        if changes[sample] < -_FAST <= changes[sample + 1]:
            return sample
    return None


def _median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    known = [column[~np.isnan(column)] for column in samples[:, :2].T]
    return np.array([np.median(column) if len(column) else np.nan for column in known])
