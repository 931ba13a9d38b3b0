"""The scale of scores: the photographs of training, blank images below all of them, and sizes that fit the image."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from naturalness.api import load_model, naturalness_percentile, unnaturalness_map
from naturalness.inference import Rating
from naturalness.map import json_row, rating_words
from naturalness.reference import (
    FILE,
    Reference,
    capped_score,
    error_values,
    fit_reference,
    read_reference,
    write_reference,
)
from vislang.core.errors import CheckpointError, ConfigError

COLOURS = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (30, 60, 200)]


@pytest.fixture(scope="module")
def bundled():
    return load_model()


def test_scores_beyond_those_of_photographs_are_taken_off():
    assert capped_score([0.2, 0.1], [0.5, 0.5], (0,)) == pytest.approx(0.2)
    assert capped_score([0.7, 0.1], [0.5, 0.5], (0,)) == pytest.approx(0.5 - 0.2)
    assert capped_score([0.2, 1.5], [0.5, 0.5], (0,)) == pytest.approx(0.2 - 1.0)
    assert capped_score([0.2, 0.4], [0.5, 0.5], (0, 1)) == pytest.approx(0.3)


def test_an_image_without_any_error_has_a_finite_value():
    assert error_values(np.array([1.0, 0.0]))[0] == 0
    assert np.isfinite(error_values(np.array([0.0])))[0]


def test_percentiles_are_those_of_the_photographs():
    values = np.stack([np.linspace(-1, 1, 201), np.zeros(201)], axis=1)
    reference = fit_reference(values, (0,))
    assert reference.photographs == 201
    assert reference.highest == pytest.approx((0.98, 0.0))
    assert reference.percentile(-2) == 0
    assert reference.percentile(2) == 100
    assert reference.percentile(0.0) == pytest.approx(50, abs=2)
    assert not reference.is_flat([0.9, 0.0])
    assert reference.is_flat([0.9, 0.1])
    assert reference.percentile(reference.score([0.9, 3.0], (0,))) == 0


def test_a_reference_is_read_as_it_was_written(tmp_path):
    reference = fit_reference(np.random.default_rng(0).normal(size=(50, 2)), (0,))
    write_reference(tmp_path, reference)
    assert read_reference(tmp_path, 2) == reference
    assert read_reference(tmp_path / "none", 2) is None


@pytest.mark.parametrize(
    "change",
    [{"percentiles": [0.0]}, {"percentiles": [*range(100), 0]}, {"highest": ["x", 0]}, {"highest": [0]}, {"more": 1}],
)
def test_a_damaged_reference_is_named(tmp_path, change):
    good = {"photographs": 2, "highest": [0, 0], "percentiles": list(range(101))}
    (tmp_path / FILE).write_text(json.dumps({**good, **change}))
    with pytest.raises(CheckpointError, match="is no reference"):
        read_reference(tmp_path, 2)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", [(224, 224), (150, 300)])
def test_a_blank_image_is_less_natural_than_every_photograph(bundled, colour, shape):
    blank = np.full((*shape, 3), colour, np.uint8)
    rating = bundled.rate(blank)
    assert rating.flat
    assert rating.percentile == 0
    assert rating.score < bundled.reference.percentiles[0]


def test_the_score_does_not_grow_with_the_size_of_a_smooth_image(bundled):
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 255, (14, 14, 3), np.uint8))
    small, large = (np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) for side in (224, 896))
    assert bundled.rate(large).score == pytest.approx(bundled.rate(small).score, abs=0.1)


def test_a_map_is_computed_at_a_size_that_fits_and_has_that_of_the_image(bundled):
    side = bundled.config.map_side
    assert bundled._map_scale((192, 256, 3), "fixation") == pytest.approx(side / (192 * 256) ** 0.5)
    assert bundled._map_scale((192, 256, 3), "anomaly") == 1
    assert bundled._map_scale((1080, 1920, 3), "fixation") == pytest.approx(side / (1080 * 1920) ** 0.5)
    assert bundled._map_scale((1080, 1920, 3), "anomaly") == pytest.approx(224 / 1080)  # the size of training
    assert bundled._map_scale((100, 12000, 3), "fixation") == pytest.approx(0.96)  # not below the least size
    assert unnaturalness_map(bundled, np.zeros((120, 160, 3), np.uint8)).shape == (120, 160)
    with pytest.raises(ConfigError, match="the image has 60 x 200 pixels"):
        unnaturalness_map(bundled, np.zeros((200, 60, 3), np.uint8))


def test_a_model_without_a_reference_says_so(bundled):
    with pytest.raises(CheckpointError, match="reference.json"):
        naturalness_percentile(replace(bundled, reference=None), np.zeros((100, 100, 3), np.uint8))


def test_scores_in_words():
    assert rating_words(Rating(0.1)) == "0: as photographs of training"
    assert rating_words(Rating(0.1, 71.6, False)) == "more natural than 72 % of training photographs"
    assert rating_words(Rating(-2.0, 0.0, True)).endswith("(nearly uniform: 99 % of them vary more)")
    assert json_row("x", Rating(0.1)) == {"image": "x", "naturalness": 0.1}
    assert json_row("x", Rating(0.1, 71.62, False))["percentile"] == 71.6


def test_a_reference_needs_all_its_percentiles():
    with pytest.raises(ValueError, match="101 percentiles"):
        Reference(1, (0.0,), (0.0,))
