"""The judge: a cosine that words and image decide, a loss over pairs, and the last word on finished captions."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from captioner.models.reranker import Judge
from vislang.core.errors import ConfigError
from vislang.text.vocabulary import END, PAD, UNKNOWN, Vocabulary

CONFIG = CaptionerConfig(
    model="attend", word_dim=6, hidden_dim=8, look_dim=4, judges=2, judge_weight=3.0, beam=6, decode_words=5,
    image_scaling="none", length_power=0.7,
)  # fmt: skip
WORDS = Vocabulary(["a", "dog", "cat", "red", "runs"])
FEATURES = 5


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    network = Captioner(CONFIG, len(WORDS), FEATURES)
    frequencies = np.linspace(1, 2, len(WORDS)).astype(np.float32)
    frequencies[END] = 2  # most sentences end in time, not all
    network.start_from(frequencies)
    return network


def images(count=3, descriptors=4):
    random = np.random.default_rng(2)
    return random.normal(size=(count, descriptors, FEATURES)).astype(np.float32), np.ones((count, descriptors), bool)


def fit_by_hand(judge, descriptors, words):
    """One sentence and one image at a time, in NumPy."""
    table, from_words, from_image = (
        [np.asarray(weight, np.float64) for weight in layer.weights]
        for layer in (judge.words, judge.from_words, judge.from_image)
    )
    times = len(words) // len(descriptors)
    scores = []
    for number, sentence in enumerate(words):
        image = descriptors[number // times].mean(axis=0) @ from_image[0] + from_image[1]
        bag = sum((table[0][word] for word in sentence if word not in (PAD, END, UNKNOWN)), np.zeros(table[0].shape[1]))
        text = bag @ from_words[0] + from_words[1]
        scores.append(image @ text / np.linalg.norm(image) / max(np.linalg.norm(text), 1e-12))
    return np.array(scores)


def test_the_fit_is_the_cosine_of_the_image_and_the_bag_of_its_words(network):
    descriptors, mask = images()
    words = np.array([[4, 5, END, PAD], [5, 4, END, PAD], [6, UNKNOWN, 8, END]] * 2, np.int32)
    for judge in network.judges:
        np.testing.assert_allclose(judge.fit(descriptors, mask, words), fit_by_hand(judge, descriptors, words), 1e-4)
    scores = np.asarray(network.predict_fit(descriptors, mask, words))
    expected = np.mean([fit_by_hand(judge, descriptors, words) for judge in network.judges], axis=0)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert not np.isclose(scores[0], scores[2], atol=1e-3)


def test_descriptors_that_are_not_there_change_nothing(network):
    descriptors, mask = images()
    words = np.array([[4, 5, END]] * 3, np.int32)
    longer = np.concatenate([descriptors, np.full((3, 2, FEATURES), 99, np.float32)], axis=1)
    wider = np.concatenate([mask, np.zeros((3, 2), bool)], axis=1)
    np.testing.assert_allclose(
        network.predict_fit(longer, wider, words), network.predict_fit(descriptors, mask, words), atol=1e-6
    )


def test_the_loss_leaves_captions_of_the_same_image_out():
    judge = Judge(replace(CONFIG, word_dropout=0.0, image_dropout=0.0), len(WORDS), FEATURES)
    descriptors, mask = images()
    words = np.array([[4, 5, END], [6, 7, END], [8, 4, END]], np.int32)
    descriptors[1] = descriptors[0]  # two captions of one image
    scores = (
        np.array([[fit_by_hand(judge, descriptors[[i]], words[[j]])[0] for j in range(3)] for i in range(3)]) / 0.05
    )
    kept = np.where(np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool), scores, -np.inf)
    right = np.diag(scores)
    expected = np.mean(np.log(np.exp(kept).sum(1)) - right) + np.mean(np.log(np.exp(kept).sum(0)) - right)
    found = float(judge.loss(descriptors, mask, words, np.array([7, 7, 2], np.int32)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def trained(network):
    description = {"backbone": {"name": "toy", "weights": {}}}
    return TrainedCaptioner(network, WORDS, description)


def test_judges_choose_among_all_beams_by_the_stated_sum(network):
    model = trained(network)
    descriptors, mask = images(8)
    every = model.caption_descriptors(descriptors, options=model.options(num=6, judge_weight=0.0))
    judged = model.caption_descriptors(descriptors, options=model.options(num=2, judge_weight=30.0))
    changed = cut = 0
    for image, (found, chosen) in enumerate(zip(every, judged, strict=True)):
        numbers = [[WORDS.id(word) for word in caption.words] for caption in found]
        fits = [
            np.mean([fit_by_hand(judge, descriptors[[image]], [one])[0] for judge in network.judges]) for one in numbers
        ]
        lengths = [len(caption.probabilities) for caption in found]
        merit = [
            caption.log_prob / length**0.7 + 30.0 * fit if length > len(caption.words) else -np.inf  # cut: last
            for caption, length, fit in zip(found, lengths, fits, strict=True)
        ]
        cut += len(merit) - np.isfinite(merit).sum()
        best = np.argsort(-np.array(merit), kind="stable")[:2]
        assert [caption.text for caption in chosen] == [found[rank].text for rank in best]
        changed += best[0] != 0
    assert changed  # else the judges had nothing to say here
    assert cut  # else that rule was not tried


def test_no_say_means_the_plain_beam(network):
    model = trained(network)
    descriptors, _ = images(4)
    plain = Captioner(replace(CONFIG, judges=0, judge_weight=0.0), len(WORDS), FEATURES)
    for mine, other in zip(plain.generators, network.generators, strict=True):
        mine.set_weights(other.get_weights())
    expected = trained(plain).caption_descriptors(descriptors)
    found = model.caption_descriptors(descriptors, options=model.options(judge_weight=0.0))
    assert [one[0].text for one in found] == [one[0].text for one in expected]


def test_a_say_without_judges_is_refused():
    with pytest.raises(ConfigError, match="judges 0"):
        CaptionerConfig(judge_weight=1.0)
    with pytest.raises(ConfigError, match="judge_weight"):
        trained(Captioner(CaptionerConfig(word_dim=4, hidden_dim=4), 9, FEATURES)).options(judge_weight=-1.0)
