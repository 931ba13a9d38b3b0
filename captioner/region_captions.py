"""Regions of an image with words: written for each region, or taken from a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captioner.alignment.inference import EncodedFragments, TrainedAligner, encode_sentence
from captioner.alignment.noun_phrases import with_determiners
from captioner.alignment.region_maps import map_fits, priors_of_words
from captioner.alignment.segments import segment_sentences
from captioner.decoding.options import DecodeOptions
from captioner.inference import Caption, TrainedCaptioner
from vislang.backbones.feature_name import FeatureName
from vislang.core.boxes import areas, nesting, overlaps
from vislang.core.errors import ConfigError, shown
from vislang.features.descriptors import join_layers
from vislang.features.reading_options import ReadingOptions
from vislang.text.function_words import FUNCTION_WORDS
from vislang.text.vocabulary import UNKNOWN
from vislang.training.trained_model import TrainedModel

# Of captions re-ranked by a ranker's maps; chosen on dev, see docs/experiments.md.
CANDIDATES = DecodeOptions(num=20, width=20, no_repeat_ngram=2)
_OVERLAP_WEIGHT = 2.0
_CONTRAST_WEIGHT = 0.4
_SAME = 0.6  # intersection over union of regions that repeat each other
_NESTED = 0.5  # intersection over the smaller region, of regions whose texts end with one noun


@dataclass(frozen=True)
class Region:
    """A part of an image and its words.

    Attributes:
        box: corners in shares of the image's sides; (0, 0, 1, 1) is the whole image.
        score: of a written caption the mean natural logarithm of its words' probabilities; of a phrase of a sentence
            the mean product of its words with the region, in standard deviations of all products of the sentence.
            Higher is more certain.
    """

    box: tuple[float, float, float, float]
    text: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"box": [round(edge, 4) for edge in self.box], "text": self.text, "score": round(self.score, 4)}


def describe_regions(
    model: TrainedCaptioner, image: Any, max_regions: int, ranker: Any, options: ReadingOptions
) -> list[Region]:
    """Caption the regions of an image; arguments and errors are those of `captioner.describe_regions`."""
    layers = [layer for layer in model.config.layers if FeatureName.parse(layer).kind == "described"]
    if not layers:
        raise ConfigError(
            f"this captioner reads {', '.join(model.config.layers)} of whole images, expected one trained on regions:"
            " python -m captioner.make_snippets, then python -m captioner.train --dataset karpathy --preset regions"
        )
    boxes, features = _encoded(model, image, layers[:1], options)
    real = np.flatnonzero(areas(boxes[:, :4]) > 0)
    cells = None
    if ranker is not None:
        (cells,) = ranker.encode_cells([image], replace(options, proposals=None))
    captions = caption_boxes(model, features[layers[0]][0][real][:, None], boxes[real, :4], ranker, cells)
    whole = []
    found = []
    doubts = []
    for row, best in zip(real, captions, strict=True):
        if best is None:
            continue
        score = float(best.log_prob) / max(len(best.probabilities), 1)
        region = Region(_corners(boxes[row]), best.text, score)
        if row == 0:
            whole.append(region)
        else:
            found.append(region)
            doubts.append(-score - float(np.log(max(boxes[row, 4], 1e-6))))  # of the words, and of the box
    return least_doubtful(found, doubts, max_regions) or whole


def caption_boxes(
    model: TrainedCaptioner, descriptors: np.ndarray, boxes: np.ndarray, ranker: Any, cells: np.ndarray | None
) -> list[Caption | None]:
    """Write the caption of each of the R boxes of an image.

    Args:
        descriptors: float [R, N, F], what the captioner reads of each box.
        boxes: float [R, 4] in shares of the sides, each with an area.
        ranker: from `vse.load_model`: of the `CANDIDATES` the one is taken whose map also fits the box. None: the
            most probable caption.
        cells: float [H, W, F], from its `encode_cells`; None without a ranker.

    Returns:
        for each box its caption; None where the captioner writes nothing.
    """
    if ranker is None or cells is None:
        all_written = model.caption_descriptors(descriptors)
        return [written[0] if written and written[0].text else None for written in all_written]
    candidates = [_whole_phrases(written) for written in model.caption_descriptors(descriptors, options=CANDIDATES)]
    texts = list(dict.fromkeys(one.text for of_box in candidates for one in of_box))
    if not texts:
        return [None] * len(boxes)
    fits = map_fits(ranker.cell_scores(cells, texts), boxes)
    rows = {text: row for row, text in enumerate(texts)}
    chosen: list[Caption | None] = []
    for number, of_box in enumerate(candidates):
        scores = []
        for one in of_box:
            at = (rows[one.text], number)
            per_word = one.log_prob / len(one.text.split())
            scores.append(per_word + _OVERLAP_WEIGHT * fits.overlaps[at] + _CONTRAST_WEIGHT * fits.contrasts[at])
        chosen.append(of_box[int(np.argmax(scores))] if of_box else None)
    return chosen


def _whole_phrases(written: Sequence[Caption]) -> list[Caption]:
    """Return the captions that do not end with a function word, which were cut off; all where each one does."""
    whole = [one for one in written if one.text and one.text.split()[-1] not in FUNCTION_WORDS]
    return whole or [one for one in written if one.text]


def least_doubtful(found: Sequence[Region], doubts: Sequence[float], max_regions: int) -> list[Region]:
    """Return the regions of least doubt, at most `max_regions`, without those whose place or words are repeated."""
    kept: list[Region] = []
    for index in np.argsort(doubts, kind="stable"):
        one = found[index]
        if len(kept) < max_regions and not any(_is_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _is_same(one: Region, other: Region) -> bool:
    """Whether two regions have one place or one text, or one lies in the other and their texts end with one word."""
    boxes = np.array([one.box]), np.array([other.box])
    if one.text == other.text or overlaps(*boxes)[0, 0] >= _SAME:
        return True
    return one.text.split()[-1] == other.text.split()[-1] and bool(nesting(*boxes)[0, 0] >= _NESTED)


def ground_phrases(
    model: TrainedAligner, image: Any, sentence: str, beta: float | None, ranker: Any, options: ReadingOptions
) -> list[Region]:
    """Find the region of each phrase; arguments, result and errors are those of `captioner.ground_phrases`."""
    if not isinstance(sentence, str):
        raise ConfigError(f"the sentence got {shown(sentence)}, expected a text")
    words = sentence.split()
    if set(encode_sentence(sentence, model.config, model.vocabulary)) == {UNKNOWN}:
        raise ConfigError(f"the sentence got {shown(sentence)}, expected words of which the aligner knows one")
    regions, boxes = encode_regions(model, image, options)
    added = None
    if ranker is not None:
        (cells,) = ranker.encode_cells([image], replace(options, proposals=None))
        added = [priors_of_words(ranker, cells, boxes, words)]
    (segments,) = segment_sentences(model, regions, [words], beta, added)
    segments = with_determiners(words, segments)
    found = []
    for segment in segments:
        text = " ".join(words[slice(*segment.words)])
        found.append(Region(_corners(boxes[segment.region]), text, float(segment.strength)))
    return found


def encode_regions(model: TrainedAligner, image: Any, options: ReadingOptions) -> tuple[EncodedFragments, np.ndarray]:
    """Return the encoded regions of an image, and their boxes, float32 [R, 4], rows of 0 for padding."""
    boxes, features = _encoded(model, image, model.config.layers, options)
    regions = model.encode_descriptors(join_layers([features[layer] for layer in model.config.layers]))
    return regions, boxes[:, :4]


def _encoded(
    model: TrainedModel, image: Any, layers: Sequence[str], options: ReadingOptions
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the boxes and proposal scores of an image, float32 [R, 5], and the features of its layers."""
    boxes = str(FeatureName.parse(layers[0]).of_kind("boxes"))
    unique = list(dict.fromkeys([*layers, boxes]))
    (batch,) = model.encode_batches([image], replace(options, strict=True), unique)
    return batch.features[boxes][0], batch.features


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, box[:4])
    return left, top, right, bottom
