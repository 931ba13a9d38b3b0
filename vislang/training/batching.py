"""Seeded batches of sentences of about equal length: padding is work thrown away."""

import numpy as np


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, random: np.random.Generator, *, pool: int = 30
) -> list[np.ndarray]:
    """Shuffle, sort by length within pools of batches, cut, and shuffle the batches.

    Args:
        lengths: int [N], words in each sentence.
        batch_size: sentences in a batch; the last of all may be smaller.
        random: decides the order; the same generator state gives the same batches.
        pool: batches sorted together; more means less padding and less mixing.

    Returns:
        int arrays of row numbers; every row once.
    """
    order = random.permutation(len(lengths))
    batches = []
    for begin in range(0, len(order), batch_size * pool):
        chunk = order[begin : begin + batch_size * pool]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[at : at + batch_size] for at in range(0, len(chunk), batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]


def homogeneous_batches(lengths: np.ndarray, batch_size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Give batches of exactly equal length, as the original ranker trains on.

    Lengths are visited round robin in a random order, one batch at each visit, until all rows are used; the last
    batch of each length may be small, down to a single sentence.

    Args and returns: as `bucketed_batches`.

    References: HomogeneousData in the code of Kiros et al. 2014, arXiv:1411.2539.
    """
    waiting = []
    for length in random.permutation(np.unique(lengths)):
        rows = random.permutation(np.flatnonzero(lengths == length))
        waiting.append([rows[at : at + batch_size] for at in range(0, len(rows), batch_size)])
    return [queue[visit] for visit in range(max(map(len, waiting))) for queue in waiting if visit < len(queue)]


def shuffled_batches(lengths: np.ndarray, batch_size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Shuffle and cut, whatever the lengths. Args and returns: as `bucketed_batches`."""
    order = random.permutation(len(lengths))
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


BATCHING = {
    "bucketed": bucketed_batches,
    "homogeneous": homogeneous_batches,
    "shuffled": shuffled_batches,
    "by_image": bucketed_batches,  # of images, by their longest caption; the captioner then takes all captions of each
}
