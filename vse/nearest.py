"""Exact nearest neighbours by dot product, in bounded memory."""

import numpy as np

QUERIES = 256  # ranked together
SCORES = 2**20  # of one product, 4 MB; the fewer the queries, the more candidates at once: each product has to start
CHOSEN = 8192  # candidates that are copied for one product where not all are ranked


def nearest(
    queries: np.ndarray, candidates: np.ndarray, top: int, *, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find each query's best candidates, ties in their order: int64 indices and float32 scores [Q, top].

    Beside the result it takes some 50 MB, whatever the number of queries and candidates.

    Args:
        queries: float32 [Q, D].
        candidates: float32 [C, D], may be mapped from a file.
        top: how many; C where C is smaller.
        rows: int64 [R], ascending, of the candidates that are ranked (then R stands for C above); None: all.
    """
    count = len(candidates) if rows is None else len(rows)
    top = min(top, count)
    indices = np.zeros((len(queries), top), np.int64)
    scores = np.full((len(queries), top), -np.inf, np.float32)
    if not top:
        return indices, scores
    step = SCORES // max(1, min(len(queries), QUERIES))
    if rows is not None:
        step = min(step, CHOSEN)
    for first in range(0, len(queries), QUERIES):
        some = slice(first, first + QUERIES)
        for start in range(0, count, step):
            stop = min(start + step, count)
            numbers = np.arange(start, stop) if rows is None else rows[start:stop]
            _merge(queries[some] @ _block(candidates, numbers).T, numbers, indices[some], scores[some])
    return indices, scores


def _block(candidates: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the candidates of ascending numbers, without a copy where none is left out between them."""
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return candidates[numbers[0] : numbers[-1] + 1]
    return candidates[numbers]


def _merge(block: np.ndarray, numbers: np.ndarray, indices: np.ndarray, scores: np.ndarray) -> None:
    """Take the scores of a block, float32 [Q, B], into the best found before it, [Q, top], in place."""
    top = scores.shape[1]
    worst = scores[:, -1]
    # A tie with the worst one found before comes after it; a score below the top-th best of the block is never in.
    is_better = (block > worst[:, None]).any(axis=1)
    for query in np.flatnonzero(is_better).tolist():
        line = block[query]
        within = np.flatnonzero(line > worst[query])
        if len(within) > top:
            within = within[line[within] >= np.partition(line[within], -top)[-top]]
        joined = np.concatenate([scores[query], line[within]])
        best = np.argsort(-joined, kind="stable")[:top]
        indices[query] = np.concatenate([indices[query], numbers[within]])[best]
        scores[query] = joined[best]
