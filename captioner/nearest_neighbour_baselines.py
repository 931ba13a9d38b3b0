"""Captions borrowed from the training images that look most alike: what every captioner has to beat.

Two baselines: the first caption of the nearest image, and the consensus caption, the one among the captions of the
nearest images that is most like the others. Both are exact and have no seed; ties go to the nearer image and then to
the earlier caption.
"""

from collections.abc import Callable, Sequence

import numpy as np

# Fixed, and tuned on nothing: a few dozen images whose captions mostly tell of the same thing.
NEIGHBOURS = 60  # images whose captions are candidates
AGREEING = 100  # of the other candidates, how many of the most similar ones count, so that odd neighbours do not
BLOCK = 1024  # queries compared together; bounds memory to BLOCK x candidates distances


def standardised(training: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale every dimension by the mean and deviation of the training images.

    Args:
        training: float [C, D].
        queries: float [Q, D].

    Returns:
        float32 [C, D] and [Q, D]; a dimension that never changes in training becomes 0 in both.
    """
    rows = np.asarray(training, np.float64)
    mean = rows.mean(axis=0)
    deviation = rows.std(axis=0)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    scaled, asked = ((np.asarray(array, np.float64) - mean) * scale for array in (rows, queries))
    return scaled.astype(np.float32), asked.astype(np.float32)


def nearest_images(queries: np.ndarray, candidates: np.ndarray, top: int) -> np.ndarray:
    """Find the candidates at the smallest Euclidean distance.

    Args:
        queries: float32 [Q, D].
        candidates: float32 [C, D].
        top: how many; C where C is smaller.

    Returns:
        int64 [Q, top], nearest first, ties in the order of the candidates.
    """
    top = min(top, len(candidates))
    found = np.zeros((len(queries), top), np.int64)
    lengths = np.einsum("cd,cd->c", candidates, candidates)
    for start in range(0, len(queries), BLOCK):
        block = lengths - 2 * queries[start : start + BLOCK] @ candidates.T  # distance squared, less the query's length
        found[start : start + BLOCK] = np.argsort(block, axis=1, kind="stable")[:, :top]
    return found


def first_captions(neighbours: np.ndarray, captions_of_image: Sequence[Sequence[int]]) -> np.ndarray:
    """Give the first caption of each query's nearest image.

    Args:
        neighbours: int [Q, K], from `nearest_images`.
        captions_of_image: for each candidate image the numbers of its captions, one or more.

    Returns:
        int64 [Q] numbers of captions.
    """
    return np.array([captions_of_image[row[0]][0] for row in neighbours], np.int64)


def consensus_captions(
    neighbours: np.ndarray,
    captions_of_image: Sequence[Sequence[int]],
    similarity: Callable[[np.ndarray], np.ndarray],
    *,
    agreeing: int = AGREEING,
) -> np.ndarray:
    """Give for each query the caption of its neighbours that is most like the others.

    A caption's value is the sum of its similarities to the `agreeing` other candidates that are most like it.

    Args:
        neighbours: int [Q, K], from `nearest_images`.
        captions_of_image: for each candidate image the numbers of its captions, one or more.
        similarity: takes int [L] numbers of captions and gives float [L, L], how like each is to each; its diagonal
            is not looked at.
        agreeing: see above; all others where there are fewer.

    Returns:
        int64 [Q] numbers of captions.

    References: Devlin et al. 2015, "Exploring nearest neighbor approaches for image captioning", arXiv:1505.04467.
    """
    chosen = np.zeros(len(neighbours), np.int64)
    for query, images in enumerate(neighbours):
        numbers = np.concatenate([captions_of_image[image] for image in images]).astype(np.int64)
        similarities = np.array(similarity(numbers), np.float64)
        np.fill_diagonal(similarities, -np.inf)
        others = min(agreeing, len(numbers) - 1)
        # Sorted before they are summed, so that equal captions get equal sums whatever their order.
        best = -np.sort(-similarities, axis=1)[:, :others]
        chosen[query] = numbers[np.argmax(best.sum(axis=1))]
    return chosen
