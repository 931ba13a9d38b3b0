"""The directions of the teachers' features that predict caption words, in which the distillation loss weighs more."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

_RIDGE = 0.1  # share of the mean variance of a direction
_MIN_IMAGES = 20  # images whose captions a word must occur in


def word_table(captions: Sequence[Sequence[Sequence[str]]]) -> np.ndarray:
    """Return which words the captions of which image contain.

    Args:
        captions: for each image its captions, each a list of words.

    Returns:
        float32 [N, W], the share of an image's captions that contain the word, for each word that enough images have;
        standardised per word, so that a rare word counts as much as a common one.
    """
    counts_of_images = []
    num_images: Counter[str] = Counter()
    for of_image in captions:
        counts = Counter(word for caption in of_image for word in set(caption))
        counts_of_images.append(counts)
        num_images.update(counts.keys())
    words = sorted(word for word, count in num_images.items() if count >= _MIN_IMAGES)
    columns = {word: column for column, word in enumerate(words)}
    table = np.zeros((len(captions), len(words)), np.float32)
    for row, counts in enumerate(counts_of_images):
        for word, count in counts.items():
            if word in columns:
                table[row, columns[word]] = count / len(captions[row])
    return (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-6)


def caption_directions(features: np.ndarray, words: np.ndarray, count: int) -> np.ndarray:
    """Fit words to features by ridge regression, and return the map to the leading directions of the predictions.

    The squared length of (error @ map) is, up to the directions left out, the squared error of the words that a linear
    model would predict from the teachers' features.

    Args:
        features: float [N, K], means over the cells of an image.
        words: float [N, W], from `word_table`.
        count: number of directions.

    Returns:
        float32 [K, count].

    References: reduced-rank regression, Izenman 1975.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(centred)
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    to_words = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), centred.T @ words / len(centred))
    values, vectors = np.linalg.eigh(to_words.T @ covariance @ to_words)  # of the predicted words
    return (to_words @ vectors[:, np.argsort(-values)[:count]]).astype(np.float32)
