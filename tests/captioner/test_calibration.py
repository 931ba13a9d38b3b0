"""Temperature and confidence: fitted on known answers, stored in the checkpoint, shown in every output."""

import json
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
from captioner.training.calibration import ScoredCaptions, WordTerms, fit_confidence, fit_temperature
from eval.metrics.calibration import expected_calibration_error, reliability_bins
from vislang.core.errors import CheckpointError
from vislang.text.vocabulary import END


def error_at(log_probs, labels, temperature):
    probabilities = softmax(log_probs / temperature, axis=1)
    bins = reliability_bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    return expected_calibration_error(bins)


@pytest.mark.parametrize("true", [0.5, 0.8, 1.0, 2.5])
def test_the_temperature_of_synthetic_words_is_recovered_and_the_error_falls(true):
    random = np.random.default_rng(3)
    log_probs = log_softmax(2.0 * random.normal(size=(40_000, 12)), axis=1)
    noise = random.gumbel(size=log_probs.shape)
    labels = np.argmax(log_probs / true + noise, axis=1)  # drawn from softmax(log p / true)

    def predict(temperature):
        q = softmax(log_probs / temperature, axis=1)
        slope = log_probs.max(axis=1) - (q * log_probs).sum(axis=1)
        return [WordTerms(q.max(axis=1), slope, q.argmax(axis=1) == labels)]

    found = fit_temperature(predict)
    assert found == pytest.approx(true, rel=0.02)
    assert error_at(log_probs, labels, found) < 0.01
    if true != 1.0:
        assert error_at(log_probs, labels, found) < 0.5 * error_at(log_probs, labels, 1.0)


def test_the_network_computes_the_terms_of_the_calibrated_words():
    config = replace(
        CONFIGS["best"], ensemble_size=2, scorers=0, scorer_weight=0.0, consensus_images=0, consensus_weight=0.0,
        hidden_dim=8, word_dim=8, attention_dim=8,
    )  # fmt: skip
    network = Captioner(config, 9, 6)
    descriptors = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    mask = np.ones((2, 3), bool)
    words = np.array([[4, 5, END], [6, END, 0]], np.int32)
    log_probs = np.asarray(network.word_log_probs(descriptors, mask, words), np.float64)
    terms = np.asarray(network.predict_calibration(descriptors, mask, words, np.float32(0.7)))
    for row, step in [(0, 0), (0, 2), (1, 1)]:
        q = softmax(log_probs[row, step] / 0.7)
        word = words[row, step]
        slope = log_probs[row, step].max() - q @ log_probs[row, step]
        expected = [np.log(q[word]), q.max(), slope, q.argmax() == word]
        np.testing.assert_allclose(terms[:, row, step], expected, rtol=1e-4, atol=1e-5)
    assert not terms[:, 1, 2].any()  # padding
    plain = np.asarray(network.predict_caption_log_probs(descriptors, mask, words))
    unchanged = np.asarray(network.predict_calibration(descriptors, mask, words, np.float32(1.0)))[0]
    np.testing.assert_allclose(unchanged, plain, atol=1e-5)


def test_the_confidence_follows_what_tells_good_captions_and_trusts_half():
    random = np.random.default_rng(5)
    written = []
    for count in (600, 60):  # of two data sets that weigh the same
        cosine = random.normal(size=count)
        good = random.random(count) < 1 / (1 + np.exp(-3 * cosine))
        noise = random.normal(size=count)
        written.append(ScoredCaptions({"mean_log_prob": noise, "cosine": cosine}, good))
    found = fit_confidence(0.9, written)
    assert found.temperature == 0.9
    assert found.weights["cosine"] > 2.0
    assert abs(found.weights["mean_log_prob"]) < 0.5
    shares = [(found.confidence(one.statistics) >= found.threshold).mean() for one in written]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    confidence = found.confidence(written[0].statistics)
    assert confidence.mean() == pytest.approx(written[0].good.mean(), abs=0.06)


def test_a_calibration_that_is_missing_or_damaged(tmp_path):
    assert read_calibration(tmp_path) is None
    values = {"temperature": 0.8, "bias": 1.0, "weights": {"cosine": 2.0}, "threshold": 0.4, "datasets": {}}
    (tmp_path / FILE).write_text(json.dumps(values))
    assert read_calibration(tmp_path) == Calibration(0.8, 1.0, {"cosine": 2.0}, 0.4)
    for damage in ({"temperature": 0.0}, {"bias": float("nan")}, {"weights": [1]}, {"threshold": None}):
        (tmp_path / FILE).write_text(json.dumps(values | damage))
        with pytest.raises(CheckpointError, match="captioner.calibrate"):
            read_calibration(tmp_path)


SURE = Caption("a dog", -1.0, (0.5, 0.5, 0.5), 0.71, True)
UNSURE = Caption("a cat", -2.0, (0.5, 0.5, 0.5), 0.124, False)
OLD = Caption("a cow", -2.0, (0.5, 0.5, 0.5))


def test_low_confidence_shows_in_text_json_and_csv():
    image = Path("a.jpg")
    assert text_lines(Captioned(image, [SURE]), False) == ["a.jpg\ta dog"]
    assert text_lines(Captioned(image, [UNSURE]), False) == ["a.jpg\ta cat\t(unsure)"]
    assert text_lines(Captioned(image, [OLD]), False) == ["a.jpg\ta cow"]
    assert text_lines(Captioned(image, [UNSURE]), True)[1] == "  low confidence 12 %"
    assert text_lines(Captioned(image, [SURE]), True)[1] == "  confidence 71 %"
    assert [line.strip() for line in text_lines(Captioned(image, [SURE, UNSURE]), False)] == [
        "a.jpg",
        "-1.000  a dog",
        "-2.000  a cat  (unsure)",
    ]
    rows = json_row(Captioned(image, [SURE, UNSURE, OLD]), False)["captions"]
    assert [(row["confidence"], row["trusted"]) for row in rows] == [(0.71, True), (0.124, False), (None, None)]
    assert csv_header(False).split(",") == ["image", "rank", "log_prob", "confidence", "trusted", "caption"]
    assert csv_lines(Captioned(image, [UNSURE]), False) == ["a.jpg,1,-2.000000,0.124000,False,a cat"]
    assert csv_lines(Captioned(image, [OLD]), False) == ["a.jpg,1,-2.000000,,,a cow"]


def test_the_page_greys_low_confidence_and_says_so(tmp_path):
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [UNSURE, SURE])]).html()
    assert page.count('class="best unsure"') == 1
    assert "low confidence 12 %" in page
    assert "Grey: captions that the model does not trust" in page
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [SURE, UNSURE])]).html()
    assert '<p class="best">' in page
    assert page.count('<span class="unsure"><span class="word"') == 1
    page = captions_page("t", [], [Captioned(tmp_path / "a.jpg", [OLD])]).html()
    assert 'unsure"' not in page
