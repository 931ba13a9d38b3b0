"""Bootstrap intervals and paired comparisons."""

import numpy as np
import pytest

from eval.metrics.bootstrap import bootstrap_intervals, paired_comparison, resampled_metrics
from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import METRICS, retrieval_metrics
from vislang.core.errors import EvalError


def made_up_ranks(seed=0, images=60, per_image=3, worse=0):
    random = np.random.default_rng(seed)
    owners = np.repeat(np.arange(images), per_image)
    return Ranks(random.geometric(0.2, images) - 1 + worse, random.geometric(0.2, len(owners)) - 1 + worse, owners)


def test_resampling_equals_measuring_the_drawn_images():
    """Slow definition: lay out each draw as ranks of its own and measure those."""
    from vislang.core.seeds import stream

    fold = made_up_ranks(images=9)
    drawn = resampled_metrics([fold], resamples=40, seed=5)
    random = stream(5, "bootstrap", 0, 9)
    for number in range(40):
        rows = random.integers(9, size=9)
        captions = np.concatenate([np.flatnonzero(fold.image_of_caption == row) for row in rows])
        sample = Ranks(fold.image_to_text[rows], fold.text_to_image[captions], np.repeat(np.arange(9), 3))
        expected = retrieval_metrics(sample).to_json()
        assert {name: values[number] for name, values in drawn.items()} == pytest.approx(expected, rel=1e-12)


def test_intervals_are_repeatable_and_hold_the_metric():
    fold = made_up_ranks()
    intervals = bootstrap_intervals([[fold]], resamples=200, seed=1)
    assert intervals == bootstrap_intervals([[fold]], resamples=200, seed=1)
    assert intervals != bootstrap_intervals([[fold]], resamples=200, seed=2)
    metrics = retrieval_metrics(fold).to_json()
    assert set(intervals) == set(METRICS)
    assert all(low <= metrics[name] <= high for name, (low, high) in intervals.items())


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        ranks = np.where(random.random(150) < 0.3, 0, 99)  # true R@1 is 30 %
        low, high = bootstrap_intervals([[Ranks(ranks, ranks, np.arange(150))]], resamples=100)["i2t_r1"]
        covered += low <= 30 <= high
    assert 85 <= covered <= 100  # 95 expected; a smaller share than 85 has a chance below 1 in 10,000


def test_captions_of_an_image_are_drawn_together():
    """Ten equal captions per image say no more than one: the interval must not shrink."""
    random = np.random.default_rng(1)
    hit = np.where(random.random(100) < 0.5, 0, 99)
    one = Ranks(hit, hit, np.arange(100))
    ten = Ranks(hit, np.repeat(hit, 10), np.repeat(np.arange(100), 10))
    assert bootstrap_intervals([[one]])["t2i_r1"] == bootstrap_intervals([[ten]])["t2i_r1"]


def test_runs_are_averaged_on_the_same_draws():
    a, b = made_up_ranks(0), made_up_ranks(1)
    both = bootstrap_intervals([[a], [b]], resamples=100)
    mean = (resampled_metrics([a], resamples=100)["rsum"] + resampled_metrics([b], resamples=100)["rsum"]) / 2
    assert both["rsum"] == pytest.approx(tuple(np.percentile(mean, [2.5, 97.5])), rel=1e-12)


def test_folds_are_drawn_each_by_themselves():
    folds = [made_up_ranks(seed, images=20) for seed in range(5)]
    drawn = resampled_metrics(folds, resamples=40)
    assert drawn["i2t_r1"].mean() == pytest.approx(retrieval_metrics(folds).i2t_r1, abs=3)
    assert drawn["i2t_medr"].std() < resampled_metrics(folds[:1], resamples=40)["i2t_medr"].std()


def test_a_run_does_not_differ_from_itself():
    fold = made_up_ranks()
    for one in paired_comparison([fold], [fold], resamples=100).values():
        assert (one.difference, one.low, one.high, one.p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_found_and_has_a_sign():
    better, worse = made_up_ranks(0), made_up_ranks(0, worse=3)
    one = paired_comparison([worse], [better], resamples=200)["i2t_r1"]
    assert one.b - one.a == one.difference > 0
    assert one.low > 0
    assert one.p_value == pytest.approx(2 / 201)
    back = paired_comparison([better], [worse], resamples=200)["i2t_r1"]
    assert (back.low, back.high) == pytest.approx((-one.high, -one.low), rel=1e-12)


def test_noise_is_not_called_a_difference():
    p_values = [
        paired_comparison([made_up_ranks(2 * n)], [made_up_ranks(2 * n + 1)], resamples=100)["i2t_r5"].p_value
        for n in range(30)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.25


def test_mistakes_are_refused():
    fold = made_up_ranks()
    with pytest.raises(EvalError, match="got 10 resamples, expected at least 40"):
        bootstrap_intervals([[fold]], resamples=10)
    with pytest.raises(EvalError, match="got no runs"):
        bootstrap_intervals([])
    with pytest.raises(
        EvalError, match=r"ranked 60 images x 180 captions and 50 images x 150 captions; expected the same"
    ):
        paired_comparison([fold], [made_up_ranks(images=50)])
    with pytest.raises(EvalError, match="60 images x 180 captions and nothing"):
        paired_comparison([fold], [])
    swapped = Ranks(fold.image_to_text, fold.text_to_image, fold.image_of_caption[::-1].copy())
    with pytest.raises(EvalError, match="assign captions to different images"):
        bootstrap_intervals([[fold], [swapped]])
