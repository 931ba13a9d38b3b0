"""Captions as mixtures over windows: against the definition, and what it teaches."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.model import Captioner
from captioner.window_mixture import window_losses, window_means

NUM_FEATURES, NUM_WORDS = 3, 9
WORDS = np.array([[4, 5, 2, 0], [6, 7, 8, 2], [8, 2, 0, 0]], np.int32)
OWNERS = np.array([0, 1, 0], np.int32)


@pytest.mark.parametrize(("count", "shape"), [(9, (3, 3)), (5, (1, 5))])
def test_windows_are_rectangles_of_every_size_and_place(count, shape):
    cells = np.eye(count, dtype=np.float32)[None].repeat(200, axis=0)  # of a mean one can read what went into it
    means = np.asarray(window_means(keras.ops.convert_to_tensor(cells), 4, keras.random.SeedGenerator(1)))
    assert means.shape == (200, 4, count)
    sizes, used = set(), np.zeros(shape, bool)
    for mean in means.reshape(-1, count):
        window = (mean > 0).reshape(shape)
        rows, columns = np.flatnonzero(window.any(axis=1)), np.flatnonzero(window.any(axis=0))
        assert window[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        np.testing.assert_allclose(mean[mean > 0], 1 / window.sum(), rtol=1e-5)
        sizes.add((len(rows), len(columns)))
        used |= window
    assert used.all()
    assert len(sizes) == shape[0] * shape[1]


@pytest.mark.parametrize("model", ["s2vt", "attend", "lstm"])
@pytest.mark.parametrize("members", [1, 2])
def test_the_loss_is_the_mixture_of_the_definition(model, members):
    dropout = {"word_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    config = CaptionerConfig(model=model, word_dim=4, hidden_dim=5, look_dim=4, members=members, **dropout)
    captioner = Captioner(config, NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(0)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    means = random.normal(size=(2, 3, NUM_FEATURES)).astype(np.float32)
    expected = np.zeros(3)
    for number, (sentence, owner) in enumerate(zip(WORDS, OWNERS, strict=True)):
        for generator in captioner.generators:
            for t, word in enumerate(sentence[sentence > 0]):
                read = np.concatenate([[1], sentence[:-1]]).astype(np.int32)[None]
                mixture = 0.0
                for window in means[owner]:
                    memory = generator.look(window[None, None], np.ones((1, 1), bool))
                    logits = np.asarray(generator.logits(memory, read), np.float64)[0, t]
                    mixture += np.exp(logits[word]) / np.exp(logits).sum() / 3
                expected[number] -= np.log(mixture)
    found = window_losses(captioner, keras.ops.convert_to_tensor(means), WORDS, OWNERS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_window_is_the_usual_loss_and_equal_windows_change_nothing():
    config = CaptionerConfig(model="s2vt", word_dim=4, hidden_dim=5, word_dropout=0, image_dropout=0, output_dropout=0)
    captioner = Captioner(config, NUM_WORDS, NUM_FEATURES)
    one = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 1, NUM_FEATURES)).astype(np.float32))
    same = keras.ops.repeat(one, 4, axis=1)
    alone = window_losses(captioner, one, WORDS, OWNERS)
    np.testing.assert_allclose(window_losses(captioner, same, WORDS, OWNERS), alone, rtol=1e-5)
    descriptors = keras.ops.take(one, OWNERS, axis=0)
    chosen = np.asarray(captioner.predict_chosen(descriptors, np.ones((3, 1), bool), WORDS))
    np.testing.assert_allclose(alone, -chosen.sum(axis=1), rtol=1e-5)
