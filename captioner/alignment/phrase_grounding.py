"""Where phrases of a sentence are in its picture: the regions ordered by the products with the phrase's words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from captioner.alignment.inference import TrainedAligner
from captioner.alignment.segments import spreads
from vislang.features.cache.reader import FeatureCache

_PICTURES = 64


def phrase_scores(
    model: TrainedAligner, cache: FeatureCache, ids: Sequence[str], notes: Mapping[str, Any]
) -> Iterator[list[np.ndarray]]:
    """Score all regions of each picture for each of its phrases.

    Args:
        model: from `captioner.load_aligner`.
        cache: an open cache that holds the pictures.
        ids: the pictures.
        notes: for each its `sentences`, tuples of words, and `phrases` with `sentence` and `words`.

    Returns:
        for each picture a list with float32 [R] for each phrase: the sum of v_i . s_t over its words t, read in their
        sentence, and the regions' priors. A phrase without a word that the model reads, such as punctuation or what
        lies behind the longest sentence it knows, is answered by the priors alone.
    """
    for start in range(0, len(ids), _PICTURES):
        names = ids[start : start + _PICTURES]
        images = model.encode_cached(cache, names)
        sentences = [sentence for name in names for sentence in notes[name].sentences]
        owners = np.array([row for row, name in enumerate(names) for _ in notes[name].sentences])
        encoded, spans = model.encode_split(sentences)
        products = model.products(images[owners], encoded)  # [S, T, R]
        first = 0
        for name in names:
            scores = []
            for phrase in notes[name].phrases:
                row = first + phrase.sentence
                inside = spans[row][slice(*phrase.words)]
                found = products[row, inside[0][0] : inside[-1][1]].sum(axis=0)
                picture = owners[row]
                found = np.where(images.mask[picture], found, -np.inf)
                scores.append(found + (spreads(found) or 1.0) * images.priors[picture])
            first += len(notes[name].sentences)
            yield scores
