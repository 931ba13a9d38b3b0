"""Fixations from the samples of an eye tracker, found as the code released with MIT1003 finds them.

A saccade starts where the smoothed speed of the eye rises fast for at least three samples in a row, and ends where it
stops falling fast. A fixation is what lies between two saccades, at the median of its samples. Two saccades with
50 ms or less between them are joined.

Reference: `checkFixations.m` of the DatabaseCode of Judd et al. 2009, Learning to predict where humans look.
"""

import numpy as np
from numpy.typing import NDArray

RATE = 240  # samples a second
_WINDOW = 4  # samples of the moving average, and of the windows whose speeds are compared
_FAST = 34 * 6  # pixels per degree times degrees per second: the change of speed that makes a saccade
_SHORTEST = 12  # samples, 50 ms
_RISING = 3  # samples
_SEARCHED = 25  # samples after the rise in which the fall must end


def find_fixations(samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the fixations of one person on one image.

    Args:
        samples: float [T, 2], x and y in pixels, 240 a second; NaN where the tracker lost the eye.

    Returns:
        float64 [n, 2], x and y, and float64 [n], durations in ms; n >= 1. A fixation whose samples are all lost is NaN.
    """
    in_saccade = np.zeros(len(samples), bool)
    for first, last in _saccades(speed_changes(samples)):
        in_saccade[first : last + 1] = True
    if in_saccade.all():
        in_saccade[:] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[True], in_saccade, [True]])))
    points = np.zeros((len(edges) // 2, 2))
    for row, (start, end) in enumerate(edges.reshape(-1, 2)):
        points[row] = _median(samples[start:end])
    return points, 1000 * (edges[1::2] - edges[::2]) / RATE


def speed_changes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64 [T], pixels per second: how the smoothed speed differs between two windows one sample apart.

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
    """Return (first, last sample) of each saccade."""
    last_sample = len(changes) - 1
    rises = _fast_rises(changes)
    found = []
    for start, rise_end in rises:
        end = _end_of_fall(changes, rise_end)
        if end is not None:
            found.append((start, end))
    if len(rises) == 1 and not found and rises[0][1] == np.flatnonzero(changes)[-1]:
        found.append((rises[0][0], last_sample))  # the image disappeared during the only saccade
    joined: list[tuple[int, int]] = []
    for start, end in found:
        if joined and start - joined[-1][1] <= _SHORTEST:
            start = joined.pop()[0]
        joined.append((start, end))
    if joined and last_sample - joined[-1][1] <= _SHORTEST:
        joined[-1] = (joined[-1][0], last_sample)
    return joined


def _fast_rises(changes: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return (first, last sample) of each run of at least `_RISING` fast rises."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], changes > _FAST, [False]])))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2) if end - start >= _RISING]


def _end_of_fall(changes: NDArray[np.float64], rise_end: int) -> int | None:
    """Return the last sample of the first fast fall after a rise, or None if none ends soon enough."""
    for sample in range(rise_end + 1, min(rise_end + 1 + _SEARCHED, len(changes) - 2)):
        if changes[sample] < -_FAST <= changes[sample + 1]:
            return sample
    return None


def _median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64 [2], the median of the samples that are known; NaN where none is."""
    point = np.full(2, np.nan)
    for axis in range(2):
        known = samples[~np.isnan(samples[:, axis]), axis]
        if len(known):
            point[axis] = np.median(known)
    return point
