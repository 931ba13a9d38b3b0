"""The borrowed captions: exact neighbours, and a consensus equal to its slow definition."""

import numpy as np
import pytest

from captioner.nearest_neighbour_baselines import consensus_captions, first_captions, nearest_images, standardised
from eval.metrics.captions.cider import PairwiseCider, cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams, word_rows

WORDS = ["a", "dog", "runs", "on", "the", "grass", "cat", "sits", "red", "ball"]


def made_up_captions(images=12, seed=0):
    random = np.random.default_rng(seed)
    return [[" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(3)] for _ in range(images)]


def slow_cider(candidate, reference, collection):
    table = DocumentFrequencies.fit(collection)
    return cider(count_ngrams([candidate], [[reference]]), df=table)[0]


def test_standardised_features_have_no_mean_and_unit_deviation_in_training():
    random = np.random.default_rng(0)
    training = random.normal(3, 5, (50, 4))
    training[:, 2] = 7.0
    scaled, asked = standardised(training, training[:3])
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(asked, scaled[:3])


def test_nearest_images_are_those_of_the_slow_definition(monkeypatch):
    monkeypatch.setattr("captioner.nearest_neighbour_baselines.BLOCK", 4)
    random = np.random.default_rng(1)
    queries, candidates = random.normal(size=(9, 5)).astype("f"), random.normal(size=(20, 5)).astype("f")
    distances = np.linalg.norm(queries[:, None] - candidates[None], axis=-1)
    np.testing.assert_array_equal(nearest_images(queries, candidates, 6), np.argsort(distances, axis=1)[:, :6])


def test_ties_go_to_the_earlier_image_and_few_candidates_are_all_found():
    candidates = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert nearest_images(np.array([[1, 0]], np.float32), candidates, 10).tolist() == [[0, 2, 1]]


def test_the_first_caption_of_the_nearest_image_is_borrowed():
    assert first_captions(np.array([[2, 0], [1, 2]]), [[0, 1], [2], [3, 4]]).tolist() == [3, 2]


@pytest.mark.parametrize("agreeing", [2, 100])
def test_the_consensus_is_that_of_the_slow_definition(agreeing):
    captions = made_up_captions(seed=4)
    flat = [caption for image in captions for caption in image]
    numbers_of = [list(range(3 * image, 3 * image + 3)) for image in range(len(captions))]
    neighbours = np.random.default_rng(0).permuted(np.tile(np.arange(12), (5, 1)), axis=1)[:, :4]
    rows = word_rows(flat)
    pairwise = PairwiseCider(rows, np.repeat(np.arange(12), 3))
    similarity = lambda numbers: pairwise(rows[numbers], numbers)  # noqa: E731
    found = consensus_captions(neighbours, numbers_of, similarity, agreeing=agreeing)
    for images, chosen in zip(neighbours, found, strict=True):
        candidates = [number for image in images for number in numbers_of[image]]
        value = {}
        for one in candidates:
            similarities = [slow_cider(flat[one], flat[other], captions) for other in candidates if other != one]
            value[one] = sum(sorted(similarities, reverse=True)[:agreeing])
        assert value[chosen] == pytest.approx(max(value.values()))


def test_the_consensus_of_one_caption_is_that_caption_and_ties_go_to_the_nearer_image():
    alone = consensus_captions(np.array([[1]]), [[0], [1]], lambda numbers: np.ones((len(numbers),) * 2))
    assert alone.tolist() == [1]
    tied = consensus_captions(np.array([[2, 0, 1]]), [[0], [1], [2]], lambda numbers: np.ones((len(numbers),) * 2))
    assert tied.tolist() == [2]


def test_agreeing_captions_win_over_one_that_is_a_little_like_all():
    similarities = np.full((6, 6), 0.4)
    similarities[:3, :3] = 0.9  # three that agree; with all others counted, number 5 would win
    similarities[5, :] = similarities[:, 5] = 0.8
    rows = [[number] for number in range(6)]
    images = np.arange(6)[None, ::-1]
    between = lambda numbers: similarities[np.ix_(numbers, numbers)]  # noqa: E731
    assert consensus_captions(images, rows, between, agreeing=2).tolist()[0] in (0, 1, 2)
    assert consensus_captions(images, rows, between).tolist() == [5]
