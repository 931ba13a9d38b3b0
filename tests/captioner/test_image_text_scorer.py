"""The image-text scorer: its cosine, its loss over pairs, and re-ranking of finished captions."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.decoding.options import DecodeOptions
from captioner.inference import TrainedCaptioner
from captioner.models.ensemble import Captioner
from captioner.models.image_text_scorer import ImageTextScorer
from vislang.core.errors import ConfigError
from vislang.text.vocabulary import END, PAD, UNKNOWN, Vocabulary

CONFIG = CaptionerConfig(
    model="attend", word_dim=6, hidden_dim=8, attention_dim=4, scorers=2, scorer_weight=3.0, beam=6, decode_words=5,
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
    network.set_output_bias(frequencies)
    return network


def images(count=3, descriptors=4):
    random = np.random.default_rng(2)
    return random.normal(size=(count, descriptors, FEATURES)).astype(np.float32), np.ones((count, descriptors), bool)


def scores_by_hand(scorer, descriptors, words):
    """One sentence and one image at a time, in NumPy."""
    table, from_words, from_image = (
        [np.asarray(weight, np.float64) for weight in layer.weights]
        for layer in (scorer.words, scorer.from_words, scorer.from_image)
    )
    times = len(words) // len(descriptors)
    scores = []
    for number, sentence in enumerate(words):
        image = descriptors[number // times].mean(axis=0) @ from_image[0] + from_image[1]
        bag = sum((table[0][word] for word in sentence if word not in (PAD, END, UNKNOWN)), np.zeros(table[0].shape[1]))
        text = bag @ from_words[0] + from_words[1]
        scores.append(image @ text / np.linalg.norm(image) / max(np.linalg.norm(text), 1e-12))
    return np.array(scores)


def test_the_score_is_the_cosine_of_the_image_and_the_bag_of_its_words(network):
    descriptors, mask = images()
    words = np.array([[4, 5, END, PAD], [5, 4, END, PAD], [6, UNKNOWN, 8, END]] * 2, np.int32)
    for scorer in network.scorers:
        np.testing.assert_allclose(
            scorer.scores(descriptors, mask, words), scores_by_hand(scorer, descriptors, words), 1e-4
        )
    scores = np.asarray(network.predict_scores(descriptors, mask, words))
    expected = np.mean([scores_by_hand(scorer, descriptors, words) for scorer in network.scorers], axis=0)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert not np.isclose(scores[0], scores[2], atol=1e-3)


def test_padding_descriptors_change_nothing(network):
    descriptors, mask = images()
    words = np.array([[4, 5, END]] * 3, np.int32)
    longer = np.concatenate([descriptors, np.full((3, 2, FEATURES), 99, np.float32)], axis=1)
    wider = np.concatenate([mask, np.zeros((3, 2), bool)], axis=1)
    np.testing.assert_allclose(
        network.predict_scores(longer, wider, words), network.predict_scores(descriptors, mask, words), atol=1e-6
    )


def test_the_loss_leaves_captions_of_the_same_image_out():
    scorer = ImageTextScorer(replace(CONFIG, embedding_dropout=0.0, image_dropout=0.0), len(WORDS), FEATURES)
    descriptors, mask = images()
    words = np.array([[4, 5, END], [6, 7, END], [8, 4, END]], np.int32)
    descriptors[1] = descriptors[0]  # two captions of one image
    scores = (
        np.array([[scores_by_hand(scorer, descriptors[[i]], words[[j]])[0] for j in range(3)] for i in range(3)]) / 0.05
    )
    kept = np.where(np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool), scores, -np.inf)
    right = np.diag(scores)
    expected = np.mean(np.log(np.exp(kept).sum(1)) - right) + np.mean(np.log(np.exp(kept).sum(0)) - right)
    found = float(scorer.loss(descriptors, mask, words, np.array([7, 7, 2], np.int32)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def trained(network):
    return TrainedCaptioner(network, WORDS, {"backbone": {"name": "toy", "weights": {}}})


def test_beams_are_reranked_by_the_stated_sum(network):
    model = trained(network)
    descriptors, _ = images(8)
    beams = model.caption_descriptors(descriptors, options=DecodeOptions(num=6, scorer_weight=0.0))
    reranked = model.caption_descriptors(descriptors, options=DecodeOptions(num=2, scorer_weight=30.0))
    changed = cut = 0
    for image, (candidates, chosen) in enumerate(zip(beams, reranked, strict=True)):
        totals = []
        for caption in candidates:
            words = [WORDS.id(word) for word in caption.words]
            cosines = [scores_by_hand(scorer, descriptors[[image]], [words])[0] for scorer in network.scorers]
            length = len(caption.probabilities)
            ended = length > len(caption.words)
            cut += not ended
            totals.append(caption.log_prob / length**0.7 + 30.0 * np.mean(cosines) if ended else -np.inf)
        best = np.argsort(-np.array(totals), kind="stable")[:2]
        assert [caption.text for caption in chosen] == [candidates[rank].text for rank in best]
        changed += best[0] != 0
    assert changed  # else the scorers changed nothing here
    assert cut  # else that rule was not tried


@pytest.mark.slow
def test_weight_zero_is_plain_beam_search(network):
    model = trained(network)
    descriptors, _ = images(4)
    plain = Captioner(replace(CONFIG, scorers=0, scorer_weight=0.0), len(WORDS), FEATURES)
    for mine, other in zip(plain.generators, network.generators, strict=True):
        mine.set_weights(other.get_weights())
    expected = trained(plain).caption_descriptors(descriptors)
    found = model.caption_descriptors(descriptors, options=DecodeOptions(scorer_weight=0.0))
    assert [one[0].text for one in found] == [one[0].text for one in expected]


def test_a_weight_without_scorers_is_refused():
    with pytest.raises(ConfigError, match="scorers 0"):
        CaptionerConfig(scorer_weight=1.0)
    with pytest.raises(ConfigError, match="scorer_weight"):
        DecodeOptions(scorer_weight=-1.0)
