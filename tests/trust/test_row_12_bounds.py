"""Row 12 of the trust table: what comes in is bounded, whatever its size."""

import numpy as np
import pytest

import captioner
from saliency.methods import gradient, single_descriptor
from saliency.word_maps import MOST_WORDS, cell_losses, read_sentence
from vislang.core.errors import ConfigError


@pytest.fixture(scope="module")
def model(tiny_captioner):
    return captioner.load_model(tiny_captioner)


@pytest.fixture(scope="module")
def cells(model):
    return np.random.default_rng(0).normal(size=(3, 2, 2, model.network.num_features)).astype(np.float32)


@pytest.mark.parametrize("method", ["gradient", "ramanishka"])
def test_row_12_long_sentences_are_explained_in_parts(model, cells, method, monkeypatch):
    words = np.random.default_rng(1).integers(4, 12, 40).astype(np.int32)
    expected = cell_losses(model, cells, words, method=method, written_from=None)
    for positions in (1, 120, 3000):  # less than a sentence, some of its words, several images
        monkeypatch.setattr(gradient, "_POSITIONS", positions)
        monkeypatch.setattr(single_descriptor, "_POSITIONS", positions)
        found = cell_losses(model, cells, words, method=method, written_from=None)
        np.testing.assert_allclose(found[0], expected[0], rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(found[1], expected[1], rtol=2e-4, atol=1e-5)


def test_row_12_a_sentence_has_a_largest_length(model):
    assert len(read_sentence(model, "dog " * MOST_WORDS)[0]) == MOST_WORDS
    with pytest.raises(ConfigError, match="the sentence has 600 words, expected at most 200; explain it in parts"):
        read_sentence(model, "dog " * 600)
