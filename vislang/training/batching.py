"""Seeded orders of sentences: batches of about equal lengths waste little padding."""

import numpy as np


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, random: np.random.Generator, *, pool: int = 30
) -> list[np.ndarray]:
    """Shuffle row indices, sort them by length within pools of batches, cut into batches, and shuffle the batches.

    Args:
        lengths: int [N], words in each sentence.
        batch_size: sentences in a batch; the last one may be smaller.
        random: decides the order; the same generator state gives the same batches.
        pool: batches sorted together; more means less padding and less mixing.
    """
    order = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batch_size * pool):
        rows = order[start : start + batch_size * pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += cut_batches(rows, batch_size)
    return [batches[index] for index in random.permutation(len(batches))]


def homogeneous_batches(lengths: np.ndarray, batch_size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Return batches of exactly equal length, as the original ranker trains on.

    Lengths are visited round robin in a random order, one batch at each visit, until all rows are used; the last
    batch of each length may be small, down to a single sentence.

    Args and returns: as `bucketed_batches`.

    References: HomogeneousData in the code of Kiros et al. 2014, arXiv:1411.2539.
    """
    queues = []
    for length in random.permutation(np.unique(lengths)):
        queues.append(cut_batches(random.permutation(np.flatnonzero(lengths == length)), batch_size))
    batches = []
    for visit in range(max(map(len, queues))):
        for queue in queues:
            if visit < len(queue):
                batches.append(queue[visit])
    return batches


def shuffled_batches(lengths: np.ndarray, batch_size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Shuffle and cut into batches, whatever the lengths. Args and returns: as `bucketed_batches`."""
    return cut_batches(random.permutation(len(lengths)), batch_size)


def cut_batches(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut row indices, int [N], into batches in their order; the last one may be smaller."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


BATCHING = {
    "bucketed": bucketed_batches,
    "homogeneous": homogeneous_batches,
    "shuffled": shuffled_batches,
    "by_image": bucketed_batches,  # of images, by their longest caption; a batch holds all captions of its images
}
