"""Exact nearest neighbours by dot product."""

import numpy as np

BLOCK = 1024  # queries ranked together; bounds memory to BLOCK x candidates scores


def nearest(queries: np.ndarray, candidates: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the best candidates of each query.

    Args:
        queries: float32 [Q, D].
        candidates: float32 [C, D].
        top: how many; C where C is smaller.

    Returns:
        int64 [Q, top] numbers of candidates, best first, ties in the order of the candidates, and their scores,
        float32 [Q, top].
    """
    top = min(top, len(candidates))
    numbers = np.zeros((len(queries), top), np.int64)
    scores = np.zeros((len(queries), top), np.float32)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] @ candidates.T
        # The top-th best score bounds what can be in the answer; ties with it are settled by the stable sort.
        bounds = np.partition(block, -top, axis=1)[:, -top] if top else np.zeros(len(block))
        for row, (line, bound) in enumerate(zip(block, bounds, strict=True), start):
            within = np.flatnonzero(line >= bound)
            best = within[np.argsort(-line[within], kind="stable")[:top]]
            numbers[row] = best
            scores[row] = line[best]
    return numbers, scores
