"""Timing several ways of doing the same, for the scripts beside it."""

import time
from collections.abc import Callable

import numpy as np


def fastest(ways: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Time each way, in turns, after one call that compiles."""
    best = dict.fromkeys(ways, np.inf)
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - started)
    return best
