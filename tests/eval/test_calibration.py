"""Reliability bins and the expected calibration error, against their definition and a number worked by hand."""

import numpy as np
import pytest

from eval.metrics.calibration import NUM_BINS, expected_calibration_error, reliability_bins


def slow_error(confidences, correct):
    total = 0.0
    for number in range(NUM_BINS):
        inside = []
        for confidence, right in zip(confidences, correct, strict=True):
            if number / NUM_BINS < confidence <= (number + 1) / NUM_BINS:
                inside.append((confidence, right))
        if inside:
            mean, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(confidences) * abs(accuracy - mean)
    return total


def test_the_error_is_that_of_its_definition():
    random = np.random.default_rng(0)
    confidences = random.uniform(0.001, 1.0, 500)
    correct = random.random(500) < confidences**2
    bins = reliability_bins(confidences, correct)
    assert expected_calibration_error(bins) == pytest.approx(slow_error(confidences, correct), abs=1e-12)
    assert sum(one.count for one in bins) == 500


def test_a_number_worked_by_hand():
    # 0.9 and 0.92 lie in one bin, one of them is right: |0.5 - 0.91|; 0.2 is wrong: |0 - 0.2|; 1 is right: 0.
    bins = reliability_bins(np.array([0.9, 0.92, 0.2, 1.0]), np.array([True, False, False, True]))
    assert [one.count for one in bins] == [1, 2, 1]
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.41 + 0.2 + 0.0) / 4)


def test_confidence_that_is_accuracy_has_no_error_and_nothing_has_none():
    bins = reliability_bins(np.full(4, 0.75), np.array([True, True, True, False]))
    assert expected_calibration_error(bins) == 0.0
    assert np.isnan(expected_calibration_error(reliability_bins(np.zeros(0), np.zeros(0, bool))))
    assert reliability_bins(np.array([0.0]), np.array([False]))[0].low == 0.0
