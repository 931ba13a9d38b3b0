"""The quantities behind the maps, and the original's chain of steps, against hand-worked numbers and definitions."""

import numpy as np
import pytest
from scipy import ndimage

from captioner.config import CaptionerConfig
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from saliency.methods.ramanishka import (
    blurred,
    normalised_over_sentence,
    normalised_over_time,
    original_maps,
    rendered,
    smoothed_in_time,
)
from saliency.methods.single_descriptor import divergences, query_losses
from vislang.text.vocabulary import Vocabulary

NUM_FEATURES = 3
WORDS = Vocabulary(["a", "dog", "runs", "fast"])


class Table:
    """A captioner of two words, 4 and 5, whose probabilities are given for each of three cells and for all of them.

    A cell is told apart by its descriptor: cell i is the unit vector i; any other set of descriptors is the whole.
    """

    num_features, num_words = NUM_FEATURES, 6

    def __init__(self, alone, whole):
        self.network = self
        self.alone, self.whole = np.asarray(alone), np.asarray(whole)  # [3 cells, T, 2], [T, 2]

    def word_log_probs(self, descriptors, mask, words):
        from keras import ops

        full = np.full((3, *self.whole.shape[:1], 6), -1e4, np.float32)
        full[..., 4:] = np.log(self.alone)
        whole = np.full((1, *self.whole.shape[:1], 6), -1e4, np.float32)
        whole[..., 4:] = np.log(self.whole)
        if descriptors.shape[1] == 1:
            return ops.take(ops.convert_to_tensor(full), ops.argmax(descriptors[:, 0], axis=-1), axis=0)
        return ops.convert_to_tensor(whole)

    def given_log_probs(self, descriptors, words):
        found = np.asarray(self.word_log_probs(descriptors, None, words))
        return np.take_along_axis(found, np.asarray(words)[..., None], axis=-1)[..., 0]


# Two words, three cells. Cell 0 knows the first word, cell 1 the second, cell 2 neither.
ALONE = [[[0.8, 0.2], [0.5, 0.5]], [[0.5, 0.5], [0.1, 0.9]], [[0.4, 0.6], [0.6, 0.4]]]
WHOLE = [[0.7, 0.3], [0.2, 0.8]]
CELLS = np.eye(3, dtype=np.float32)
SENTENCE = np.array([4, 5], np.int32)


def test_losses_of_a_given_sentence_worked_by_hand():
    expected = [[-np.log(0.8), -np.log(0.5)], [-np.log(0.5), -np.log(0.9)], [-np.log(0.4), -np.log(0.4)]]
    np.testing.assert_allclose(query_losses(Table(ALONE, WHOLE), CELLS, SENTENCE), expected, atol=1e-6)
    numbers = [[0.223143551, 0.693147181], [0.693147181, 0.105360516], [0.916290732, 0.916290732]]
    np.testing.assert_allclose(query_losses(Table(ALONE, WHOLE), CELLS, SENTENCE), numbers, atol=1e-6)


def test_divergences_of_a_written_sentence_worked_by_hand():
    found = divergences(Table(ALONE, WHOLE), CELLS, SENTENCE, CELLS)
    # Cell 0, word 1: 0.7 ln(0.7 / 0.8) + 0.3 ln(0.3 / 0.2) = -0.0934720 + 0.1216395
    numbers = [[0.028167557, 0.192744732], [0.082282706, 0.044403072], [0.183786897, 0.334795256]]
    np.testing.assert_allclose(found, numbers, atol=1e-6)
    np.testing.assert_allclose(divergences(Table(3 * [WHOLE], WHOLE), CELLS, SENTENCE, CELLS), 0.0, atol=1e-6)


def trained_captioner(model: str) -> TrainedCaptioner:
    config = CaptionerConfig(model=model, word_dim=5, hidden_dim=6, attention_dim=4, reading_order="given")
    captioner = Captioner(config, len(WORDS), NUM_FEATURES)
    random = np.random.default_rng(1)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return TrainedCaptioner(captioner, WORDS, {"backbone": {"name": "toy", "weights": {}}})


@pytest.mark.parametrize("model", ["mrnn", "lstm", "attend", "s2vt"])
def test_all_descriptors_at_once_are_as_each_alone_for_every_captioner(model):
    captioner = trained_captioner(model)
    cells = np.random.default_rng(2).normal(size=(5, NUM_FEATURES)).astype(np.float32)
    sentence = np.array([4, 6, 5, 7], np.int32)
    network, alone = captioner.network, np.ones((1, 1), bool)
    p = np.asarray(network.word_log_probs(cells[None], np.ones((1, 5), bool), sentence[None]))[0]  # [T, V]
    losses, kl = np.zeros((5, 4)), np.zeros((5, 4))
    for number, cell in enumerate(cells):
        q = np.asarray(network.word_log_probs(cell[None, None], alone, sentence[None]))[0]
        for t, word in enumerate(sentence):
            losses[number, t] = -q[t, word]
            kl[number, t] = sum(np.exp(p[t, w]) * (p[t, w] - q[t, w]) for w in range(len(WORDS)))
    np.testing.assert_allclose(query_losses(captioner, cells, sentence), losses, atol=1e-5)
    np.testing.assert_allclose(divergences(captioner, cells, sentence, cells), kl, atol=1e-5)
    assert kl.min() > 0


def test_frames_are_smoothed_by_three_taps_mirrored_at_both_ends():
    features = np.random.default_rng(0).normal(size=(6, 2, 2, 3)).astype(np.float32)
    expected = ndimage.uniform_filter1d(features, size=3, axis=0, mode="reflect")
    np.testing.assert_allclose(list(smoothed_in_time(features)), expected, atol=1e-6)
    np.testing.assert_allclose(list(smoothed_in_time(features[:1])), features[:1], atol=1e-6)
    np.testing.assert_allclose(list(smoothed_in_time(np.array([[3.0], [6.0]]))), [[4.0], [5.0]])
    assert list(smoothed_in_time([])) == []


# log q of two frames, two words and three cells.
SCORES = np.array([[[[-1.0, -2.0, -3.0]], [[-2.0, -2.0, -4.0]]], [[[-5.0, -1.0, -2.0]], [[-4.0, -3.0, -2.0]]]])


def test_normalisation_over_time_worked_by_hand():
    # Word 1: from -5 to -1, so (s + 5) / 4 = 1, 3/4, 1/2 | 0, 1, 3/4 with mean 2/3; word 2: (s + 4) / 2, mean 7/12.
    expected = [
        [[[1 / 3, 1 / 12, 0.0]], [[5 / 12, 5 / 12, 0.0]]],
        [[[0.0, 1 / 3, 1 / 12]], [[0.0, 0.0, 5 / 12]]],
    ]
    np.testing.assert_allclose(normalised_over_time(SCORES), expected, atol=1e-6)


def test_normalisation_over_the_sentence_worked_by_hand():
    # Each frame by itself, over both words: the largest is 5/12 in both, the smallest 0.
    expected = [[[[0.8, 0.2, 0.0]], [[1.0, 1.0, 0.0]]], [[[0.0, 0.8, 0.2]], [[0.0, 0.0, 1.0]]]]
    np.testing.assert_allclose(normalised_over_sentence(normalised_over_time(SCORES)), expected, atol=1e-6)


def test_what_is_the_same_everywhere_becomes_0_and_no_nan():
    same = np.full((2, 2, 1, 3), -1.5)
    assert (normalised_over_time(same) == 0).all()
    assert (normalised_over_sentence(same) == 0).all()
    assert np.isfinite(original_maps(-same)).all()


def test_blurring_is_a_gaussian_for_each_word_along_time_rows_and_columns():
    scores = np.random.default_rng(0).random((9, 2, 8, 8))
    for word in range(2):
        expected = ndimage.gaussian_filter(scores[:, word], sigma=(2, 1, 1))
        np.testing.assert_allclose(blurred(scores)[:, word], expected, atol=1e-6)
    single = np.zeros((1, 1, 8, 8))
    single[0, 0, 3, 3] = 1.0
    tap = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    tap /= tap.sum()
    assert blurred(single)[0, 0, 3, 3] == pytest.approx(tap[4] ** 2, rel=1e-3)


def test_the_chain_from_losses_to_maps_worked_by_hand():
    unblurred = np.array([[[[0.8, 0.2, 0.0]], [[1.0, 1.0, 0.0]]], [[[0.0, 0.8, 0.2]], [[0.0, 0.0, 1.0]]]])
    expected = np.stack([ndimage.gaussian_filter(unblurred[:, word], sigma=(2, 1, 1)) for word in range(2)], axis=1)
    np.testing.assert_allclose(original_maps(-SCORES), expected, atol=1e-6)
    other = normalised_over_sentence(blurred(normalised_over_time(SCORES)))
    assert np.abs(other - expected).max() > 0.1


def test_rendering_keeps_the_published_size_and_cells_of_36_pixels():
    scores = np.zeros((8, 8))
    scores[0, 0] = 1.0
    picture = rendered(scores)
    assert picture.shape == (300, 300)
    assert picture.dtype == np.uint8
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert abs(row - (6 + 17.5)) < 2  # the first cell lies behind a margin of 6 pixels
    assert abs(column - (6 + 17.5)) < 2
    scores[0, 0], scores[7, 7] = 0.0, 1.0
    assert abs(np.argmax(rendered(scores).max(axis=1)) - (300 - 6 - 18.5)) < 2
