"""Segments of sentences: the reward of the chain is in standard deviations of a sentence's products."""

from types import SimpleNamespace

import numpy as np
import pytest

from captioner.alignment.inference import stds_over_regions
from captioner.alignment.segments import Segment, segment_sentences
from vislang.core.errors import ConfigError

# Two words and two regions: the words prefer different regions, the second by little. The standard deviation is 1.
PRODUCTS = np.array([[[1.6, -0.9], [0.1, 1.1], [-1.3, -0.6]]])
PRODUCTS = (PRODUCTS - PRODUCTS.mean()) / PRODUCTS.std()


class Products:
    """A model of given products."""

    config = SimpleNamespace(beta=0.15)

    def __init__(self, products, spans=None):
        self.given = np.asarray(products)
        self.spans = spans

    def encode_split(self, sentences):
        if self.spans is not None:
            return None, self.spans
        return None, [[(word, word + 1) for word in range(len(sentence))] for sentence in sentences]

    def products(self, images, encoded):
        return self.given


def segments(products, beta=None, priors=None, words=3, added=None):
    count, _, regions = np.shape(products)
    images = SimpleNamespace(priors=np.zeros((count, regions)) if priors is None else np.asarray(priors))
    return segment_sentences(Products(products), images, [["word"] * words] * count, beta, added)


def cut(products, beta=None, **options):
    return [(segment.words, segment.region) for segment in segments(products, beta, **options)[0]]


def test_the_reward_does_not_depend_on_the_scale_of_the_products():
    # Leaving region 0 after the first word gains 0.95 in the second and 0.66 in the third, one reward less.
    assert cut(PRODUCTS, 0.5) == [((0, 1), 0), ((1, 3), 1)]
    assert cut(PRODUCTS, 1.7) == [((0, 3), 0)]
    for scale in (1e-3, 1e3):
        assert cut(scale * PRODUCTS, 0.5) == cut(PRODUCTS, 0.5)
        assert cut(scale * PRODUCTS, 1.7) == cut(PRODUCTS, 1.7)


def test_each_sentence_has_its_own_scale():
    both = np.concatenate([PRODUCTS, 1e3 * PRODUCTS])
    first, second = segments(both, 1.7)
    assert [one.region for one in first] == [one.region for one in second] == [0]


def test_without_a_reward_the_settings_of_the_model_decide():
    assert cut(PRODUCTS) == cut(PRODUCTS, 0.15)
    with pytest.raises(ConfigError, match="beta got -1, expected 0 or more"):
        segments(PRODUCTS, -1)
    with pytest.raises(ConfigError, match="beta got nan"):
        segments(PRODUCTS, float("nan"))
    assert cut(PRODUCTS, 0) == [((0, 1), 0), ((1, 3), 1)]


def test_strength_is_in_standard_deviations():
    (segment,) = segments(7 * PRODUCTS, 1.7)[0]
    assert segment == Segment((0, 3), 0, pytest.approx(PRODUCTS[0, :, 0].mean()))


def test_padding_words_and_regions_count_nowhere():
    padded = np.concatenate([PRODUCTS, np.full((1, 3, 2), -np.inf)], axis=2)
    padded = np.concatenate([padded, np.full((1, 2, 4), 1e3)], axis=1)
    assert segments(padded, 1.7) == segments(PRODUCTS, 1.7)
    assert segments(PRODUCTS, words=0) == [[]]


def test_priors_are_in_standard_deviations_of_a_words_products():
    product = np.array([[[2.0, 0.0]]])  # standard deviation 1 over the regions
    assert cut(product, 0, priors=[[0.0, 1.9]], words=1) == [((0, 1), 0)]
    assert cut(product, 0, priors=[[0.0, 2.1]], words=1) == [((0, 1), 1)]
    assert cut(100 * product, 0, priors=[[0.0, 2.1]], words=1) == [((0, 1), 1)]
    np.testing.assert_allclose(stds_over_regions(np.array([[3.0, -1.0, -np.inf], [5.0, -np.inf, -np.inf]])), [2, 0])


def test_what_is_added_to_the_priors_of_each_word_decides_by_its_own_size():
    # The second word leads by 1 in products, whose deviation over the two regions is a half of that.
    assert cut(PRODUCTS, 0) == [((0, 1), 0), ((1, 3), 1)]
    added = np.zeros((1, 3, 2))
    added[0, 1, 0] = 1.9
    assert cut(PRODUCTS, 0, added=added) == [((0, 1), 0), ((1, 3), 1)]
    added[0, 1, 0] = 2.1
    assert cut(PRODUCTS, 0, added=added) == [((0, 2), 0), ((2, 3), 1)]
    longer = np.concatenate([added, np.full((1, 2, 2), 9.0)], axis=1)  # words that the model cut off
    assert segments(PRODUCTS, 0, added=longer) == segments(PRODUCTS, 0, added=added)


def test_words_without_tokens_join_those_before_them_or_the_first():
    # "( dog , cat": an opening mark and a comma without tokens; dog and cat prefer different regions.
    model = Products(PRODUCTS[:, [0, 1]], [[(0, 0), (0, 1), (1, 1), (1, 2)]])
    images = SimpleNamespace(priors=np.zeros((1, 2)))
    (found,) = segment_sentences(model, images, [["(", "dog", ",", "cat"]], 0.0)
    assert [(one.words, one.region) for one in found] == [((0, 3), 0), ((3, 4), 1)]
    expected = PRODUCTS[0, [0, 1], [0, 1]] / PRODUCTS[0, [0, 1]].std()
    np.testing.assert_allclose([one.strength for one in found], expected)


def test_words_behind_the_longest_sentence_join_its_last_token():
    model = Products(PRODUCTS[:, [0, 1]], [[(0, 1), (1, 2), (2, 3)]])
    (found,) = segment_sentences(model, SimpleNamespace(priors=np.zeros((1, 2))), [["a", "b", "c"]], 0.0)
    assert [one.words for one in found] == [(0, 1), (1, 3)]
