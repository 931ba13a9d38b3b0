"""Timing of several methods that compute the same, for the scripts beside it."""

import time
from collections.abc import Callable

import numpy as np


def fastest(methods: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Return the shortest time of each method, in seconds; called in turns, after one call that compiles."""
    best = dict.fromkeys(methods, np.inf)
    for method in methods.values():
        method()
    for _ in range(rounds):
        for name, method in methods.items():
            started = time.perf_counter()
            method()
            best[name] = min(best[name], time.perf_counter() - started)
    return best
