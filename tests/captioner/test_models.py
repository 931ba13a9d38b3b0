"""What every captioner keeps, whatever its equations: step by step as all at once, and images as sets."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.models.cells import zero_state
from captioner.models.ensemble import Captioner, shifted
from captioner.models.s2vt import block_means, snake_order
from vislang.core.compile import compiled
from vislang.core.errors import ConfigError
from vislang.text.vocabulary import START

NUM_WORDS, NUM_FEATURES, IMAGES, HYPOTHESES, STEPS = 11, 5, 3, 4, 6

SETS = [  # models that take descriptors as a set
    {"model": "mrnn"},
    {"model": "mrnn", "feed_once": False, "relu_encoders": True},
    {"model": "mrnn", "ensemble_size": 2},
    {"model": "lstm", "lstm_tanh": False},
    {"model": "lstm", "ensemble_size": 2},
    {"model": "attend", "image_scaling": "unit"},
    {"model": "attend", "recurrent_layers": 2, "attention_heads": 4, "tied_words": True},
    {"model": "attend", "recurrent_layers": 3, "attention_heads": 2, "ensemble_size": 2},
]
SEQUENCES = [
    {"model": "s2vt"},
    {"model": "s2vt", "reading_order": "snake", "ensemble_size": 2},
    {"model": "s2vt", "reading_order": "snake", "block_side": 2},
]


def named(changes: dict) -> str:
    return "-".join(f"{name}={value}" for name, value in changes.items())


every_model = pytest.mark.parametrize("changes", SETS + SEQUENCES, ids=named)
every_model_of_sets = pytest.mark.parametrize("changes", SETS, ids=named)


def captioner_of(**changes) -> Captioner:
    config = CaptionerConfig(**{"word_dim": 6, "hidden_dim": 8, "attention_dim": 4, **changes})
    captioner = Captioner(config, NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(1)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.6, weight.shape))
    captioner.set_feature_statistics(random.normal(size=(2, NUM_FEATURES)), random.uniform(0.5, 2, (2, NUM_FEATURES)))
    return captioner


def descriptors_of(count: int):
    vectors = np.random.default_rng(2).normal(size=(IMAGES, count, NUM_FEATURES)).astype(np.float32)
    return vectors, np.ones((IMAGES, count), bool)


def sentences_of(number: int):
    return np.random.default_rng(3).integers(2, NUM_WORDS, (number, STEPS)).astype(np.int32)


def stepwise(captioner, descriptors, mask, words):
    """Log-probabilities float32 [H, T, V] by reading word after word of int32 [H, T], K hypotheses for each image."""
    times = len(words) // len(descriptors)
    memory, state = captioner.start(descriptors, mask)
    state = keras.tree.map_structure(lambda part: keras.ops.repeat(part, times, axis=0), state)
    rows = []
    for read in np.asarray(shifted(words)).T:
        log_probs, state = captioner.step(memory, state, keras.ops.convert_to_tensor(read))
        rows.append(np.asarray(log_probs))
    return np.stack(rows, axis=1)


@every_model
def test_word_by_word_equals_all_at_once_for_several_hypotheses_of_each_image(changes):
    captioner = captioner_of(**changes)
    (descriptors, mask), words = descriptors_of(4), sentences_of(IMAGES * HYPOTHESES)
    mask[1, 2:] = False
    every = [np.repeat(part, HYPOTHESES, axis=0) for part in (descriptors, mask)]
    at_once = np.asarray(captioner.word_log_probs(*every, words))
    np.testing.assert_allclose(captioner.word_log_probs(descriptors, mask, words), at_once, atol=1e-5)
    np.testing.assert_allclose(stepwise(captioner, descriptors, mask, words), at_once, atol=1e-5)
    np.testing.assert_allclose(np.exp(at_once).sum(-1), 1, atol=1e-5)
    assert at_once.std(axis=(0, 1)).min() > 1e-3  # else the images and words would make no difference


@every_model
def test_a_word_depends_on_the_words_before_it_only(changes):
    captioner, (descriptors, mask), words = captioner_of(**changes), descriptors_of(2), sentences_of(IMAGES)
    other = words.copy()
    other[:, 3] = 2 + (words[:, 3] - 1) % (NUM_WORDS - 2)
    first, second = (np.asarray(captioner.word_log_probs(descriptors, mask, one)) for one in (words, other))
    np.testing.assert_array_equal(first[:, :4], second[:, :4])
    assert np.abs(first[:, 4:] - second[:, 4:]).max(axis=(0, 2)).min() > 1e-4


@every_model
def test_descriptors_that_are_not_there_change_nothing(changes):
    captioner, (descriptors, mask), words = captioner_of(**changes), descriptors_of(3), sentences_of(IMAGES)
    alone = np.asarray(captioner.word_log_probs(descriptors, mask, words))
    padding = np.full((IMAGES, 2, NUM_FEATURES), 50.0, np.float32)
    longer = np.concatenate([padding[:, :1], descriptors, padding], axis=1)
    real = np.concatenate([~mask[:, :1], mask, ~mask[:, :2]], axis=1)
    np.testing.assert_allclose(captioner.word_log_probs(longer, real, words), alone, atol=1e-5)
    np.testing.assert_allclose(stepwise(captioner, longer, real, words), alone, atol=1e-5)
    seen = np.asarray(captioner.word_log_probs(longer, np.ones_like(real), words))
    assert np.abs(seen - alone).max() > 1e-2  # the padding would have been noticed


@every_model_of_sets
def test_the_order_of_descriptors_does_not_matter(changes):
    captioner, (descriptors, mask), words = captioner_of(**changes), descriptors_of(5), sentences_of(IMAGES)
    mask[0, 3:] = False
    order = np.array([3, 0, 4, 2, 1])
    given = np.asarray(captioner.word_log_probs(descriptors, mask, words))
    moved = np.asarray(captioner.word_log_probs(descriptors[:, order], mask[:, order], words))
    np.testing.assert_allclose(moved, given, atol=1e-5)


@every_model_of_sets
def test_one_descriptor_is_as_good_as_the_same_one_many_times(changes):
    captioner, (descriptors, mask), words = captioner_of(**changes), descriptors_of(1), sentences_of(IMAGES)
    alone = np.asarray(captioner.word_log_probs(descriptors, mask, words))
    many = np.asarray(captioner.word_log_probs(descriptors.repeat(6, 1), mask.repeat(6, 1), words))
    np.testing.assert_allclose(many, alone, atol=1e-5)
    np.testing.assert_allclose(stepwise(captioner, descriptors, mask, words), alone, atol=1e-5)


@pytest.mark.parametrize(("order", "read"), [("given", range(9)), ("snake", [0, 1, 2, 5, 4, 3, 6, 7, 8])])
def test_a_sequence_is_read_in_the_order_of_the_settings(order, read):
    captioner, (descriptors, mask), words = captioner_of(model="s2vt"), descriptors_of(9), sentences_of(IMAGES)
    other = captioner_of(model="s2vt", reading_order=order)
    found = np.asarray(other.word_log_probs(descriptors, mask, words))
    np.testing.assert_allclose(found, captioner.word_log_probs(descriptors[:, list(read)], mask, words), atol=1e-5)
    assert np.abs(found - captioner.word_log_probs(descriptors[:, ::-1], mask, words)).max() > 1e-3


def test_a_given_order_is_that_of_the_equations():
    """The test above holds as well where both captioners read another order."""
    generator = captioner_of(model="s2vt", reading_order="given").generators[0]
    descriptors, mask = descriptors_of(9)
    state = zero_state(generator.cell, descriptors[:, 0])
    features = generator.from_image(generator.scaling.each(descriptors))
    for step in range(9):
        gates = generator.image_gates(features[:, step]) + generator.gate_bias
        _, state = generator.cell(gates, state)
    memory = generator.encode(descriptors, mask)
    np.testing.assert_allclose(memory["hidden"], state[0], atol=1e-5)
    np.testing.assert_allclose(memory["cell"], state[1], atol=1e-5)


def test_what_makes_no_square_is_read_as_it_comes():
    np.testing.assert_array_equal(snake_order(26), np.arange(26))
    np.testing.assert_array_equal(snake_order(4), [0, 1, 3, 2])


def test_blocks_of_a_grid_are_the_means_of_what_the_mask_lets_through():
    cells = np.arange(25, dtype=np.float32).reshape(1, 25, 1)
    mask = np.ones((1, 25), bool)
    mask[0, [0, 24]] = False
    means, there = (np.asarray(one)[0] for one in block_means(cells, mask, 2))
    #  0  1 |  2  3 |  4     blocks of the first two rows: without 0; whole; the last column
    np.testing.assert_allclose(means[:3, 0], [(1 + 5 + 6) / 3, (2 + 3 + 7 + 8) / 4, (4 + 9) / 2])
    assert means.shape == (9, 1)
    np.testing.assert_array_equal(there, [True] * 8 + [False])
    np.testing.assert_array_equal(block_means(cells[:, :7], mask[:, 1:8], 2)[0], cells[:, :7])


def test_blocks_are_equal_whether_their_number_is_known_beforehand_or_not():
    (descriptors, mask), open_ended = descriptors_of(16), ((None, None, NUM_FEATURES), "float32")
    later = compiled(lambda one, there: block_means(one, there, 3), open_ended, ((None, None), "bool"))
    for known, unknown in zip(block_means(descriptors, mask, 3), later(descriptors, mask), strict=True):
        np.testing.assert_allclose(known, unknown, rtol=1e-6)


@pytest.mark.parametrize("block_side", [1, 2])
def test_reading_in_training_is_the_same_reading(block_side):
    still = {"embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    generator = captioner_of(model="s2vt", reading_order="snake", block_side=block_side, **still).generators[0]
    descriptors, mask = descriptors_of(9)
    mask[1, 5:] = False
    at_work, in_training = (generator.encode(descriptors, mask, training=training) for training in (False, True))
    for name, expected in at_work.items():
        np.testing.assert_allclose(in_training[name], expected, atol=1e-6)


def test_attention_sums_to_one_over_what_is_there():
    generator = captioner_of(model="attend", attention_heads=2).generators[0]
    descriptors, mask = descriptors_of(4)
    mask[2, 1:3] = False
    hidden = np.random.default_rng(4).normal(size=(IMAGES, 3, 8)).astype(np.float32)
    weights = np.asarray(generator.attention(generator.encode(descriptors, mask), hidden))
    assert weights.shape == (IMAGES, 2, 3, 4)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert weights[2, :, :, 1:3].max() == 0.0 < weights[:2].min()
    assert not np.allclose(weights[:, 0], weights[:, 1])  # each head looks its own way


def test_members_average_probabilities():
    two = captioner_of(model="lstm", ensemble_size=2)
    (descriptors, mask), words = descriptors_of(2), sentences_of(IMAGES)
    alone = []
    for generator in two.generators:
        one = Captioner(CaptionerConfig(model="lstm", word_dim=6, hidden_dim=8), NUM_WORDS, NUM_FEATURES)
        for weight, value in zip(one.weights, generator.weights, strict=True):
            weight.assign(value)
        alone.append(np.exp(one.word_log_probs(descriptors, mask, words)))
    assert not np.allclose(*alone)
    np.testing.assert_allclose(np.exp(two.word_log_probs(descriptors, mask, words)), np.mean(alone, axis=0), atol=1e-6)


def test_chosen_log_probabilities_are_those_of_the_words_and_zero_for_padding():
    captioner = captioner_of(model="attend")
    for count, steps in ((2, STEPS), (3, 4)):  # one graph for all sizes
        (descriptors, mask), words = descriptors_of(count), sentences_of(IMAGES)[:, :steps]
        words[1, 3:] = 0
        table = np.asarray(captioner.word_log_probs(descriptors, mask, words))
        expected = np.take_along_axis(table, words[..., None], axis=-1)[..., 0] * (words != 0)
        found = captioner.predict_caption_log_probs(descriptors, mask, words, np.float32(1.0))
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("model", ["mrnn", "lstm", "attend", "s2vt"])
def test_every_matrix_starts_from_numbers_of_its_own_that_follow_the_seed(model):
    def matrices(seed):
        keras.utils.set_random_seed(seed)
        config = CaptionerConfig(
            model=model, word_dim=8, hidden_dim=8, attention_dim=8, recurrent_layers=2, ensemble_size=2
        )
        weights = Captioner(config, NUM_WORDS, 8).trainable_weights  # many of one shape
        return [np.array(weight) for weight in weights if len(weight.shape) == 2]

    start = matrices(1)
    for number, matrix in enumerate(start):
        assert not [other for other in start[:number] if np.array_equal(matrix, other)]
    for first, again, other in zip(start, matrices(1), matrices(2), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_start_biases_reach_every_member():
    captioner = captioner_of(model="attend", ensemble_size=2)
    biases = np.linspace(-1, 0, NUM_WORDS).astype(np.float32)
    captioner.set_output_bias(biases)
    for generator in captioner.generators:
        np.testing.assert_array_equal(generator.output_bias, biases)


def test_words_are_read_after_the_start_mark():
    np.testing.assert_array_equal(shifted(np.array([[5, 6, 2], [7, 2, 0]], np.int32)), [[START, 5, 6], [START, 7, 2]])


@pytest.mark.parametrize("model", ["mrnn", "lstm", "attend", "s2vt"])
@pytest.mark.parametrize("dropout", ["embedding_dropout", "image_dropout", "output_dropout"])
def test_each_dropout_acts_in_training_only(model, dropout):
    off = {"embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    captioner = captioner_of(model=model, recurrent_layers=2, **{**off, dropout: 0.5})
    descriptors, mask = descriptors_of(2)
    inputs = {"descriptors": descriptors, "mask": mask, "words": shifted(sentences_of(IMAGES))}
    quiet = [np.asarray(captioner(inputs, training=False)) for _ in range(2)]
    noisy = [np.asarray(captioner(inputs, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(noisy[0] - quiet[0]).max() > 1e-3 < np.abs(noisy[0] - noisy[1]).max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gru"}, "model got 'gru', expected one of: mrnn, lstm, attend, s2vt"),
        ({"attention_heads": 3, "attention_dim": 8}, "attention_heads got 3, expected a divisor of attention_dim 8"),
        ({"tied_words": True}, "only 'attend' can tie its words"),
        ({"layers": ()}, "layers got nothing, expected one or more"),
        ({"scheduled_sampling": 1.5}, "scheduled_sampling got 1.5, expected 0 to 1"),
        ({"label_smoothing": 1.0}, "label_smoothing got 1.0, expected 0 to below 1"),
        ({"self_critical_samples": 1}, "self_critical_samples got 1, expected 2 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        CaptionerConfig(**changes)
