"""Exact nearest neighbours by dot product."""

import numpy as np

BLOCK = 1024  # queries ranked together; bounds memory to BLOCK x candidates scores


def nearest(queries: np.ndarray, candidates: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Find each query's best candidates, ties in their order: int64 indices and float32 scores [Q, top].

    Args:
        queries: float32 [Q, D].
        candidates: float32 [C, D].
        top: how many; C where C is smaller.
    """
    top = min(top, len(candidates))
    indices = np.zeros((len(queries), top), np.int64)
    scores = np.zeros((len(queries), top), np.float32)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] @ candidates.T
        # No score below the top-th best is in the result; the stable sort orders ties with it.
        bounds = np.zeros(len(block))
        if top:
            bounds = np.partition(block, -top, axis=1)[:, -top]
        for row, (line, bound) in enumerate(zip(block, bounds, strict=True), start):
            within = np.flatnonzero(line >= bound)
            best = within[np.argsort(-line[within], kind="stable")[:top]]
            indices[row] = best
            scores[row] = line[best]
    return indices, scores
