"""CIDEr-D of tokenized captions: of candidates against their references, and between captions of a collection.

    g(c)_k = count_k(c) log(D / df_k)          for each n-gram k of n words; df_k of D images have it in a caption
    s_n(c, r) = sum_k min(g(c)_k, g(r)_k) g(r)_k / (|g(c)| |g(r)|)
    CIDEr-D(c, r) = 10 / 4 sum_n s_n(c, r) exp(-(l_c - l_r)^2 / (2 sigma^2))          n = 1..4, sigma = 6 words

Letters: N images, M references or captions of a collection, G different n-grams, E entries (an n-gram of a caption).

References: Vedantam et al. 2015, arXiv:1411.5726, with the clipping and the length penalty of CIDEr-D.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import ORDERS, NgramCounts
from vislang.core.errors import EvalError

_SIGMA = 6.0  # of the penalty on different lengths, in words
_PADDING = 0
_NO_GRAM = -1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cider(ngrams: NgramCounts, *, df: DocumentFrequencies | None = None) -> Floats:
    """Compute CIDEr-D for each image, float64 [N], 0..10; the score of the set is the mean.

    `df` holds the frequencies of a large collection; None takes them from the references given, as published scores do:
    then every score depends on the set, and is 0 for a single image.
    """
    num_images = len(ngrams.candidate_length)
    num_references = len(ngrams.reference_length)
    log_images = np.log(float(num_images))
    if df is not None:
        log_images = math.log(df.num_images)
    similarity = np.zeros(num_references)
    for order, grams in enumerate(ngrams.orders, start=1):
        images_with = grams.images_with
        if df is not None:
            images_with = df.images_with(ngrams.spelled(order))
        idf = log_images - np.log(np.maximum(images_with, 1))  # [G]
        candidate = _normalised(idf[grams.candidate_gram], grams.candidate_image, grams.candidate_count, num_images)
        reference = _normalised(idf[grams.reference_gram], grams.reference, grams.reference_count, num_references)
        # An n-gram that the candidate lacks has partner -1, which takes the 0 at the end.
        shared = np.minimum(np.append(grams.candidate_count, 0)[grams.partner], grams.reference_count)
        terms = shared * np.append(candidate, 0)[grams.partner] * grams.reference_count * reference
        similarity += np.bincount(grams.reference, weights=terms, minlength=num_references)
    image = ngrams.image_of_reference
    scores = _penalised(similarity, ngrams.candidate_length[image], ngrams.reference_length)
    return np.bincount(image, weights=scores) / np.bincount(image)


class PairwiseCider:
    """CIDEr-D between captions, with the document frequencies of a collection.

    Captions are rows of word ids, padded with 0, without start or end mark. An n-gram has as many columns in a sparse
    matrix as its largest count in a caption, and a caption with t of it fills the first t columns, so that the product
    of two rows is clipped at the smaller count.

    Args:
        words: int [M, T], the captions of the collection.
        image_of_caption: int [M], the image of each.

    Raises:
        EvalError: word ids so large that four of them do not fit into one 64-bit integer.
    """

    def __init__(self, words: np.ndarray, image_of_caption: np.ndarray):
        self._base = int(words.max(initial=0)) + 2
        if self._base**ORDERS > np.iinfo(np.int64).max:
            raise EvalError(f"word ids go up to {self._base - 2}, expected below 55107; raise min_count")
        self._lengths = _lengths(words)
        _, images = np.unique(image_of_caption, return_inverse=True)
        codes_of_orders = self._ngram_codes(words)
        self._tables = [_count_images(codes, images) for codes in codes_of_orders]
        self._references = self._tf_idf(codes_of_orders, times_count=True)  # [M, columns]

    def __call__(self, candidates: np.ndarray, captions: np.ndarray) -> Floats:
        """Score every candidate against each of some captions of the collection.

        Args:
            candidates: int [K, S], word ids padded with 0.
            captions: int [R], rows of the collection.

        Returns:
            float64 [K, R], 0..10; the mean over the captions of one image is the CIDEr-D for that image.
        """
        vectors = self._tf_idf(self._ngram_codes(candidates), times_count=False)  # [K, columns]
        similarity = (vectors @ self._references[captions].T).toarray()
        return _penalised(similarity, _lengths(candidates)[:, None], self._lengths[captions])

    def _ngram_codes(self, words: np.ndarray) -> list[Ints]:
        """Return for n = 1..4 int64 [M, T - n + 1], each n-gram as one integer, _NO_GRAM in the padding."""
        lengths = _lengths(words)
        ids = np.minimum(words, self._base - 1)  # all words that the collection lacks share an id
        codes = np.zeros(words.shape, np.int64)
        codes_of_orders = []
        for order in range(1, ORDERS + 1):
            places = max(words.shape[1] - order + 1, 0)
            codes = codes[:, :places] * self._base + ids[:, order - 1 : order - 1 + places]
            inside = np.arange(places) <= (lengths - order)[:, None]
            codes_of_orders.append(np.where(inside, codes, _NO_GRAM))
        return codes_of_orders

    def _tf_idf(self, codes_of_orders: list[Ints], *, times_count: bool) -> Any:
        """Return the tf-idf vectors of captions, each order of length 1, as a sparse float64 [M, columns].

        With `times_count` entries are count times idf, as a reference has them, else idf alone.
        """
        from scipy.sparse import csr_array

        rows: list[Ints] = []
        columns: list[Ints] = []
        values: list[Floats] = []
        num_captions = len(codes_of_orders[0])
        num_columns = 0
        for codes, table in zip(codes_of_orders, self._tables, strict=True):
            grams = _count(codes)
            place = np.searchsorted(table.codes, grams.codes)
            known = table.codes[place] == grams.codes
            idf = np.where(known, table.idf[place], table.idf[-1])[grams.gram]
            value = _normalised(idf, grams.caption, grams.count, num_captions)
            if times_count:
                value = value * grams.count
            kept = known[grams.gram]
            times = np.minimum(grams.count[kept], table.most)
            turn = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)  # 0, 1, ... of each n-gram
            rows.append(np.repeat(grams.caption[kept], times))
            columns.append(num_columns + np.repeat(place[grams.gram[kept]] * table.most, times) + turn)
            values.append(np.repeat(value[kept], times))
            num_columns += len(table.codes) * table.most
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return csr_array(entries, shape=(num_captions, num_columns))


@dataclass(frozen=True)
class _Grams:
    """The n-grams of one order in some captions."""

    codes: Ints  # int64 [G], sorted
    caption: Ints  # int64 [E], the caption of each entry
    gram: Ints  # int64 [E], its n-gram, a row of `codes`
    count: Ints  # int64 [E], how often the caption holds it, 1 or more


@dataclass(frozen=True)
class _GramTable:
    """The n-grams of one order in a collection."""

    codes: Ints  # int64 [G + 1], sorted; the last stands for all n-grams that the collection lacks
    idf: Floats  # float64 [G + 1]
    most: int  # how often a caption holds one n-gram at most, 1 or more


def _count(codes: Ints) -> _Grams:
    """Count the n-grams of each row of int64 [M, P]."""
    caption, place = np.nonzero(codes != _NO_GRAM)
    different, gram = np.unique(codes[caption, place], return_inverse=True)
    size = max(len(different), 1)
    entries, count = np.unique(caption * size + gram, return_counts=True)
    return _Grams(codes=different, caption=entries // size, gram=entries % size, count=count)


def _count_images(codes: Ints, images: Ints) -> _GramTable:
    """Weigh the n-grams of int64 [M, P] by how many images, int64 [M] of 0 .. D - 1, have them in a caption."""
    grams = _count(codes)
    num_images = int(images.max(initial=0)) + 1
    of_images = np.unique(grams.gram * num_images + images[grams.caption])
    images_with = np.bincount(of_images // num_images, minlength=len(grams.codes))
    return _GramTable(
        codes=np.append(grams.codes, np.iinfo(np.int64).max),
        idf=np.log(num_images / np.append(images_with, 1)),
        most=int(grams.count.max(initial=1)),
    )


def _normalised(idf: Floats, caption: Ints, count: Ints, num_captions: int) -> Floats:
    """Divide the idf of entries, float64 [E], by the length of their caption's vector of count times idf."""
    squares = np.bincount(caption, weights=np.square(count * idf), minlength=num_captions)
    norm = np.sqrt(squares)[caption]
    return np.divide(idf, norm, out=np.zeros_like(norm), where=norm != 0)


def _penalised(similarity: Floats, candidate_length: Ints, reference_length: Ints) -> Floats:
    """Turn sums of cosines over the orders into CIDEr-D; all three arguments have one shape or broadcast to it."""
    # pycocoevalcap counts a caption's length in its pairs of words, so 0 and 1 word are equally long.
    delta = np.maximum(candidate_length - 1, 0) - np.maximum(reference_length - 1, 0)
    return 10 / ORDERS * similarity * np.exp(-np.square(delta) / (2 * _SIGMA**2))


def _lengths(words: np.ndarray) -> Ints:
    return (np.asarray(words) != _PADDING).sum(axis=1)
