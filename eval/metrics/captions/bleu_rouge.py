"""BLEU and ROUGE-L of tokenized captions, equal to pycocoevalcap's.

All take N candidates and, for each, its references; a caption is a string of words joined by spaces. Scores are
pycocoevalcap's own, 0..1; higher is better. Tables print them times 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.ngrams import ORDERS, NgramCounts, require_pairs

Floats = NDArray[np.float64]

# pycocoevalcap's guards against 0/0; they show in the scores of very short captions.
_TINY = 1e-15
_SMALL = 1e-9
_BETA = 1.2  # weight of recall in ROUGE-L


@dataclass(frozen=True)
class Bleu:
    """BLEU of a set.

    Attributes:
        corpus: float64 [4], BLEU-1 to BLEU-4 of all candidates together; not the mean of the images.
        per_image: float64 [N, 4].
        statistics: float64 [N, 10], which add up over images: words, words of the closest reference, matched n-grams
            for n = 1..4, n-grams of the candidate for n = 1..4.
    """

    corpus: Floats
    per_image: Floats
    statistics: Floats


def bleu(ngrams: NgramCounts) -> Bleu:
    """Compute BLEU-1 to BLEU-4 with the closest reference length.

    References: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    length = ngrams.candidate_length
    num_images = len(length)
    columns: list[NDArray] = [length, _closest_length(ngrams)]
    for grams in ngrams.orders:
        has_partner = grams.partner >= 0
        largest = np.zeros(len(grams.candidate_count), np.int64)  # count in one reference
        np.maximum.at(largest, grams.partner[has_partner], grams.reference_count[has_partner])
        matched = np.minimum(largest, grams.candidate_count)
        columns.append(np.bincount(grams.candidate_image, weights=matched, minlength=num_images))
    for order in range(1, ORDERS + 1):
        columns.append(np.maximum(length - order + 1, 0))
    statistics = np.stack(columns, axis=1).astype(np.float64)
    return Bleu(bleu_from_statistics(statistics.sum(axis=0)), bleu_from_statistics(statistics), statistics)


def bleu_from_statistics(statistics: Floats) -> Floats:
    """Compute BLEU-1 to BLEU-4, float64 [..., 4], from statistics [..., 10] of one image or summed over many."""
    precisions = (statistics[..., 2:6] + _TINY) / (statistics[..., 6:10] + _SMALL)  # [..., 4]
    means = np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, ORDERS + 1))
    ratio = (statistics[..., 0] + _TINY) / (statistics[..., 1] + _SMALL)  # lengths
    return means * np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1)[..., None]


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Compute ROUGE-L, float64 [N], 0..1, of N tokenized captions; the score of the set is the mean.

    The best precision and the best recall may come from two references, as in pycocoevalcap. An empty caption scores 0.

    Raises:
        EvalError: other numbers of captions and references, no images, or an image without references.

    References: Lin and Och 2004, "Automatic evaluation of machine translation quality using longest common
        subsequence and skip-bigram statistics".
    """
    require_pairs(candidates, references)
    return np.array([_rouge_of(*pair) for pair in zip(candidates, references, strict=True)])


def _rouge_of(candidate: str, references: Sequence[str]) -> float:
    if not candidate:
        return 0.0
    words = candidate.split(" ")
    positions: dict[str, int] = {}  # for each word, a bit for each of its positions in the candidate
    for position, word in enumerate(words):
        positions[word] = positions.get(word, 0) | 1 << position
    precision = 0.0
    recall = 0.0
    for reference in references:
        others = reference.split(" ")
        common = _common_subsequence(positions, others, len(words))
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(others))
    if precision == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_subsequence(positions: dict[str, int], words: list[str], size: int) -> int:
    """Return the length of the longest common subsequence, one integer addition per word.

    A row of the usual table rises by 0 or 1 at each step; the zeros among the first `size` bits are its rises.
    References: Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    mask = (1 << size) - 1
    row = mask
    for word in words:
        if word in positions:
            match = row & positions[word]
            row = (row + match) | (row - match)
    return size - (row & mask).bit_count()


def _closest_length(ngrams: NgramCounts) -> NDArray[np.int64]:
    """Return int64 [N], the length of the reference that is closest in length, the shorter of two equally close."""
    image = ngrams.image_of_reference
    length = ngrams.reference_length
    distance = np.abs(length - ngrams.candidate_length[image])
    first = np.searchsorted(image, np.arange(len(ngrams.candidate_length)))
    order = np.lexsort((length, distance, image))
    return length[order[first]]
