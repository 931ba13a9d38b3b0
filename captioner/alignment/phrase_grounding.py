"""Phrase grounding: the scores of an image's regions for the phrases of its sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from captioner.alignment.inference import TrainedAligner, stds_over_regions
from captioner.alignment.region_maps import map_priors
from vislang.features.cache.reader import FeatureCache
from vislang.text.tokenizer import tokenize_split

_BATCH = 64  # images


@dataclass(frozen=True)
class Phrase:
    """Words of a sentence.

    Attributes:
        sentence: its index among those of the image.
        words: (first, after the last) in it.
    """

    sentence: int
    words: tuple[int, int]


@dataclass(frozen=True)
class Notes:
    """The sentences of an image, as words, and their phrases."""

    sentences: Sequence[Sequence[str]]
    phrases: Sequence[Phrase]


def phrase_scores(
    model: TrainedAligner,
    cache: FeatureCache,
    ids: Sequence[str],
    notes: Mapping[str, Any],
    added: Iterable[np.ndarray] | None = None,
) -> Iterator[list[np.ndarray]]:
    """Score all regions of each image for each of its phrases.

    Args:
        cache: an open cache that holds the images.
        notes: for each its sentences and phrases, as `Notes` or the annotations of a data set.
        added: to the priors, for each image float [P, R] of its P phrases, from `phrase_map_priors`; None:
            the aligner alone.

    Returns:
        for each image a list with float32 [R] for each phrase: the sum of v_i . s_t over its words t, read in their
        sentence, and the regions' priors; for a phrase without words that the model reads the priors alone.
    """
    of_images = iter(added or ())
    for start in range(0, len(ids), _BATCH):
        names = ids[start : start + _BATCH]
        images = model.encode_cached(cache, names)
        sentences = [sentence for name in names for sentence in notes[name].sentences]
        owners = np.array([row for row, name in enumerate(names) for _ in notes[name].sentences])
        encoded, spans = model.encode_split(sentences)
        products = model.products(images[owners], encoded)  # [S, T, R]
        first = 0
        for image, name in enumerate(names):
            phrases = notes[name].phrases
            priors = np.tile(images.priors[image], (len(phrases), 1))
            if added is not None:
                priors += next(of_images)[:, : priors.shape[1]]
            scores = []
            for phrase, of_phrase in zip(phrases, priors, strict=True):
                row = first + phrase.sentence
                inside = spans[row][slice(*phrase.words)]
                found = products[row, inside[0][0] : inside[-1][1]].sum(axis=0)
                found = np.where(images.mask[image], found, -np.inf)
                scores.append(found + (stds_over_regions(found) or 1.0) * of_phrase)
            first += len(notes[name].sentences)
            yield scores


def phrase_map_priors(
    ranker: Any, cells: Iterable[np.ndarray], boxes: Iterable[np.ndarray], notes: Iterable[Any]
) -> Iterator[np.ndarray]:
    """Yield what the ranker's maps add to the regions of each image for each of its phrases, float32 [P, R].

    Args:
        ranker: from `vse.load_model`.
        cells: of each image, float [H, W, F], from its `encode_cells`.
        boxes: of each image, float [R, 4] in shares of the sides.
        notes: of each image, as for `phrase_scores`. A phrase without words is read as its whole sentence.
    """
    images = zip(cells, boxes, notes, strict=True)
    while block := list(islice(images, _BATCH)):
        all_texts = [_texts_of_phrases(note) for _, _, note in block]
        rows = {text: row for row, text in enumerate(dict.fromkeys(chain.from_iterable(all_texts)))}
        if not rows:
            yield from (np.zeros((0, len(regions)), np.float32) for _, regions, _ in block)
            continue
        weights = ranker.cell_weights(list(rows))  # of many texts at once, which often recur
        for (of_image, regions, _), texts in zip(block, all_texts, strict=True):
            of_texts = weights[np.array([rows[text] for text in texts], int)]
            yield map_priors(of_texts.scores(of_image), regions)


def _texts_of_phrases(note: Any) -> list[str]:
    texts = []
    for phrase in note.phrases:
        tokens, spans = tokenize_split(note.sentences[phrase.sentence])
        first, last = phrase.words
        texts.append(" ".join(tokens[spans[first][0] : spans[last - 1][1]] or tokens))
    return texts
