"""Measures between features and between images, against slow definitions, properties and numbers worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preimage.comparison.similarity import (
    alignment,
    centred_gram,
    gradient_similarities,
    histogram_intersection,
    mean_pairwise_distance,
    orientation_histogram,
)
from vislang.core.errors import ConfigError


def linear_cka(x, y, debiased=True):
    return alignment(centred_gram(x, debiased=debiased), centred_gram(y, debiased=debiased))


def features(seed, n=12, width=7):
    return np.random.default_rng(seed).normal(size=(n, width)) + 3.0


def cka_in_feature_space(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def unbiased_hsic(x, y):
    """Song et al. 2012, equation 5, as it stands there."""
    k, el = (a @ a.T for a in (x, y))
    np.fill_diagonal(k, 0), np.fill_diagonal(el, 0)
    n, one = len(k), np.ones(len(k))
    both = np.trace(k @ el) + (one @ k @ one) * (one @ el @ one) / ((n - 1) * (n - 2))
    return (both - 2 / (n - 2) * (one @ k @ el @ one)) / (n * (n - 3))


def test_plain_alignment_is_the_formula_of_feature_space():
    for widths in ((7, 5), (40, 30)):
        x, y = features(0, width=widths[0]), features(1, width=widths[1])
        y[:, :3] += x[:, :3]
        assert linear_cka(x, y, debiased=False) == pytest.approx(cka_in_feature_space(x, y), abs=1e-12)


def test_debiased_alignment_is_the_unbiased_estimator():
    x, y = features(0), features(1, width=9)
    y[:, :4] += x[:, :4]
    expected = unbiased_hsic(x, y) / np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.booleans())
@settings(max_examples=25, deadline=None)
def test_alignment_ignores_turns_scales_and_shifts_and_is_1_with_itself(seed, scale, debiased):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(9, 5)), random.normal(size=(9, 4))
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    turned = scale * x @ turn + random.normal(size=5)
    assert linear_cka(turned, y, debiased=debiased) == pytest.approx(linear_cka(x, y, debiased=debiased), abs=1e-8)
    assert linear_cka(x, turned, debiased=debiased) == pytest.approx(1.0, abs=1e-8)
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(linear_cka(y, x, debiased=debiased), abs=1e-12)


def test_few_inputs_and_many_features_mislead_the_plain_form_alone():
    pairs = [(features(2 * seed, 10, 500), features(2 * seed + 1, 10, 500)) for seed in range(20)]
    assert min(linear_cka(*pair, debiased=False) for pair in pairs) > 0.9
    assert abs(np.mean([linear_cka(*pair) for pair in pairs])) < 0.05


def test_alignment_changes_under_a_scale_of_one_direction():
    x = features(0)
    assert linear_cka(x, x * np.array([50, 1, 1, 1, 1, 1, 1]), debiased=False) < 0.9


def test_maps_are_flattened_and_features_that_do_not_differ_have_no_alignment():
    maps = features(0, 8, 24).reshape(8, 2, 3, 4)
    assert linear_cka(maps, maps.reshape(8, -1)) == pytest.approx(1.0)
    assert np.isnan(linear_cka(np.ones((5, 3)), features(0, 5)))


def test_alignment_wants_the_same_inputs_and_enough_of_them():
    with pytest.raises(ConfigError, match="features of 5 and of 6 inputs"):
        linear_cka(features(0, 5), features(0, 6))
    with pytest.raises(ConfigError, match="got 3 inputs, expected 4 or more"):
        centred_gram(features(0, 3))


def test_mean_distance_is_that_of_all_pairs():
    x = features(3, 6)
    expected = np.mean([np.linalg.norm(a - b) for a, b in itertools.combinations(x, 2)])
    assert mean_pairwise_distance(x) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("direction", "filled"),
    [((1, 0), 8), ((0, -1), 13), ((1, -1), 11), ((-1, -1), 15), ((0, 1), 4), ((1, 1), 6)],  # (right, down)
)
def test_a_ramp_has_all_its_mass_in_the_bin_of_its_direction(direction, filled):
    down, across = np.mgrid[0:9, 0:9]
    ramp = (direction[0] * across + direction[1] * down).astype(float)
    histogram = orientation_histogram(np.repeat(ramp[..., None], 3, axis=2))
    assert histogram.sum() == pytest.approx(1.0)
    assert histogram.argmax() == filled
    if 0 in direction:  # at the edges, which are repeated, slanted gradients turn towards an axis
        assert histogram[filled] == pytest.approx(1.0)


def test_a_steep_edge_outweighs_a_flat_one():
    image = np.zeros((20, 20))
    image[:, 10:] += 90.0  # to the right, 0 degrees: bin 8, from -20 to 0
    image[10:] -= 10.0  # up, 90 degrees: bin 13, from 80 to 100
    histogram = orientation_histogram(image)
    assert histogram[8] > 0.8
    assert 0.05 < histogram[13] < 0.2


def slow_histogram(grey):
    padded, masses = np.pad(grey, 1, "edge"), np.zeros(18)
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    for row, column in np.ndindex(*grey.shape):
        part = padded[row : row + 3, column : column + 3]
        across, down = (part * kernel).sum(), (part * kernel.T).sum()
        angle = np.degrees(np.arctan2(-down, across))
        place = next(number for number in range(18) if angle <= -160 + 20 * number + 1e-12)
        masses[place] += np.hypot(across, down)
    return masses / masses.sum()


def test_histograms_follow_the_slow_definition_of_grey_and_of_coloured_images():
    colours = np.random.default_rng(0).uniform(0, 255, (8, 9, 3))
    grey = colours @ [0.2989, 0.5870, 0.1140]
    assert orientation_histogram(colours) == pytest.approx(slow_histogram(grey), abs=1e-12)
    assert orientation_histogram(grey) == pytest.approx(orientation_histogram(colours), abs=1e-12)


def test_a_flat_image_has_an_empty_histogram():
    assert orientation_histogram(np.full((5, 5, 3), 7.0)).sum() == 0


def test_intersection_is_1_of_equals_and_the_shared_mass_of_others():
    one, other = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert histogram_intersection(one, one) == 1.0
    assert histogram_intersection(one, other) == histogram_intersection(other, one) == 0.5


def test_gradient_similarities_are_those_of_each_pair():
    random = np.random.default_rng(0)
    images, others = random.uniform(0, 255, (2, 3, 8, 8, 3))
    others[1] = images[1]
    expected = [
        histogram_intersection(orientation_histogram(images[row]), orientation_histogram(others[row]))
        for row in range(3)
    ]
    assert gradient_similarities(images, others).tolist() == expected
    assert expected[1] == pytest.approx(1.0)
