"""Exact ranks: against the original's reversed argsort, with ties, with broken numbers, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics.ranking import ranks_from_scores, retrieval_ranks
from vislang.core.errors import EvalError


def ranks_of_the_original(scores, owners):
    """Sort every query's scores, reverse, look for the right answers: the definition, one query at a time."""
    image_to_text = []
    for image, row in enumerate(scores):
        order = np.argsort(row)[::-1]
        image_to_text.append(int(np.flatnonzero(owners[order] == image)[0]))
    text_to_image = []
    for caption, column in enumerate(scores.T):
        order = np.argsort(column)[::-1]
        text_to_image.append(int(np.flatnonzero(order == owners[caption])[0]))
    return np.array(image_to_text), np.array(text_to_image)


@st.composite
def correspondences(draw, most_images=12, most_captions=5):
    """Any number of captions per image, one at least, in any order."""
    counts = draw(st.lists(st.integers(1, most_captions), min_size=1, max_size=most_images))
    owners = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(owners)


calm = settings(deadline=None, max_examples=60)  # the machine may be busy with other tests
seeds = st.integers(0, 2**32 - 1)
blocks = st.integers(1, 40)


@calm
@given(correspondences(), seeds, blocks)
def test_embeddings_are_ranked_as_by_the_original(owners, seed, block):
    random = np.random.default_rng(seed)
    images = random.standard_normal((owners.max() + 1, 7)).astype(np.float32)
    captions = random.standard_normal((len(owners), 7)).astype(np.float32)
    ranks = retrieval_ranks(images, captions, owners, block=block)
    image_to_text, text_to_image = ranks_of_the_original(images.astype(np.float64) @ captions.T, owners)
    np.testing.assert_array_equal(ranks.image_to_text, image_to_text)
    np.testing.assert_array_equal(ranks.text_to_image, text_to_image)
    np.testing.assert_array_equal(ranks.image_of_caption, owners)


@calm
@given(correspondences(), seeds, blocks)
def test_score_matrices_without_ties_are_ranked_as_by_the_original(owners, seed, block):
    shape = (owners.max() + 1, len(owners))
    scores = np.random.default_rng(seed).permutation(np.arange(float(np.prod(shape)))).reshape(shape)
    ranks = ranks_from_scores(scores, owners, block=block)
    image_to_text, text_to_image = ranks_of_the_original(scores, owners)
    np.testing.assert_array_equal(ranks.image_to_text, image_to_text)
    np.testing.assert_array_equal(ranks.text_to_image, text_to_image)


@calm
@given(correspondences(), seeds, blocks)
def test_ties_count_against_us_in_any_block_size(owners, seed, block):
    random = np.random.default_rng(seed)
    images = random.integers(-2, 3, (owners.max() + 1, 3))  # few values: many ties, and products exact in float32
    captions = random.integers(-2, 3, (len(owners), 3))
    scores, right = images @ captions.T, np.arange(len(images))[:, None] == owners
    best = np.where(right, scores, -99).max(axis=1, keepdims=True)
    ranks = retrieval_ranks(images, captions, owners, block=block)
    np.testing.assert_array_equal(ranks.image_to_text, ((scores >= best) & ~right).sum(axis=1))
    own = scores[owners, np.arange(len(owners))]
    np.testing.assert_array_equal(ranks.text_to_image, ((scores >= own) & ~right).sum(axis=0))


@calm
@given(correspondences(), seeds)
def test_the_order_of_images_and_captions_does_not_matter(owners, seed):
    random = np.random.default_rng(seed)
    images = random.integers(-9, 10, (owners.max() + 1, 4))
    captions = random.integers(-9, 10, (len(owners), 4))
    ranks = retrieval_ranks(images, captions, owners)
    new_images, new_captions = random.permutation(len(images)), random.permutation(len(captions))
    moved = retrieval_ranks(images[new_images], captions[new_captions], np.argsort(new_images)[owners[new_captions]])
    np.testing.assert_array_equal(moved.image_to_text, ranks.image_to_text[new_images])
    np.testing.assert_array_equal(moved.text_to_image, ranks.text_to_image[new_captions])


@calm
@given(correspondences(), seeds)
def test_ranks_ignore_an_increasing_rescaling(owners, seed):
    scores = np.random.default_rng(seed).integers(-20, 20, (owners.max() + 1, len(owners))).astype(float)
    ranks, rescaled = ranks_from_scores(scores, owners), ranks_from_scores(3.0 * scores - 40.0, owners)
    np.testing.assert_array_equal(rescaled.image_to_text, ranks.image_to_text)
    np.testing.assert_array_equal(rescaled.text_to_image, ranks.text_to_image)


@calm
@given(st.integers(1, 60), st.integers(1, 5), st.sampled_from([1, 3, 64, 300]), seeds, blocks)
def test_a_collapsed_model_is_ranked_last_not_first(num_images, per_image, width, seed, block):
    random = np.random.default_rng(seed)
    image, caption = random.standard_normal((2, width))
    owners = np.repeat(np.arange(num_images), per_image)
    ranks = retrieval_ranks(
        np.tile(image, (num_images, 1)), np.tile(caption, (len(owners), 1)), owners, block=block * per_image
    )
    assert (ranks.image_to_text == (num_images - 1) * per_image).all()
    assert (ranks.text_to_image == num_images - 1).all()


def test_equal_captions_tie_wherever_they_stand_in_the_matrix():
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(301), 3)
    images, captions = random.standard_normal((301, 129)), random.standard_normal((903, 129))
    captions[owners == 300] = captions[owners == 0]  # the last image has the sentences of the first
    captions[0, 5], captions[900, 5] = 0.0, -0.0  # two ways to write one number
    for block in (7, 200, 5000):
        ranks = retrieval_ranks(100 * images, captions, owners, block=block)
        best = (images @ captions.T)[0, :3].max()
        others = np.count_nonzero((images @ captions.T)[0, 3:900] > best)
        assert ranks.image_to_text[0] == others + 1


def test_zero_embeddings_are_not_rewarded():
    captions = np.eye(4)
    images = np.eye(4)
    images[2] = 0
    ranks = retrieval_ranks(images, captions, np.arange(4))
    assert ranks.image_to_text.tolist() == [0, 0, 3, 0]
    assert ranks.text_to_image.tolist() == [0, 0, 3, 0]


def test_the_identity_ranks_everything_first():
    ranks = ranks_from_scores(np.eye(6), np.arange(6))
    assert not ranks.image_to_text.any()
    assert not ranks.text_to_image.any()


def test_one_image_with_one_caption_has_nothing_to_lose_against():
    ranks = retrieval_ranks([[0.5, -1]], [[1, 1]], [0])
    assert ranks.image_to_text.tolist() == ranks.text_to_image.tolist() == [0]


def test_other_right_captions_never_count_as_wrong_ones():
    scores = np.array([[9.0, 8, 7, 1], [9, 9, 9, 5]])  # image 0 has three captions, its own beat the other's
    ranks = ranks_from_scores(scores, [0, 0, 0, 1])
    assert ranks.image_to_text.tolist() == [0, 3]
    assert ranks.text_to_image.tolist() == [1, 1, 1, 0]


def test_a_score_matrix_is_left_as_it_was():
    scores = np.random.default_rng(1).standard_normal((4, 8))
    before = scores.copy()
    ranks_from_scores(scores, np.repeat(np.arange(4), 2))
    np.testing.assert_array_equal(scores, before)


def test_half_precision_embeddings_are_computed_in_single():
    random = np.random.default_rng(2)
    images, captions = (random.standard_normal((size, 64)).astype(np.float16) for size in (40, 200))
    owners = np.repeat(np.arange(40), 5)
    half, single = (retrieval_ranks(images.astype(kind), captions.astype(kind), owners) for kind in ("f2", "f4"))
    np.testing.assert_array_equal(half.image_to_text, single.image_to_text)


def test_memory_stays_far_below_the_score_matrix():
    images, captions = np.random.default_rng(3).standard_normal((2, 6000, 8)).astype(np.float32)
    tracemalloc.start()
    retrieval_ranks(images, captions, np.arange(6000), block=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # the whole matrix would be 144 MB, one tile is 4 MB


ONE, TWO = np.ones((1, 3)), np.ones((2, 3))


@pytest.mark.parametrize(
    ("images", "captions", "owners", "message"),
    [
        (TWO, np.ones((2, 4)), [0, 1], "width 3, caption embeddings 4"),
        (np.ones(3), TWO, [0, 1], r"image embeddings have shape \(3,\)"),
        (TWO, np.ones((0, 3)), [], r"caption embeddings have shape \(0, 3\)"),
        (TWO, TWO, [0], "names 1 captions, expected 2"),
        (TWO, TWO, [0, 2], r"holds 0\.\.2, expected 0\.\.1"),
        (TWO, TWO, [-1, 0], r"holds -1\.\.0, expected 0\.\.1"),
        (TWO, TWO, [0.0, 1.0], "float64 of shape"),
        (TWO, TWO, [[0], [1]], r"int64 of shape \(2, 1\)"),
        (np.ones((8, 3)), TWO, [0, 1], r"6 images have no caption \(rows 2, 3, 4, 5, 6, \.\.\.\)"),
        (TWO * [[1], [np.nan]], TWO, [0, 1], "image embeddings hold 3 NaN or infinite values in 1 of 2 rows"),
        (TWO, TWO * np.inf, [0, 1], "caption embeddings hold 6 NaN or infinite values in 2 of 2 rows"),
        (TWO * 1e300, TWO, [0, 1], "image embeddings hold 6 NaN"),
        (TWO * 1e30, TWO * 1e30, [0, 1], r"scores hold 4 NaN or infinite values among images 0\.\.1"),
    ],
)
def test_impossible_embeddings_are_refused(images, captions, owners, message):
    with pytest.raises(EvalError, match=message):
        retrieval_ranks(images, captions, owners)


def test_impossible_scores_are_refused():
    with pytest.raises(EvalError, match=r"shape \(3,\), expected \[images, captions\]"):
        ranks_from_scores(np.ones(3), [0, 1, 2])
    with pytest.raises(EvalError, match="scores hold 1 NaN"):
        ranks_from_scores([[1, np.nan], [0, 1]], [0, 1])
    with pytest.raises(EvalError, match="block is 0"):
        ranks_from_scores(np.eye(2), [0, 1], block=0)
