"""The chain over words: equal to trying every labelling, and what its weight of agreement does."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.alignment.viterbi import as_segments, best_segments


def energy(unary, labels, same):
    agreeing = sum(one == two for one, two in itertools.pairwise(labels))
    return sum(unary[word, label] for word, label in enumerate(labels)) + same * agreeing


def best_by_trying_all(unary, same):
    return max(energy(unary, labels, same) for labels in itertools.product(range(unary.shape[1]), repeat=len(unary)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), words=st.integers(1, 6), regions=st.integers(1, 4), same=st.floats(0, 3))
def test_no_labelling_is_better(seed, words, regions, same):
    unary = np.random.default_rng(seed).normal(size=(words, regions))
    labels = best_segments(unary, same)
    assert energy(unary, labels, same) == pytest.approx(best_by_trying_all(unary, same), abs=1e-9)


def test_a_batch_is_its_chains_one_by_one_whatever_their_lengths():
    random = np.random.default_rng(3)
    unary, lengths, same = random.normal(size=(8, 7, 5)), np.array([7, 1, 4, 7, 2, 6, 3, 5]), random.uniform(0, 2, 8)
    together = best_segments(unary, same, lengths)
    for row, length in enumerate(lengths):
        alone = best_segments(unary[row, :length], same[row])
        assert together[row, :length].tolist() == alone.tolist()
        assert set(together[row, length:].tolist()) <= {alone[-1]}


def test_without_a_reward_for_agreement_each_word_takes_its_own_best():
    unary = np.random.default_rng(0).normal(size=(9, 4))
    assert best_segments(unary, 0.0).tolist() == unary.argmax(axis=1).tolist()


def test_a_large_reward_puts_all_words_on_the_region_with_the_largest_sum():
    unary = np.random.default_rng(1).normal(size=(9, 4))
    assert best_segments(unary, 1e6).tolist() == [int(unary.sum(axis=0).argmax())] * 9


def test_a_hand_worked_chain():
    unary = np.array([[3.0, 0.0], [1.0, 1.5], [3.0, 0.0], [0.0, 4.0]])
    # 0,1,0,1 is worth 11.5 without agreement; staying on region 0 for three words loses 0.5 and agrees twice.
    assert best_segments(unary, 0.0).tolist() == [0, 1, 0, 1]
    assert best_segments(unary, 0.3).tolist() == [0, 0, 0, 1]


def test_of_equally_good_labellings_the_one_that_keeps_its_label():
    assert best_segments(np.array([[1.0, 1.0], [0.0, 5.0]]), 0.0).tolist() == [1, 1]
    assert best_segments(np.zeros((3, 2)), 0.0).tolist() == [0, 0, 0]


def test_a_region_that_is_not_there_is_never_chosen():
    unary = np.random.default_rng(2).normal(size=(6, 3))
    unary[:, 1] = -np.inf
    assert 1 not in best_segments(unary, 0.7)


def test_more_reward_never_means_more_segments():
    unary = np.random.default_rng(5).normal(size=(12, 5))
    counts = [len(as_segments(best_segments(unary, same))) for same in (0.0, 0.3, 0.6, 1.0, 2.0, 5.0)]
    assert counts == sorted(counts, reverse=True)


def test_segments_cover_the_sentence_in_order():
    assert as_segments(np.array([2, 2, 0, 0, 0, 2])) == [(0, 2, 2), (2, 5, 0), (5, 6, 2)]
    assert as_segments(np.array([1])) == [(0, 1, 1)]
    assert as_segments(np.array([], int)) == []
