"""How like captions of one collection are to each other: CIDEr-D between any two of them, many pairs at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.bleu_rouge_cider import CIDER_SIGMA
from eval.metrics.captions.ngrams import ORDERS, count_ngrams

Floats = NDArray[np.float64]


class CaptionSimilarity:
    """CIDEr-D of every caption of a collection against every other, with the collection's own n-gram weights.

    CIDEr-D counts an n-gram that one caption holds twice and another once as held once in common. As a matrix product:
    one column for the first, one for the second time that a caption holds it. Legend: M captions, E columns.

    Args:
        captions: for each image its tokenized captions, one or more; captions are numbered image after image.
    """

    def __init__(self, captions: Sequence[Sequence[str]]):
        from scipy.sparse import csr_array, hstack

        ngrams = count_ngrams([""] * len(captions), captions)
        num_captions = len(ngrams.reference_length)
        log_images = np.log(float(len(captions)))
        as_candidate, as_reference = [], []
        for grams in ngrams.orders:
            weight = log_images - np.log(np.maximum(grams.images_with, 1))  # [G]
            value = grams.reference_count * weight[grams.reference_gram]
            norm = np.sqrt(np.bincount(grams.reference, weights=value**2, minlength=num_captions))[grams.reference]
            share = np.divide(1, norm, out=np.zeros_like(norm), where=norm != 0)
            times = grams.reference_count
            most = int(times.max(initial=1))
            turn = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)  # 0, 1, .. within each entry
            place = (np.repeat(grams.reference, times), np.repeat(grams.reference_gram, times) * most + turn)
            shape = (num_captions, max(grams.size, 1) * most)
            once = weight[grams.reference_gram] * share
            as_candidate.append(csr_array((np.repeat(once, times), place), shape=shape))
            as_reference.append(csr_array((np.repeat(value * share, times), place), shape=shape))
        self._candidate = hstack(as_candidate, format="csr")  # [M, E]
        self._reference = hstack(as_reference, format="csr")
        self._pairs = np.maximum(ngrams.reference_length - 1, 0)  # CIDEr-D's length of a caption

    def between(self, numbers: NDArray[np.int64]) -> Floats:
        """Compare captions with each other.

        Args:
            numbers: int [L], captions of the collection, also repeatedly.

        Returns:
            float64 [L, L], 0..10: CIDEr-D of the row's caption with the column's as its only reference.
        """
        product = (self._candidate[numbers] @ self._reference[numbers].T).toarray()
        lengths = self._pairs[numbers]
        delta = lengths[:, None] - lengths[None, :]
        return 10 / ORDERS * product * np.exp(-(delta**2) / (2 * CIDER_SIGMA**2))
