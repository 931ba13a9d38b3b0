"""Nearest-neighbour baselines: captions of the training images with the most similar features.

The first caption of the nearest image, and the consensus caption, the one among the captions of the nearest images that
is most similar to the others. Ties go to the nearer image and then to the earlier caption.
"""

from collections.abc import Callable, Sequence

import numpy as np

NEIGHBOURS = 60  # images whose captions are candidates
AGREEING = 100  # so many of the most similar other candidates count
BLOCK = 1024  # queries compared together; bounds memory to BLOCK x candidates distances


def standardised(training: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise every dimension by the mean and standard deviation of the training images.

    Args:
        training: float [C, D].
        queries: float [Q, D].

    Returns:
        float32 [C, D] and [Q, D]; a dimension that is constant in training becomes 0 in both.
    """
    rows = np.asarray(training, np.float64)
    mean = rows.mean(axis=0)
    std = rows.std(axis=0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    scaled_queries = (np.asarray(queries, np.float64) - mean) * scale
    return ((rows - mean) * scale).astype(np.float32), scaled_queries.astype(np.float32)


def nearest_images(queries: np.ndarray, candidates: np.ndarray, top: int) -> np.ndarray:
    """Find the candidates at the smallest Euclidean distance, int64 [Q, top], nearest first, ties in their order.

    Args:
        queries: float32 [Q, D].
        candidates: float32 [C, D].
        top: how many; C where C is smaller.
    """
    top = min(top, len(candidates))
    found = np.zeros((len(queries), top), np.int64)
    lengths = np.einsum("cd,cd->c", candidates, candidates)
    for start in range(0, len(queries), BLOCK):
        block = lengths - 2 * queries[start : start + BLOCK] @ candidates.T  # distance squared, less the query's length
        found[start : start + BLOCK] = np.argsort(block, axis=1, kind="stable")[:, :top]
    return found


def first_captions(neighbours: np.ndarray, captions_of_image: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the index of the first caption of each query's nearest image, int64 [Q]; see `consensus_captions`."""
    return np.array([captions_of_image[row[0]][0] for row in neighbours], np.int64)


def consensus_captions(
    neighbours: np.ndarray,
    captions_of_image: Sequence[Sequence[int]],
    similarity: Callable[[np.ndarray], np.ndarray],
    *,
    agreeing: int = AGREEING,
) -> np.ndarray:
    """Return for each query the index of the caption of its neighbours that is most similar to the others, int64 [Q].

    A caption's value is the sum of its similarities to the `agreeing` other candidates that are most like it.

    Args:
        neighbours: int [Q, K], from `nearest_images`.
        captions_of_image: for each candidate image the indices of its captions, one or more.
        similarity: returns float [L, L] for int [L] indices of captions; its diagonal does not count.
        agreeing: see above; all others where there are fewer.

    References: Devlin et al. 2015, "Exploring nearest neighbor approaches for image captioning", arXiv:1505.04467.
    """
    chosen = np.zeros(len(neighbours), np.int64)
    for query, images in enumerate(neighbours):
        indices = np.concatenate([captions_of_image[image] for image in images]).astype(np.int64)
        similarities = np.array(similarity(indices), np.float64)
        np.fill_diagonal(similarities, -np.inf)
        others = min(agreeing, len(indices) - 1)
        # Sorted before they are summed, so that equal captions get equal sums whatever their order.
        best = -np.sort(-similarities, axis=1)[:, :others]
        chosen[query] = indices[np.argmax(best.sum(axis=1))]
    return chosen
