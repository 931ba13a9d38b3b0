"""A ranker's maps choose regions: overlaps of boxes with maps, and priors made of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from captioner.alignment.region_maps import map_priors, priors_of_words, soft_overlaps

WHOLE = [0.0, 0.0, 1.0, 1.0]
LEFT = [0.0, 0.0, 0.5, 1.0]
PATCH = [0.5, 0.25, 0.75, 0.75]
PADDING = [0.0, 0.0, 0.0, 0.0]


def bright_patch(size: int = 16) -> np.ndarray:
    scores = np.full((1, size, size), -1.0)
    scores[:, size // 4 : 3 * size // 4, size // 2 : 3 * size // 4] = 4.0
    return scores


def ranker_of(scores: np.ndarray) -> SimpleNamespace:
    def cell_scores(cells, texts):
        assert cells == "cells"
        return np.stack([scores[0] * (text != "") for text in texts])

    return SimpleNamespace(cell_scores=cell_scores)


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
    first, empty = map_priors(ranker_of(bright_patch()), "cells", boxes, ["dog", ""])
    assert first.argmax() == 2
    assert first[3] == 0.0
    np.testing.assert_allclose(first[:3].mean(), 0.0, atol=1e-5)
    assert 0 < first[:3].std() <= 0.6 + 1e-5  # .3 of each; less where they differ
    np.testing.assert_array_equal(empty, 0.0)


def test_equal_scores_prefer_boxes_by_overlap_alone():
    boxes = np.array([WHOLE, LEFT, PATCH])
    (found,) = map_priors(ranker_of(np.full((1, 8, 8), 2.0)), "cells", boxes, ["sky"])
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
