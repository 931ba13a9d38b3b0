"""How like two captions are: CIDEr-D between rows of word numbers."""

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import DataError
from vislang.text.vocabulary import PAD

ORDERS = 4  # n-grams of 1 to 4 words
_SIGMA = 6.0  # of the penalty on other lengths, in words
_NO_GRAM = -1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class CaptionLikeness:
    """CIDEr-D of candidates against captions of a collection, which also says how much each n-gram weighs.

    A caption is a row of word numbers, padded with 0, without start or end mark.

    Args:
        words: int [M, T], the collection.
        image_of_caption: int [M], 0 or more; an n-gram weighs the less the more images have it.

    Raises:
        DataError: word numbers so large that four of them do not fit into one whole number.

    References: Vedantam et al. 2015, arXiv:1411.5726.
    """

    def __init__(self, words: np.ndarray, image_of_caption: np.ndarray):
        self._base = int(words.max(initial=0)) + 2
        if self._base**ORDERS > np.iinfo(np.int64).max:
            raise DataError(f"word numbers go up to {self._base - 2}, expected below 55107; raise min_count")
        self._lengths = _lengths(words)
        self._codes = self._ngrams(words)
        self._tables = []  # for each order the n-grams, sorted, and their weights
        images = len(np.unique(image_of_caption))
        for codes in self._codes:
            row, place = np.nonzero(codes != _NO_GRAM)
            pairs = np.unique(np.stack([codes[row, place], np.asarray(image_of_caption)[row]]), axis=1)
            grams, images_with = np.unique(pairs[0], return_counts=True)
            self._tables.append((grams, np.log(images / images_with)))
        self._unseen = float(np.log(images))
        self._norms = np.stack(
            [self._norms_of(codes, order) for order, codes in enumerate(self._codes)], axis=1
        )  # [M, orders]

    def __call__(self, candidates: np.ndarray, captions: np.ndarray) -> Floats:
        """Score every candidate against every one of some captions.

        Args:
            candidates: int [K, S], padded with 0.
            captions: int [R], rows of the collection.

        Returns:
            float64 [K, R], 0 to 10; the mean over captions of one image is its CIDEr-D.
        """
        total = np.zeros((len(candidates), len(captions)))
        for order, codes in enumerate(self._ngrams(candidates)):
            grams = np.unique(codes[codes != _NO_GRAM])
            weight = self._weights(grams, order)
            written = _counted(codes, grams) * weight  # [K, G]
            given = _counted(self._codes[order][captions], grams) * weight  # [R, G]
            product = (np.minimum(written[:, None], given) * given).sum(axis=-1)
            norms = self._norms_of(codes, order)[:, None] * self._norms[captions, order]
            total += np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)
        # Lengths count in pairs of words, as in the metric's own code: 0 and 1 word are equally long.
        lengths, others = (np.maximum(one - 1, 0) for one in (_lengths(candidates), self._lengths[captions]))
        return 10 / ORDERS * total * np.exp(-((lengths[:, None] - others) ** 2) / (2 * _SIGMA**2))

    def _ngrams(self, words: np.ndarray) -> list[Ints]:
        """Give for each order int64 [M, T - order + 1], every n-gram as one number."""
        lengths, found = _lengths(words), []
        codes = np.zeros(words.shape, np.int64)
        numbers = np.minimum(words, self._base - 1)  # a word that the collection lacks has no weight of its own
        for order in range(1, ORDERS + 1):
            places = max(words.shape[1] - order + 1, 0)
            codes = codes[:, :places] * self._base + numbers[:, order - 1 : order - 1 + places]
            found.append(np.where(np.arange(places) <= (lengths - order)[:, None], codes, _NO_GRAM))
        return found

    def _weights(self, grams: Ints, order: int) -> Floats:
        known, weights = self._tables[order]
        place = np.minimum(np.searchsorted(known, grams), max(len(known) - 1, 0))
        if not len(known):
            return np.full(len(grams), self._unseen)
        return np.where(known[place] == grams, weights[place], self._unseen)

    def _norms_of(self, codes: Ints, order: int) -> Floats:
        """Give float64 [M], the length of each caption's vector of weighted counts."""
        row, place = np.nonzero(codes != _NO_GRAM)
        pairs, counts = np.unique(np.stack([row, codes[row, place]]), axis=1, return_counts=True)
        weighted = counts * self._weights(pairs[1], order)
        return np.sqrt(np.bincount(pairs[0], weighted**2, minlength=len(codes)))


def _lengths(words: np.ndarray) -> Ints:
    return (np.asarray(words) != PAD).sum(axis=1).astype(np.int64)


def _counted(codes: Ints, grams: Ints) -> Floats:
    """Count in each row of int64 [M, P] the n-grams asked for, int64 [G] and sorted; float64 [M, G]."""
    counts = np.zeros((len(codes), len(grams)))
    if len(grams):
        place = np.minimum(np.searchsorted(grams, codes), len(grams) - 1)
        row, column = np.nonzero(grams[place] == codes)
        np.add.at(counts, (row, place[row, column]), 1)
    return counts
