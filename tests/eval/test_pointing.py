"""The pointing game and attention correctness against hand-worked cases and slow definitions."""

import numpy as np
import pytest

from eval.metrics.grounding import difference_interval, phrase_metrics
from eval.metrics.pointing_game import (
    MEASURES,
    PointedPhrase,
    attention_correctness,
    box_coverage,
    centre_map,
    peak,
    random_pointing,
    score_pointing,
)
from eval.tables.phrases import word_auc
from vislang.core.errors import EvalError

MAP = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]])  # peak at (2.5 / 4, 1.5 / 2)


def boxes(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("box", "hit"),
    [((0.5, 0.5, 0.75, 1.0), 1.0), ((0.625, 0.75, 1.0, 1.0), 1.0), ((0.63, 0.5, 1.0, 1.0), 0.0), ((0, 0, 1, 0.7), 0.0)],
)
def test_a_hit_is_a_peak_in_a_box_edges_included(box, hit):
    assert peak(MAP) == (0.625, 0.75)
    assert score_pointing(0, "people", MAP, boxes(box)).pointing == hit
    assert score_pointing(0, "people", MAP, boxes((0, 0, 0.1, 0.1), box)).pointing == hit  # any of the boxes


def test_tolerance_widens_boxes_for_pointing_only():
    near = boxes((0.65, 0.5, 1.0, 1.0))
    strict, wide = score_pointing(0, "x", MAP, near), score_pointing(0, "x", MAP, near, tolerance=0.03)
    assert (strict.pointing, wide.pointing) == (0.0, 1.0)
    assert strict.correctness == wide.correctness


def test_equal_peaks_point_near_their_middle():
    assert peak(np.ones((3, 3))) == (0.5, 0.5)
    assert peak(np.array([[1.0, 0.0, 1.0, 1.0]])) == (0.625, 0.5)


def test_correctness_is_the_share_of_the_map_inside_worked_by_hand():
    assert attention_correctness(MAP, boxes((0.5, 0.5, 0.75, 1.0))) == pytest.approx(0.75)
    assert attention_correctness(MAP, boxes((0.625, 0.5, 1.0, 1.0))) == pytest.approx(0.375 + 0.25)  # half a cell
    assert attention_correctness(MAP, boxes((0.5, 0.5, 0.75, 1.0), (0.6, 0.5, 0.75, 1.0))) == pytest.approx(
        0.75
    )  # union
    assert attention_correctness(-MAP, boxes((0, 0, 0.5, 1))) == pytest.approx(0.5)  # nothing positive: constant


def test_covered_is_the_definition_on_a_fine_grid():
    random = np.random.default_rng(0)
    for _ in range(10):
        corners = np.sort(random.integers(0, 61, (3, 2, 2)), axis=1) / 60
        some = corners.reshape(3, 4).astype(np.float64)
        fine = np.zeros((60, 60))
        for left, top, right, bottom in np.round(60 * some).astype(int):
            fine[top:bottom, left:right] = 1.0
        expected = fine.reshape(5, 12, 6, 10).mean(axis=(1, 3))
        np.testing.assert_allclose(box_coverage(some, (5, 6)), expected, atol=1e-6)


def test_a_random_point_hits_as_often_as_the_union_is_large():
    some = boxes((0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75))
    found = random_pointing(0, "x", some)
    assert found.pointing == pytest.approx(0.25 + 0.25 - 0.0625, abs=1e-6)
    points = np.random.default_rng(0).random((20000, 2))
    inside = [((points >= one[:2]) & (points <= one[2:])).all(axis=1) for one in some]
    assert np.logical_or(*inside).mean() == pytest.approx(found.pointing, abs=0.01)


def test_the_centre_map_points_at_the_middle():
    assert peak(centre_map(5, 5)) == (0.5, 0.5)
    assert peak(centre_map(112, 112))[0] == pytest.approx(0.5, abs=0.01)
    assert centre_map(101, 101)[50, 75] == pytest.approx(np.exp(-0.5), rel=0.05)  # a deviation to the right


def pointed(number: int, pointing: float, correctness: float) -> PointedPhrase:
    return PointedPhrase(
        number // 4, "people", pointing, correctness, concentration=1.0, central=0.0, off_centre=False
    )  # fmt: skip


def test_averages_and_intervals_are_shared_with_grounding():
    ours = [pointed(number, float(number % 4 > 0), 0.5) for number in range(400)]
    other = [pointed(number, float(number % 4 > 1), 0.25) for number in range(400)]
    metrics = phrase_metrics(ours, MEASURES)
    assert metrics["all"] == {
        "count": 400, "pointing": 75.0, "correctness": 50.0, "concentration": 100.0, "central": 0.0,
    }  # fmt: skip
    low, high = difference_interval(ours, other)
    assert low == high == pytest.approx(25.0)  # every picture is alike


@pytest.mark.parametrize(
    ("scores", "some"), [(MAP, boxes().reshape(0, 4)), (np.full((2, 2), np.nan), boxes((0, 0, 1, 1)))]
)
def test_what_cannot_be_judged_is_refused(scores, some):
    with pytest.raises(EvalError, match="expected finite numbers and a box"):
        score_pointing(0, "x", scores, some)


def test_the_area_under_roc_is_the_chance_of_a_right_order():
    present, absent = [3.0, 1.0, 1.0], [0.0, 1.0, 2.0, 1.0]
    pairs = [(one > other) + 0.5 * (one == other) for one in present for other in absent]
    assert word_auc(present, absent) == pytest.approx(np.mean(pairs))
    assert word_auc([1.0], [0.0]) == 1.0
    with pytest.raises(EvalError, match="expected some of both"):
        word_auc([], [1.0])


def test_concentration_central_maxima_and_phrases_off_centre():
    scores = np.zeros((10, 10))
    scores[2, 7] = 3.0  # x .75, y .25
    scores[5, 5] = 1.0
    found = score_pointing(0, "x", scores, boxes((0.7, 0.2, 0.8, 0.3)))
    assert found.pointing == 1.0
    assert found.correctness == pytest.approx(0.75)
    assert found.concentration == pytest.approx(75.0)  # three quarters of the map in a hundredth of the image
    assert found.central == 0.0
    assert found.off_centre
    whole = score_pointing(0, "x", centre_map(10, 10), boxes((0.1, 0.1, 0.9, 0.9), (0, 0, 0.1, 0.1)))
    assert whole.central == 1.0
    assert not whole.off_centre
    assert not score_pointing(0, "x", scores, boxes((0.5, 0.5, 0.6, 0.6))).off_centre  # edges included
