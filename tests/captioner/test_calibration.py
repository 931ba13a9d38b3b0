"""Temperature and confidence: fitted on known answers, stored in the checkpoint, shown in every output."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from captioner.calibration import FILE, Calibration, read_calibration
from captioner.config import CONFIGS
from captioner.inference import Caption
from captioner.models.ensemble import Captioner
from captioner.output_formats import Captioned, csv_header, csv_lines, json_row, text_lines
from captioner.page import captions_page
from captioner.training.calibration import TEMPERATURES, fit_confidence, fit_temperature, predict_words
from eval.metrics.calibration import expected_calibration_error, reliability_bins
from vislang.core.errors import CheckpointError
from vislang.text.vocabulary import END


def error_at(log_probs, labels, temperature):
    probabilities = softmax(log_probs / temperature, axis=1)
    bins = reliability_bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    return expected_calibration_error(bins)


@pytest.mark.parametrize("true", [0.55, 0.8, 1.0, 1.8])
def test_the_temperature_of_synthetic_words_is_recovered_and_the_error_falls(true):
    random = np.random.default_rng(3)
    log_probs = log_softmax(2.0 * random.normal(size=(40_000, 12)), axis=1)
    noise = random.gumbel(size=log_probs.shape)
    labels = np.argmax(log_probs / true + noise, axis=1)  # drawn from softmax(log p / true)
    highest = np.stack([softmax(log_probs / value, axis=1).max(axis=1) for value in TEMPERATURES])
    found = fit_temperature([(highest, log_probs.argmax(axis=1) == labels)])
    assert found == pytest.approx(true, rel=0.06)  # their steps are of 7 %
    assert error_at(log_probs, labels, found) < 0.015
    if true != 1.0:
        assert error_at(log_probs, labels, found) < 0.5 * error_at(log_probs, labels, 1.0)


class GivenCaptions:
    """A model whose dev images, one block, are given as tensors."""

    def __init__(self, network, descriptors, words):
        self.network = network
        self.block = (descriptors, words)

    def given_captions(self, cache, ids, captions):
        yield self.block


def test_the_calibrated_words_are_those_of_the_network():
    config = replace(
        CONFIGS["best"], ensemble_size=2, scorers=0, scorer_weight=0.0, consensus_images=0, consensus_weight=0.0,
        hidden_dim=8, word_dim=8, attention_dim=8,
    )  # fmt: skip
    network = Captioner(config, 9, 6)
    descriptors = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    mask = np.ones((2, 3), bool)
    words = np.array([[4, 5, END], [6, END, 0]], np.int32)
    log_probs = np.asarray(network.word_log_probs(descriptors, mask, words), np.float64)
    found = np.asarray(network.predict_caption_log_probs(descriptors, mask, words, np.float32(0.7)))
    probabilities, correct = predict_words(GivenCaptions(network, descriptors, words), (None, []), (1.0, 0.7))
    for place, (row, step) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        q = softmax(log_probs[row, step] / 0.7)
        assert found[row, step] == pytest.approx(np.log(q[words[row, step]]), abs=1e-5)
        assert probabilities[0, place] == pytest.approx(np.exp(log_probs[row, step].max()), abs=1e-5)
        assert probabilities[1, place] == pytest.approx(q.max(), abs=1e-5)
        assert correct[place] == (q.argmax() == words[row, step])
    assert probabilities.shape == (2, 5)
    assert found[1, 2] == 0.0  # padding


def test_the_confidence_follows_what_tells_good_captions_and_trusts_half():
    random = np.random.default_rng(5)
    scored = []
    for count in (600, 60):  # of two data sets that weigh the same
        cosine = random.normal(size=count)
        good = random.random(count) < 1 / (1 + np.exp(-3 * cosine))
        probabilities = np.exp(random.normal(size=count))
        captions = [Caption("", 0.0, (p,), one) for p, one in zip(probabilities.tolist(), cosine.tolist(), strict=True)]
        scored.append((captions, good))
    found = fit_confidence(0.9, scored)
    assert found.temperature == 0.9
    assert found.cosine_weight > 2.0
    assert abs(found.log_prob_weight) < 0.5
    captions, good = scored[0]
    confidence = np.array([found.confidence(np.log(one.probabilities).mean(), one.cosine) for one in captions])
    assert confidence.mean() == pytest.approx(good.mean(), abs=0.06)
    assert (confidence >= 0.5).mean() == pytest.approx(0.5, abs=0.06)
    assert good[confidence >= 0.5].mean() > 0.75
    assert good[confidence < 0.5].mean() < 0.25


def test_the_confidence_is_the_sigmoid_and_does_not_overflow():
    calibration = Calibration(1.0, 0.5, 2.0, -1.0)
    assert calibration.confidence(-0.75, 0.25) == pytest.approx(1 / (1 + np.exp(1.25)), abs=1e-4)
    assert [calibration.confidence(value, 0.0) for value in (-1e6, 1e6)] == [0.0, 1.0]


def test_captions_of_which_none_is_good_have_a_finite_confidence():
    captions = [Caption("", 0.0, (0.5, 0.5))] * 3
    found = fit_confidence(1.0, [(captions, np.zeros(3, bool))])
    assert 0.0 <= found.confidence(np.log(0.5), 0.0) < 0.1


def test_a_calibration_that_is_missing_or_damaged(tmp_path):
    assert read_calibration(tmp_path) is None
    values = {"temperature": 0.8, "bias": 1.0, "log_prob_weight": 3.0, "cosine_weight": 2.0}
    (tmp_path / FILE).write_text(json.dumps(values))
    assert read_calibration(tmp_path) == Calibration(0.8, 1.0, 3.0, 2.0)
    damages = ({"temperature": 0.0}, {"bias": float("nan")}, {"cosine_weight": [1]}, {"bias": None}, {"x": 1})
    for text in ("[1]", "{", "{}", *(json.dumps(values | damage) for damage in damages)):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(CheckpointError, match="vislang eval calibration --fit"):
            read_calibration(tmp_path)


SURE = Caption("a dog", -1.0, (0.5, 0.5, 0.5), 0.3, 0.71)
UNSURE = Caption("a cat", -2.0, (0.5, 0.5, 0.5), 0.2, 0.124)
OLD = Caption("a cow", -2.0, (0.5, 0.5, 0.5))
IMAGE = Path("a.jpg")


def test_confidence_shows_in_explanations_json_and_csv():
    for caption in (SURE, UNSURE, OLD):
        assert text_lines(Captioned(IMAGE, [caption]), False) == [f"a.jpg\t{caption.text}"]
    assert text_lines(Captioned(IMAGE, [UNSURE]), True)[1] == "  low confidence 12 %"
    assert text_lines(Captioned(IMAGE, [SURE]), True)[1] == "  confidence 71 %"
    assert len(text_lines(Captioned(IMAGE, [OLD]), True)) == 2
    rows = json_row(Captioned(IMAGE, [SURE, UNSURE, OLD]), False)["captions"]
    assert [(row["confidence"], row["trusted"]) for row in rows] == [(0.71, True), (0.124, False), (None, None)]
    assert csv_header(False).split(",") == ["image", "rank", "log_prob", "confidence", "caption"]
    assert csv_lines(Captioned(IMAGE, [UNSURE]), False) == ["a.jpg,1,-2.000000,0.124,a cat"]
    assert csv_lines(Captioned(IMAGE, [OLD]), False) == ["a.jpg,1,-2.000000,,a cow"]


def test_a_terminal_shows_low_confidence(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert text_lines(Captioned(IMAGE, [SURE]), False) == ["a.jpg\ta dog"]
    assert text_lines(Captioned(IMAGE, [UNSURE]), False) == ["a.jpg\ta cat  (low confidence)"]
    assert text_lines(Captioned(IMAGE, [OLD]), False) == ["a.jpg\ta cow"]
    assert text_lines(Captioned(IMAGE, [SURE, UNSURE]), False)[2].endswith("-2.000  a cat  (low confidence)")


def test_the_page_greys_low_confidence_and_says_so(tmp_path):
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [UNSURE, SURE])]).html()
    assert page.count('<p class="best unsure">') == 1
    assert page.count('<li class="other">') == 1
    assert "low confidence 12 %" in page
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [SURE, UNSURE])]).html()
    assert '<p class="best">' in page
    assert page.count('<li class="other unsure">') == 1
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [OLD])]).html()
    assert 'unsure"' not in page
    assert "confidence" not in page
