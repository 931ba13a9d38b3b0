"""Retrieval numbers from ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import (
    METRICS,
    mean_rank,
    mean_reciprocal_rank,
    median_rank,
    ranks_by_protocol,
    recall_at,
    retrieval_metrics,
    rsum,
)
from vislang.core.errors import EvalError

rank_lists = st.lists(st.integers(0, 50), min_size=1, max_size=40)


@settings(deadline=None)
@given(rank_lists, st.integers(1, 60))
def test_recall_is_the_share_of_small_ranks(ranks, k):
    assert recall_at(ranks, k) == pytest.approx(100 * len([rank for rank in ranks if rank < k]) / len(ranks), rel=1e-12)
    assert recall_at(ranks, k) <= recall_at(ranks, k + 1) <= 100


@settings(deadline=None)
@given(rank_lists)
def test_median_follows_the_original(ranks):
    ordered = sorted(ranks)
    middle = (ordered[(len(ranks) - 1) // 2] + ordered[len(ranks) // 2]) / 2
    assert median_rank(ranks) == int(middle) + 1


@settings(deadline=None)
@given(rank_lists)
def test_means_are_those_of_the_definition(ranks):
    assert mean_rank(ranks) == pytest.approx(sum(ranks) / len(ranks) + 1, rel=1e-12)
    assert mean_reciprocal_rank(ranks) == pytest.approx(sum(1 / (r + 1) for r in ranks) / len(ranks), rel=1e-12)
    assert 0 < mean_reciprocal_rank(ranks) <= 1


def test_numbers_worked_by_hand():
    assert median_rank([0, 1]) == 1  # floor(0.5) + 1
    assert median_rank([3]) == 4
    assert recall_at([0, 4, 5, 9], 5) == 50
    assert mean_rank([0, 4]) == 3
    assert mean_reciprocal_rank([0, 1, 3]) == pytest.approx((1 + 1 / 2 + 1 / 4) / 3, rel=1e-12)


def test_one_row_of_numbers_worked_by_hand():
    metrics = retrieval_metrics(Ranks(np.array([0, 7]), np.array([0, 1, 4, 20]), np.array([0, 0, 1, 1])))
    assert metrics.to_json() == {
        "i2t_r1": 50, "i2t_r5": 50, "i2t_r10": 100, "i2t_medr": 4, "i2t_meanr": 4.5, "i2t_mrr": 0.5625,
        "t2i_r1": 25, "t2i_r5": 75, "t2i_r10": 75, "t2i_medr": 3, "t2i_meanr": 7.25,
        "t2i_mrr": pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 21) / 4), "rsum": 375,
    }  # fmt: skip
    assert tuple(metrics.to_json()) == METRICS
    assert rsum(metrics.to_json()) == 375


def test_folds_are_averaged_metric_by_metric():
    one = Ranks(np.array([0]), np.array([0]), np.array([0]))
    other = Ranks(np.array([9]), np.array([3]), np.array([0]))
    metrics = retrieval_metrics([one, other])
    assert (metrics.i2t_r1, metrics.i2t_medr, metrics.t2i_r5, metrics.t2i_mrr) == (50, 5.5, 100, 0.625)
    assert metrics.rsum == 50 + 50 + 100 + 50 + 100 + 100


def test_five_folds_search_their_own_images_only():
    # Images 2f and 2f + 1 share fold f. Every image has the caption of its neighbour in another fold as its best.
    images = np.eye(10, dtype=np.float32)
    captions = np.eye(10, dtype=np.float32) + 2 * np.roll(np.eye(10, dtype=np.float32), 2, axis=0)
    whole = retrieval_metrics(ranks_by_protocol("full", images, captions, np.arange(10)))
    folds = ranks_by_protocol("five-folds", images, captions, np.arange(10))
    assert whole.i2t_r1 == 0
    assert [fold.image_to_text.tolist() for fold in folds] == [[0, 0]] * 5
    assert retrieval_metrics(folds).i2t_r1 == 100
    (first,) = ranks_by_protocol("first-fold", images, captions, np.arange(10))
    for name, array in vars(folds[0]).items():
        np.testing.assert_array_equal(getattr(first, name), array)


def test_five_folds_keep_each_images_captions_in_any_order():
    random = np.random.default_rng(0)
    owners = random.permutation(np.repeat(np.arange(10), 3))
    images, captions = random.standard_normal((10, 5)), random.standard_normal((30, 5))
    folds = ranks_by_protocol("five-folds", images, captions, owners)
    inside = (owners == 4) | (owners == 5)
    scores = images[4:6] @ captions[inside].T
    own = owners[inside] == 4
    assert folds[2].image_to_text[0] == np.count_nonzero(scores[0][~own] >= scores[0][own].max())


@pytest.mark.parametrize("ranks", [[], [[0]], [-1], [0.5]])
def test_what_is_no_rank_is_refused(ranks):
    with pytest.raises(EvalError, match=r"ranks are .* expected whole numbers \[queries\] from 0 up"):
        mean_rank(ranks)


def test_other_mistakes_are_refused():
    with pytest.raises(EvalError, match="got recall at 0, expected 1 or more"):
        recall_at([1], 0)
    with pytest.raises(EvalError, match="got no ranks"):
        retrieval_metrics([])
    with pytest.raises(EvalError, match="7 images cannot be cut into five equal folds"):
        ranks_by_protocol("five-folds", np.ones((7, 2)), np.ones((7, 2)), np.arange(7))
    with pytest.raises(EvalError, match="0 images cannot be cut"):
        ranks_by_protocol("five-folds", np.ones((0, 2)), np.ones((0, 2)), np.arange(0))
    with pytest.raises(EvalError, match="names 4 captions, expected 5"):
        ranks_by_protocol("five-folds", np.ones((5, 2)), np.ones((5, 2)), np.arange(4))
