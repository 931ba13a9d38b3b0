"""Regions by a ranker's maps: how well each region holds the cells that add to the ranker's score of a text.

An aligner tells what a region shows, a map how far it reaches: both together find whole things.

Letters: T texts, R regions, H x W cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vislang.core.boxes import areas
from vislang.features.regions.roi_align import roi_align
from vislang.text.function_words import FUNCTION_WORDS, texts_of_words
from vislang.text.tokenizer import tokenize_split
from vse.cell_maps import smooth_cells

_WEIGHT = 0.3  # of each of both measures, in standard deviations; chosen on dev, see docs/experiments.md
_TINY = 1e-6


@dataclass(frozen=True)
class MapFits:
    """How well each of R regions holds the map of each of T texts.

    Attributes:
        overlaps: float32 [T, R], intersection over union of region and map, 0 to 1.
        contrasts: float32 [T, R], mean score of the cells inside the region less that of the whole image.
    """

    overlaps: np.ndarray
    contrasts: np.ndarray


def map_fits(scores: np.ndarray, boxes: np.ndarray) -> MapFits:
    """Compare boxes with the maps of texts.

    Args:
        scores: float [T, H, W], from `cell_scores` of a ranker from `vse.load_model`.
        boxes: float [R, 4] in shares of the sides, each with an area.
    """
    scores = smooth_cells(scores)
    means = roi_align(np.moveaxis(scores, 0, -1)[None], boxes[None])[0].T
    return MapFits(soft_overlaps(scores, boxes), means - scores.mean(axis=(1, 2))[:, None])


def map_priors(scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Compute what the map of each text adds to each region's products, float32 [T, R].

    The unit is the standard deviation of the products over the regions, as for the other priors. Half of it comes from
    the overlap of the box with the map, half from the mean score inside the box.

    Args:
        scores: float [T, H, W], as for `map_fits`; the priors of a map without any score are 0.
        boxes: float [R, 4] in shares of the sides, rows of 0 for padding, whose priors are 0.
    """
    priors = np.zeros((len(scores), len(boxes)), np.float32)
    real = areas(boxes) > 0
    fits = map_fits(scores, boxes[real])
    priors[:, real] = _WEIGHT * (_standardised(fits.overlaps) + _standardised(fits.contrasts))
    return priors


def soft_overlaps(scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each box with each map, float32 [T, R].

    A map is the square root of the scores, float [T, H, W], cut off at 0 and divided by the highest; its mean over the
    image is its area, and its mean over a box, times that of the box, the intersection.
    """
    highest = np.maximum(scores.max(axis=(1, 2), keepdims=True), _TINY)
    maps = np.sqrt(np.clip(scores / highest, 0.0, 1.0))
    sizes = areas(boxes)
    common = roi_align(np.moveaxis(maps, 0, -1)[None], boxes[None])[0].T * sizes
    return common / (sizes + maps.mean(axis=(1, 2))[:, None] - common)


def priors_of_words(ranker: Any, cells: np.ndarray, boxes: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Compute `map_priors` of the T tokens of a sentence, which is given as words: float32 [T, R].

    Args:
        ranker: from `vse.load_model`.
        cells: float [H, W, F], from its `encode_cells`.
        boxes: as for `map_priors`.
        words: of the sentence.

    The words between two function words are read together. Function words, which have no place, have the priors of the
    words that they lead to.
    """
    tokens, _ = tokenize_split(words)
    texts = texts_of_words(tokens)
    last = ""
    for place in reversed(range(len(texts))):
        is_last = place + 1 == len(texts) or tokens[place + 1] in FUNCTION_WORDS
        if texts[place] and is_last:
            last = texts[place]
        texts[place] = last
    return map_priors(ranker.cell_scores(cells, texts), boxes)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Scale float [T, R] to mean 0 and standard deviation 1 over R; 0 where all are equal."""
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / (values.std(axis=1, keepdims=True) + _TINY)
