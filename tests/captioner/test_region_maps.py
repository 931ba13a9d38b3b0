"""A ranker's maps choose regions and their captions: overlaps of boxes with maps, and priors made of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from captioner.alignment.phrase_grounding import Notes, Phrase, phrase_map_priors
from captioner.alignment.region_maps import map_fits, map_priors, priors_of_words, soft_overlaps
from captioner.inference import Caption
from captioner.region_captions import caption_boxes
from vse.cell_maps import smooth_cells
from vse.inference import CellWeights

WHOLE = [0.0, 0.0, 1.0, 1.0]
LEFT = [0.0, 0.0, 0.5, 1.0]
PATCH = [0.5, 0.25, 0.75, 0.75]
PADDING = [0.0, 0.0, 0.0, 0.0]


def bright_patch(size: int = 16) -> np.ndarray:
    scores = np.full((1, size, size), -1.0)
    scores[:, size // 4 : 3 * size // 4, size // 2 : 3 * size // 4] = 4.0
    return scores


def test_overlaps_of_whole_maps_are_those_of_boxes():
    even = np.ones((1, 6, 6))
    np.testing.assert_allclose(soft_overlaps(even, np.array([WHOLE, LEFT, PATCH])), [[1.0, 0.5, 0.125]], rtol=1e-5)


def test_the_overlap_of_a_patch_is_highest_for_its_own_box():
    boxes = np.array([WHOLE, LEFT, PATCH, [0.25, 0.25, 0.75, 0.75]])
    (found,) = soft_overlaps(bright_patch(64), boxes)
    np.testing.assert_allclose(found, [0.125, 0.0, 1.0, 0.5], atol=0.03)  # bilinear samples blur the edge


def test_an_overlap_is_that_of_every_pixel():
    random = np.random.default_rng(0)
    scores = random.normal(size=(3, 8, 8))
    share = np.sqrt(np.maximum(scores / scores.max(axis=(1, 2), keepdims=True), 0.0))
    for box in ([0.0, 0.0, 0.5, 0.5], [0.25, 0.5, 1.0, 1.0]):
        left, top, right, bottom = (round(8 * edge) for edge in box)
        common = share[:, top:bottom, left:right].sum(axis=(1, 2))
        expected = common / ((bottom - top) * (right - left) + share.sum(axis=(1, 2)) - common)
        np.testing.assert_allclose(soft_overlaps(scores, np.array([box]))[:, 0], expected, atol=0.05)


def test_priors_are_two_standardised_measures_over_the_real_boxes():
    boxes = np.array([WHOLE, LEFT, PATCH, PADDING])
    first, empty = map_priors(np.concatenate([bright_patch(), np.zeros((1, 16, 16))]), boxes)
    assert first.argmax() == 2
    assert first[3] == 0.0
    np.testing.assert_allclose(first[:3].mean(), 0.0, atol=1e-5)
    assert 0 < first[:3].std() <= 0.6 + 1e-5  # .3 of each; less where they differ
    np.testing.assert_array_equal(empty, 0.0)


def test_contrasts_compare_the_inside_of_a_box_with_the_whole_image():
    boxes = np.array([WHOLE, LEFT, PATCH])
    scores = bright_patch(64)
    (found,) = map_fits(scores, boxes).contrasts
    (smooth,) = smooth_cells(scores)
    inside = [smooth.mean(), smooth[:, :32].mean(), smooth[16:48, 32:48].mean()]
    np.testing.assert_allclose(found, np.array(inside) - smooth.mean(), atol=0.2)
    assert found[1] < found[0] < found[2]


def test_equal_scores_prefer_boxes_by_overlap_alone():
    boxes = np.array([WHOLE, LEFT, PATCH])
    (found,) = map_priors(np.full((1, 8, 8), 2.0), boxes)
    expected = np.array([1.0, 0.5, 0.125])
    np.testing.assert_allclose(found, 0.3 * (expected - expected.mean()) / expected.std(), rtol=1e-3)


def test_words_between_function_words_are_read_together():
    seen = []

    def cell_scores(cells, texts):
        seen.extend(texts)
        return np.zeros((len(texts), 4, 4))

    ranker = SimpleNamespace(cell_scores=cell_scores)
    found = priors_of_words(ranker, "cells", np.array([WHOLE, LEFT]), ["a", "black", "Dog,", "in", "black", "there"])
    assert seen == ["black dog", "black dog", "black dog", "black", "black", ""]
    assert found.shape == (6, 2)
    assert found == pytest.approx(0.0)


class Writer:
    """Writes for every box the same captions, the most probable first."""

    def caption_descriptors(self, descriptors, options=None):
        texts = {"man": -1.0, "red hat": -2.4, "": -0.5}
        return [[Caption(text, log_prob, ()) for text, log_prob in texts.items()] for _ in descriptors]


def test_captions_of_boxes_are_those_whose_maps_fit_them():
    maps = {"man": np.full((8, 8), 1.0), "red hat": np.where(np.arange(8) < 4, 3.0, 0.0)[:, None] * np.ones(8)}
    ranker = SimpleNamespace(cell_scores=lambda cells, texts: np.stack([maps[text] for text in texts]))
    boxes = np.array([WHOLE, [0.0, 0.0, 1.0, 0.5], [0.0, 0.5, 1.0, 1.0]])
    found = caption_boxes(Writer(), np.zeros((3, 1, 2)), boxes, ranker, "cells")
    assert [one.text for one in found] == ["man", "red hat", "man"]
    alone = caption_boxes(Writer(), np.zeros((3, 1, 2)), boxes, None, None)
    assert [one.text for one in alone if one] == ["man", "man", "man"]


def test_a_box_of_which_nothing_is_written_has_no_caption():
    silent = SimpleNamespace(caption_descriptors=lambda descriptors, options=None: [[Caption("", -1.0, ())], []])
    for ranker in (None, SimpleNamespace()):
        assert caption_boxes(silent, np.zeros((2, 1, 2)), np.array([WHOLE, LEFT]), ranker, "cells") == [None, None]


def test_captions_are_neither_cut_off_nor_empty_where_others_are():
    texts = ["a black and white and", "", "of the", "a dog"]
    written = [Caption(text, -1.0, ()) for text in texts]
    model = SimpleNamespace(caption_descriptors=lambda descriptors, options: [written, written[:2]])
    ranker = SimpleNamespace(cell_scores=lambda cells, texts: np.ones((len(texts), 4, 4)))
    found = caption_boxes(model, np.zeros((2, 1, 2)), np.array([WHOLE, LEFT]), ranker, "cells")
    assert [one.text for one in found] == ["a dog", "a black and white and"]


def test_images_without_any_phrase_ask_the_ranker_nothing():
    found = phrase_map_priors(
        SimpleNamespace(), ["cells"] * 2, [np.array([WHOLE, LEFT])] * 2, [Notes([["of"]], [])] * 2
    )
    assert [one.shape for one in found] == [(0, 2), (0, 2)]


def test_phrases_of_many_images_have_the_priors_of_each_alone():
    random = np.random.default_rng(1)
    vectors = {"a dog": random.normal(size=3), "the red ball": random.normal(size=3)}

    def cell_weights(texts):
        return CellWeights(np.array([vectors[text] for text in texts]).reshape(-1, 3), np.zeros((len(texts), 4, 4)))

    cells = random.normal(size=(3, 4, 4, 3))
    boxes = [np.array([WHOLE, LEFT, PATCH])] * 3
    sentence = ["a", "dog", "has", "the", "red", "ball"]
    notes = [
        Notes([sentence], phrases) for phrases in ([Phrase(0, (0, 2)), Phrase(0, (3, 6))], [], [Phrase(0, (3, 6))])
    ]
    found = list(phrase_map_priors(SimpleNamespace(cell_weights=cell_weights), cells, boxes, notes))
    assert [len(one) for one in found] == [2, 0, 1]
    alone = np.stack([cells[0] @ vectors["a dog"], cells[0] @ vectors["the red ball"]])
    np.testing.assert_allclose(found[0], map_priors(alone, boxes[0]), rtol=1e-5)
    np.testing.assert_allclose(found[2], map_priors(cells[2][None] @ vectors["the red ball"], boxes[2]), rtol=1e-5)
