"""Maps of words from a ranker's activations."""

from types import SimpleNamespace

import numpy as np
import pytest

import saliency
from saliency.methods.activation import (
    activation_evidence,
    activation_maps,
    strengths,
)
from vislang.core.errors import ConfigError
from vislang.text.function_words import texts_of_words
from vislang.text.vocabulary import Vocabulary
from vse.config import VseConfig
from vse.inference import TrainedRanker
from vse.model import Ranker

WORDS = Vocabulary(["a", "black", "white", "dog", "runs"])


def trained_ranker(cells: np.ndarray | None = None) -> TrainedRanker:
    config = VseConfig(
        word_dim=5, hidden_dim=6, embed_dim=7, ensemble_size=2, layers=("pooled", "pooled@320"),
        image_scaling="standardised", project_sentences=True,
    )  # fmt: skip
    ranker = Ranker(config, len(WORDS), 8)
    random = np.random.default_rng(1)
    for weight in ranker.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    ranker.set_feature_statistics(random.normal(size=(2, 8)), random.uniform(0.5, 2.0, (2, 8)))
    model = TrainedRanker(ranker, WORDS, {"backbone": {"name": "toy", "weights": {}}})
    model.__dict__["blank_cells"] = np.zeros((3, 2, 3, 4)) if cells is None else cells
    return model


def test_weights_are_what_a_cell_adds_to_the_score_of_its_image():
    model = trained_ranker()
    random = np.random.default_rng(2)
    cells = random.normal(size=(1, 2, 3, 4)).astype(np.float32)
    others = random.normal(size=4).astype(np.float32)
    texts = ["black dog", "a", "runs"]
    found = model.cell_scores(cells, texts)[0]  # [T, R, C]
    sentences = model.encode_sentences(texts).reshape(3, 2, 7)

    def score(own: np.ndarray) -> np.ndarray:
        descriptors = np.concatenate([own, others])[None, None]
        images = np.asarray(model.network.images(descriptors, normalize=False))[:, 0]  # [M, D]
        return np.einsum("md,tmd->t", images, sentences)

    added = np.array([[score(cells[0, row, column]) for column in range(3)] for row in range(2)])
    added = np.moveaxis(added - score(np.zeros(4, np.float32)), -1, 0)
    for text in range(3):
        factor = (found[text] * added[text]).sum() / (added[text] ** 2).sum()
        assert factor > 0
        np.testing.assert_allclose(found[text], factor * added[text], atol=1e-4)
    mean = model.cell_scores(cells.mean(axis=(1, 2), keepdims=True) + np.zeros((1, 2, 3, 1)), texts)[0]
    np.testing.assert_allclose(mean[:, 0, 0], found.mean(axis=(1, 2)), atol=1e-5)


def test_blank_images_have_no_map():
    cells = np.random.default_rng(3).normal(size=(3, 2, 3, 4)).astype(np.float32)
    losses = -trained_ranker(cells).cell_scores(cells, ["dog", "black dog"])
    assert losses.min() == 0.0
    assert (losses.min(axis=0) == 0.0).all()  # at each place one of them is the reference
    assert not activation_maps(losses).any()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_bundled_explanation_of_a_blank_image_shows_nothing(grey):
    found = saliency.explain_image(saliency.load_model(), np.full((60, 90, 3), grey, np.uint8), "a dog in the snow")
    assert found.maps.shape == (1, 5, 14, 14)
    assert found.maps.max() < 0.05


def test_words_that_the_ranker_does_not_know_have_no_map():
    image = np.random.default_rng(9).integers(0, 256, (64, 64, 3), np.uint8)
    found = saliency.explain_image(saliency.load_model(), image, "a zzgrbl and a dog")
    assert found.unknown == (False, True, False, False, False)
    assert not found.losses[:, 1].any()
    assert found.losses[:, 4].all()


@pytest.mark.parametrize(
    ("sentence", "texts"),
    [
        ("a black dog and a white dog", ["", "black", "black dog", "", "", "white", "white dog"]),
        ("a black and white dog", ["", "black", "", "black and white", "black and white dog"]),
        ("and white", ["", "white"]),
        ("man and red and", ["man", "", "red", ""]),
        ("a man who has a dog but not he", ["", "man", "", "", "", "dog", "", "", ""]),
        ("dog runs", ["dog", "dog runs"]),
        ("the a", ["", ""]),
    ],
)
def test_a_word_is_read_with_those_since_the_last_function_word(sentence, texts):
    assert texts_of_words(sentence.split()) == texts


def test_function_words_have_no_map():
    cells = np.random.default_rng(4).normal(size=(1, 2, 3, 4)).astype(np.float32)
    losses = -trained_ranker().cell_scores(cells, texts_of_words(["a", "dog"]))
    assert not losses[:, 0].any()
    assert losses[:, 1].all()


def test_maps_are_faint_below_the_usual_score_and_never_above_one():
    losses = np.zeros((2, 3, 14, 14), np.float32)
    losses[0, 0, 4:9, 4:9] = -3.0
    losses[1, 1, 4:9, 4:9] = -50.0
    losses[0, 1, 4:9, 4:9] = -25.0
    losses[:, 2] = 7.0  # spoken against everywhere
    maps = activation_maps(losses)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[1, 1].max(), 1.0)
    assert 0.48 < maps[0, 1].max() < 0.5  # (25 - 1) / (50 - 1), less the smoothing
    assert 0.75 < maps[0, 0].max() < 0.8  # (3 - 1) / (3.5 - 1), less the smoothing
    assert not maps[:, 2].any()
    assert np.unravel_index(maps[1, 1].argmax(), (14, 14)) == (6, 6)


@pytest.mark.parametrize("settings", [{"layers": ("fc7",)}, {"layers": ("pooled",), "image_scaling": "none"}])
def test_rankers_whose_scores_are_no_sums_over_cells_are_refused(settings):
    config = VseConfig(**settings)
    model = TrainedRanker(SimpleNamespace(config=config), WORDS, {"backbone": {"name": "toy", "weights": {}}})
    with pytest.raises(ConfigError, match="for maps of words; take the bundled ranker"):
        _ = model.cell_layer


def test_words_that_the_image_speaks_against_have_a_faint_map():
    np.testing.assert_allclose(strengths(np.array([-3.0, -0.8, 0.0, 1.0, 5.0])), [0.1, 0.1, 0.5, 1.0, 1.0], atol=1e-6)


def test_evidence_grows_with_the_best_cell_of_any_frame():
    losses = np.full((2, 3, 2, 2), 1.0)
    losses[1, 0, 0, 1] = -6.5
    losses[:, 2] = -6.5
    np.testing.assert_allclose(activation_evidence(losses, ["dog", "cat", ""]), [0.9, -1.35, 0.0], atol=1e-6)
