"""Which directions of the teachers' features carry what people say of pictures: errors there weigh more."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

_RIDGE = 0.1  # of the mean variance of a direction
_MIN_IMAGES = 20  # that a word is said of


def word_table(captions: Sequence[Sequence[Sequence[str]]]) -> np.ndarray:
    """Say which words are said of which image.

    Args:
        captions: for each image its captions, each a list of words.

    Returns:
        float32 [N, W], the share of an image's captions with the word, for each word that is said of enough images;
        standardised per word, so that a rare word counts as much as a common one.
    """
    said = []
    for of_image in captions:
        said.append(Counter(word for caption in of_image for word in set(caption)))
    images = Counter(word for counts in said for word in counts)
    words = sorted(word for word, count in images.items() if count >= _MIN_IMAGES)
    numbers = {word: number for number, word in enumerate(words)}
    table = np.zeros((len(captions), len(words)), np.float32)
    for row, counts in enumerate(said):
        for word, count in counts.items():
            if word in numbers:
                table[row, numbers[word]] = count / len(captions[row])
    return (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-6)


def meaning_directions(features: np.ndarray, words: np.ndarray, width: int) -> np.ndarray:
    """Fit words to features by ridge regression, and give the map to the leading directions of what is predicted.

    The squared length of (error @ map) is, up to the directions left out, the squared error in the words that a linear
    reader of the teachers would predict (reduced-rank regression).

    Args:
        features: float [N, K], means over an image's cells.
        words: float [N, W], from `word_table`.
        width: how many directions.

    Returns:
        float32 [K, width].
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(centred)
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    to_words = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), centred.T @ words / len(centred))
    values, vectors = np.linalg.eigh(to_words.T @ covariance @ to_words)  # of the predicted words
    return (to_words @ vectors[:, np.argsort(-values)[:width]]).astype(np.float32)
