"""The Viterbi algorithm for a chain of words labelled with regions, with a reward for equal neighbours.

Letters: B chains, N words, M regions.
"""

import numpy as np


def best_segments(unary: np.ndarray, beta: float | np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """Maximise sum_j unary[j, a_j] + sum_j beta * [a_j = a_{j+1}] over all labellings a, exactly (Viterbi).

    A step costs M comparisons, not M * M: best_j(i) = unary[j, i] + max(best_{j-1}(i) + beta, max_i' best_{j-1}(i')).

    Args:
        unary: float [B, N, M], or [N, M] for one chain; -inf for padding regions.
        beta: >= 0, or float [B]: the reward of two neighbours on one region. 0 chooses the best region of each word; a
            large one puts the whole sentence on one.
        lengths: int [B], words of each chain; None: N.

    Returns:
        int64 [B, N] or [N]; of equally good labellings the one whose last label is lowest, and which then, backwards,
        keeps its label as long as possible. After the end of a chain the label of its last word.

    References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, section 3.1.4, whose energies are rewards.
    """
    if unary.ndim == 2:
        return best_segments(unary[None], beta, None if lengths is None else np.asarray(lengths)[None])[0]
    chains, steps, _ = unary.shape
    reward = np.broadcast_to(np.asarray(beta, np.float64), (chains,))[:, None]
    ends = np.full(chains, steps) if lengths is None else np.asarray(lengths)
    rows = np.arange(chains)
    best = unary[:, 0].astype(np.float64)  # [B, M]
    came_from = np.zeros(unary.shape, np.int64)
    for step in range(1, steps):
        leader = best.argmax(axis=1)[:, None]
        stayed = best + reward
        jumped = np.take_along_axis(best, leader, axis=1)
        stays = stayed >= jumped
        came_from[:, step] = np.where(stays, np.arange(best.shape[1]), leader)
        grown = unary[:, step] + np.where(stays, stayed, jumped)
        best = np.where((step < ends)[:, None], grown, best)
    labels = np.zeros((chains, steps), np.int64)
    labels[:, -1] = best.argmax(axis=1)
    for step in range(steps - 1, 0, -1):
        before = came_from[rows, step, labels[:, step]]
        labels[:, step - 1] = np.where(step < ends, before, labels[:, step])
    return labels


def as_segments(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Return the runs of equal labels of int [N] as (first, after the last, label)."""
    cuts = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *cuts.tolist(), len(labels)]
    return [(start, stop, int(labels[start])) for start, stop in zip(edges, edges[1:], strict=False) if stop > start]
