"""The n-grams of all captions of a run, counted once and shared by BLEU and CIDEr.

Words and n-grams become integers, so that counting is sorting: no dictionary of tuples for each caption.
Letters: N images with one candidate each, M references, G different n-grams of one order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vislang.core.errors import EvalError

ORDERS = 4  # BLEU-4 and CIDEr both count n-grams of 1 to 4 words

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grams:
    """The n-grams of one order; an entry is one n-gram with its count in one caption."""

    size: int  # G
    first_word: Ints  # int64 [G], the position in all words of the run where each n-gram first occurs
    candidate_image: Ints  # int64 [C], the image of each entry of the candidates, never falling
    candidate_gram: Ints  # int64 [C], its n-gram, 0..G-1
    candidate_count: Ints  # int64 [C], how often the candidate holds it, 1 or more
    reference: Ints  # int64 [R], the reference of each entry of the references, 0..M-1, never falling
    reference_gram: Ints  # int64 [R]
    reference_count: Ints  # int64 [R]
    partner: Ints  # int64 [R], the entry of the same image's candidate with the same n-gram, -1 for none
    images_with: Ints  # int64 [G], the number of images that hold the n-gram in a reference: CIDEr's document frequency


@dataclass(frozen=True)
class NgramCounts:
    """The counted captions of a run, for BLEU and CIDEr."""

    orders: tuple[Grams, ...]  # the n-grams of 1, 2, 3 and 4 words
    words: Ints  # int64 [W], the ids of all words of the run, one after another
    vocabulary: list[str]  # the word of each id
    candidate_length: Ints  # int64 [N] words in each candidate
    reference_length: Ints  # int64 [M] words in each reference
    image_of_reference: Ints  # int64 [M], 0..N-1, never falling

    def spelled(self, order: int) -> list[str]:
        """Return the text of the n-grams of `order` words, 1..4, in the order of their indices."""
        starts = self.orders[order - 1].first_word
        columns = []
        for step in range(order):
            columns.append([self.vocabulary[word] for word in self.words[starts + step].tolist()])
        return list(map(" ".join, zip(*columns, strict=True)))


def count_ngrams(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> NgramCounts:
    """Count the n-grams of 1 to 4 words of N tokenized captions and their references, one or more each.

    Raises:
        EvalError: other numbers of both, no images, or an image without references.
    """
    require_pairs(candidates, references)
    image_of_reference = np.repeat(np.arange(len(candidates)), list(map(len, references)))
    ids: dict[str, int] = {}
    flat: list[int] = []
    lengths = []
    for caption in chain(candidates, *references):
        words = caption.split()
        lengths.append(len(words))
        flat.extend([ids.setdefault(word, len(ids)) for word in words])
    words_of_run = np.array(flat, np.int64)
    length = np.array(lengths, np.int64)
    num_images = len(candidates)
    return NgramCounts(
        orders=_orders(words_of_run, length, len(ids), image_of_reference, num_images),
        words=words_of_run,
        vocabulary=list(ids),
        candidate_length=length[:num_images],
        reference_length=length[num_images:],
        image_of_reference=image_of_reference,
    )


def word_rows(captions: Sequence[str]) -> Ints:
    """Turn captions into rows of word ids, int64 [M, T], 1 or more in the order of appearance, padded with 0."""
    ids: dict[str, int] = {}
    rows = []
    for caption in captions:
        rows.append([ids.setdefault(word, len(ids) + 1) for word in caption.split()])
    result = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
    for target, row in zip(result, rows, strict=True):
        target[: len(row)] = row
    return result


def require_pairs(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse candidates and references that do not belong together.

    Raises:
        EvalError: other numbers of both, no images, or an image without references.
    """
    if len(candidates) != len(references):
        raise EvalError(
            f"got {len(candidates)} candidates and references of {len(references)} images, expected one candidate each"
        )
    if not candidates:
        raise EvalError("got no captions, expected at least one image; check the results file and the split")
    bare = [row for row, captions in enumerate(references) if not captions]
    if bare:
        raise EvalError(f"{len(bare)} images have no reference (rows {bare[:5]}), expected one or more; leave them out")


def _orders(words: Ints, length: Ints, num_words: int, image_of_reference: Ints, num_images: int) -> tuple[Grams, ...]:
    caption = np.repeat(np.arange(len(length)), length)  # [W]
    left = np.repeat(np.cumsum(length), length) - np.arange(len(words))  # words from here to the caption's end
    starts = np.arange(len(words))
    codes = np.zeros(len(words), np.int64)
    orders = []
    for order in range(1, ORDERS + 1):
        keep = left[starts] >= order
        starts = starts[keep]
        codes = codes[keep] * max(num_words, 1) + words[starts + order - 1]  # the shorter n-gram and one more word
        _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
        orders.append(_entries(caption[starts], codes, starts[first], image_of_reference, num_images))
    return tuple(orders)


def _entries(caption: Ints, gram: Ints, first_word: Ints, image_of_reference: Ints, num_images: int) -> Grams:
    size = max(len(first_word), 1)
    keys, counts = np.unique(caption * size + gram, return_counts=True)
    caption, gram = np.divmod(keys, size)
    cut = np.searchsorted(caption, num_images)  # candidates come first
    reference = caption[cut:] - num_images
    pairs = image_of_reference[reference] * size + gram[cut:]  # [R] image and n-gram as one integer
    place = np.searchsorted(keys[:cut], pairs)
    same = np.append(keys[:cut], -1)[place] == pairs
    images_with = np.bincount(np.unique(pairs) % size, minlength=len(first_word))
    return Grams(
        size=len(first_word),
        first_word=first_word,
        candidate_image=caption[:cut],
        candidate_gram=gram[:cut],
        candidate_count=counts[:cut],
        reference=reference,
        reference_gram=gram[cut:],
        reference_count=counts[cut:],
        partner=np.where(same, place, -1),
        images_with=images_with,
    )
