"""CIDEr-D between captions of a collection, against the score of one candidate and its references."""

import numpy as np
import pytest

from eval.metrics.captions.cider import PairwiseCider, cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams, word_rows
from vislang.core.errors import EvalError

WORDS = ["a", "dog", "runs", "on", "the", "grass", "cat", "sits", "red", "ball"]


def captions(random, count, longest=9, words=range(4, 9)):
    """Rows of word ids, few different words, so that n-grams repeat within and between rows."""
    rows = np.zeros((count, longest), np.int32)
    for row in rows:
        length = random.integers(0, longest + 1)
        row[:length] = random.choice(words, length)
    return rows


def spelled(row):
    return " ".join(f"w{word}" for word in row if word)


def made_up_captions(images=12, seed=0):
    random = np.random.default_rng(seed)
    return [[" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(3)] for _ in range(images)]


def slow_cider(candidate, reference, collection):
    table = DocumentFrequencies.fit(collection)
    return cider(count_ngrams([candidate], [[reference]]), df=table)[0]


@pytest.mark.parametrize("seed", range(5))
def test_pairwise_cider_is_cider_d_with_the_collections_document_frequencies(seed):
    random = np.random.default_rng(seed)
    image_of_caption = np.repeat(np.arange(7), [1, 3, 5, 2, 5, 4, 1])
    collection = captions(random, len(image_of_caption))
    candidates = captions(random, 6, words=[4, 5, 6, 7, 60])  # one word that the collection lacks
    frequencies = DocumentFrequencies.fit(
        [[spelled(row) for row in collection[image_of_caption == image]] for image in range(7)]
    )
    pairwise = PairwiseCider(collection, image_of_caption)
    for image in range(7):
        own = np.nonzero(image_of_caption == image)[0]
        references = [[spelled(row) for row in collection[own]]] * len(candidates)
        expected = cider(count_ngrams([spelled(row) for row in candidates], references), df=frequencies)
        np.testing.assert_allclose(pairwise(candidates, own).mean(axis=1), expected, rtol=1e-9, atol=1e-9)


def test_pairwise_cider_by_hand():
    # Two images: "dog runs" in one alone weighs log 2 as a word pair, "a" in both weighs nothing.
    pairwise = PairwiseCider(np.array([[4, 5, 8], [4, 6, 8]]), np.array([0, 1]))
    scores = pairwise(np.array([[4, 5, 8], [6, 0, 0]]), np.array([0, 1]))
    # Itself: every order with weight agrees, 4-grams do not exist. The other: "a" and "runs" weigh nothing.
    np.testing.assert_allclose(scores[0], [7.5, 0.0])
    # "cat" alone: all of the second caption's weighted words, two words shorter (lengths 0 and 2 in pairs).
    np.testing.assert_allclose(scores[1], [0.0, 2.5 * np.exp(-4 / 72)])


def test_a_collection_without_words_scores_nothing():
    pairwise = PairwiseCider(np.zeros((2, 3), np.uint8), np.array([0, 1]))
    assert pairwise(np.array([[4, 5]]), np.array([0, 1])).tolist() == [[0, 0]]


def test_word_ids_that_do_not_fit_are_refused():
    with pytest.raises(EvalError, match="55107"):
        PairwiseCider(np.array([[70000]]), np.array([0]))


def test_captions_of_the_collection_can_be_compared_with_each_other():
    captions = made_up_captions()
    captions[3][1] = "dog dog dog runs dog dog"
    captions[4][0] = "dog dog cat"
    captions[5][2] = ""
    flat = [caption for image in captions for caption in image]
    rows = word_rows(flat)
    numbers = np.array([10, 12, 0, 35, 17, 10])
    found = PairwiseCider(rows, np.repeat(np.arange(12), 3))(rows[numbers], numbers)
    expected = [[slow_cider(flat[one], flat[other], captions) for other in numbers] for one in numbers]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[0, 1] != pytest.approx(found[1, 0])  # clipping makes CIDEr-D one-sided


def test_word_rows_number_words_in_the_order_of_appearance():
    assert word_rows(["a dog", "", "dog a cat"]).tolist() == [[1, 2, 0], [0, 0, 0], [2, 1, 3]]
