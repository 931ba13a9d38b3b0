"""The ranker's encoders and scores against the equations in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from vislang.text.vocabulary import END, UNKNOWN, Vocabulary
from vse.config import CONFIGS, VseConfig
from vse.inference import encode_words
from vse.model import Ranker

NUM_WORDS, NUM_FEATURES = 9, 5
WORDS = np.array([[4, 5, 6, 2], [8, 2, 0, 0], [7, 4, 2, 0]], np.int32)
SMALL = {"word_dim": 3, "hidden_dim": 4, "embed_dim": 4}
IMAGES = np.random.default_rng(2).normal(size=(3, 2, NUM_FEATURES)).astype(np.float32)


def ranker_of(preset: str = "kiros", **changes) -> Ranker:
    """A ranker whose weights are all random, so that none can be forgotten unseen."""
    ranker = Ranker(replace(CONFIGS[preset], **{**SMALL, **changes}), NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(1)
    for weight in ranker.trainable_weights:
        weight.assign(random.normal(0, 0.6, weight.shape))
    ranker.set_feature_statistics(random.normal(size=(2, NUM_FEATURES)), random.uniform(0.5, 2, (2, NUM_FEATURES)))
    return ranker


def double(weight):
    return np.asarray(weight, np.float64)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def affine(layer, x):
    return x @ double(layer.kernel) + double(layer.bias)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_states(cell, vectors):
    state, states = np.zeros(cell.units), []
    for x in vectors:
        reset, update = np.split(sigmoid(x @ double(cell.W) + double(cell.b) + state @ double(cell.U)), 2)
        candidate = np.tanh(reset * (state @ double(cell.Ux)) + x @ double(cell.Wx) + double(cell.bx))
        state = update * state + (1 - update) * candidate
        states.append(state)
    return np.array(states)


def vectors_of(encoder, row):
    return double(encoder.embedding.embeddings)[row[row > 0]]


def test_kiros_scores_images_of_any_length_in_the_loss_and_cosines_in_ranking():
    ranker = ranker_of()
    encoder = ranker.sentence_encoders[0]
    sentences = unit([gru_states(encoder.recurrent.cell, vectors_of(encoder, row))[-1] for row in WORDS])
    images = affine(ranker.image_encoders[0].linear, unit(IMAGES.mean(axis=1, dtype=np.float64)))
    found = ranker({"descriptors": IMAGES, "words": WORDS})
    assert found.shape == (1, 3, 3)
    np.testing.assert_allclose(found[0], images @ sentences.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ranker.predict_images(IMAGES)[0], unit(images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ranker.predict_sentences(WORDS)[0], sentences, rtol=1e-4, atol=1e-5)
    normalised = ranker_of(normalize_images_in_loss=True)({"descriptors": IMAGES, "words": WORDS})
    np.testing.assert_allclose(normalised[0], unit(images) @ sentences.T, rtol=1e-4, atol=1e-5)


def test_a_bag_of_words_is_the_sum_with_the_end_mark():
    ranker = ranker_of("kiros-bow", word_dim=4)
    encoder = ranker.sentence_encoders[0]
    assert encoder.recurrent is None
    expected = unit([vectors_of(encoder, row).sum(axis=0) for row in WORDS])
    np.testing.assert_allclose(ranker.predict_sentences(WORDS)[0], expected, rtol=1e-4, atol=1e-5)


def test_both_directions_are_pooled_by_their_maximum_and_projected():
    ranker = ranker_of(
        "best", hidden_dim=3, embed_dim=5, layers=("pooled",), ensemble_size=2, temperature=0.5, image_scaling="none"
    )
    ranker.log_logit_scale.assign([0.0, np.log(3.0)])
    found = np.asarray(ranker({"descriptors": IMAGES, "words": WORDS}))
    for member, encoder in enumerate(ranker.sentence_encoders):
        sentences = []
        for row in WORDS:
            vectors = vectors_of(encoder, row)
            forwards = gru_states(encoder.recurrent.forward_layer.cell, vectors)
            backwards = gru_states(encoder.recurrent.backward_layer.cell, vectors[::-1])[::-1]
            pooled = np.concatenate([forwards, backwards], axis=1).max(axis=0)
            sentences.append(affine(encoder.projection, pooled))
        images = affine(ranker.image_encoders[member].linear, IMAGES.mean(axis=1, dtype=np.float64))
        expected = (1.0, 3.0)[member] * unit(images) @ unit(sentences).T
        np.testing.assert_allclose(found[member], expected, rtol=1e-4, atol=1e-5)


def test_the_last_state_of_an_lstm_ignores_padding():
    ranker = ranker_of(encoder="lstm")
    alone = ranker.predict_sentences(WORDS[1:2, :2])
    np.testing.assert_allclose(ranker.predict_sentences(WORDS)[0, 1], alone[0, 0], atol=1e-6)
    assert ranker.sentence_encoders[0](WORDS).shape == (3, 4)


def test_attention_adds_weighted_descriptors():
    ranker = ranker_of("scenes", embed_dim=4, attention_heads=2, image_scaling="none")
    encoder = ranker.image_encoders[0]
    images = IMAGES.astype(np.float64)
    expected = affine(encoder.linear, images.mean(axis=1))
    scores = np.exp(images @ double(encoder.attention.kernel))  # [3, 2 descriptors, 2 heads]
    weights = scores / scores.sum(axis=1, keepdims=True)
    attended = np.einsum("bnh,bnf->bhf", weights, images).mean(axis=1)
    expected = expected + attended @ double(encoder.attended.kernel)
    np.testing.assert_allclose(ranker.images(IMAGES, normalize=False)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_share_of_the_words_is_read_as_unknown_in_training_alone():
    encoder = ranker_of(word_dropout=0.5).sentence_encoders[0]
    plain, again = np.asarray(encoder(WORDS)), np.asarray(encoder(WORDS))
    np.testing.assert_array_equal(plain, again)
    trained = np.stack([np.asarray(encoder(WORDS, training=True)) for _ in range(8)])
    assert np.abs(trained - plain).max() > 1e-3
    nearly_all = ranker_of(word_dropout=0.999).sentence_encoders[0]
    unknown = np.where(WORDS > 0, UNKNOWN, 0).astype(np.int32)
    np.testing.assert_allclose(nearly_all(WORDS, training=True), nearly_all(unknown), atol=1e-6)


def test_dropout_acts_in_training_alone():
    for changes, part in (({"sentence_dropout": 0.5}, "sentences"), ({"image_dropout": 0.5}, "images")):
        ranker = ranker_of(**changes)
        data = WORDS if part == "sentences" else IMAGES
        encode = getattr(ranker, part)
        np.testing.assert_array_equal(encode(data), encode(data))
        assert np.abs(np.asarray(encode(data, True)) - np.asarray(encode(data))).max() > 1e-3


def test_weights_start_as_in_the_original():
    ranker = Ranker(VseConfig(word_dim=50, hidden_dim=60, embed_dim=60), 40, 70)
    table = np.asarray(ranker.sentence_encoders[0].embedding.embeddings)
    assert 0.09 < np.abs(table).max() <= 0.1
    kernel = np.asarray(ranker.image_encoders[0].linear.kernel)
    limit = np.sqrt(6 / (70 + 60))  # Glorot
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    cell = ranker.sentence_encoders[0].recurrent.cell
    for weight in (cell.W, cell.Wx):
        assert 0.09 < np.abs(np.asarray(weight)).max() <= 0.1
        assert np.asarray(weight).min() < -0.09
    for bias in (cell.b, cell.bx, ranker.image_encoders[0].linear.bias):
        assert not np.asarray(bias).any()
    np.testing.assert_allclose(ranker.log_logit_scale, -np.log(0.05), rtol=1e-6)
    assert not ranker.log_logit_scale.trainable, "only the softmax loss learns a temperature"
    assert Ranker(CONFIGS["bundled"], 9, 5).log_logit_scale.trainable


@pytest.mark.parametrize(("end", "expected"), [(True, [4, END]), (False, [4])])
def test_the_end_mark_closes_even_a_single_word(end, expected):
    vocabulary = Vocabulary(["dog"])
    assert encode_words("dog", VseConfig(append_end=end), vocabulary) == expected


def test_the_two_rarest_words_are_unknown_as_in_the_original():
    sentences = [["a", "dog"], ["a", "dog"], ["a", "cat"], ["a", "bird"]]
    config = VseConfig()
    fitted = Vocabulary.fit(sentences, splits=["train"], min_count=config.min_count, drop_rarest=config.drop_rarest)
    assert fitted.words[4:] == ("a", "dog")
