"""Phrase grounding: the scores of an image's regions for the phrases of its sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from captioner.alignment.inference import TrainedAligner
from captioner.alignment.segments import stds_over_regions
from vislang.features.cache.reader import FeatureCache

_BATCH = 64  # images


def phrase_scores(
    model: TrainedAligner, cache: FeatureCache, ids: Sequence[str], notes: Mapping[str, Any]
) -> Iterator[list[np.ndarray]]:
    """Score all regions of each image for each of its phrases.

    Args:
        cache: an open cache that holds the images.
        notes: for each its `sentences`, tuples of words, and `phrases` with `sentence` and `words`.

    Returns:
        for each image a list with float32 [R] for each phrase: the sum of v_i . s_t over its words t, read in their
        sentence, and the regions' priors; these alone for a phrase without words that the model reads.
    """
    for start in range(0, len(ids), _BATCH):
        names = ids[start : start + _BATCH]
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
                image = owners[row]
                found = np.where(images.mask[image], found, -np.inf)
                scores.append(found + (stds_over_regions(found) or 1.0) * images.priors[image])
            first += len(notes[name].sentences)
            yield scores
