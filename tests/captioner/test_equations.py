"""Captioners, loss and optimiser against hand-worked numbers and the published equations in plain NumPy."""

import keras
import numpy as np
import pytest

from captioner.config import CaptionerConfig
from captioner.models.cells import LstmCell, ReluCell
from captioner.models.ensemble import Captioner
from captioner.training.cross_entropy import caption_loss
from vislang.text.vocabulary import START
from vislang.training.optimizers import OptimizerConfig, make_optimizer

NUM_WORDS, NUM_FEATURES, UNITS, LOOK = 9, 4, 6, 8
SENTENCES = np.array([[4, 5, 6, 2], [7, 8, 8, 4]], np.int32)


def captioner_of(**changes) -> Captioner:
    """A captioner whose weights are all random, so that none can be forgotten unseen."""
    config = CaptionerConfig(**{"word_dim": 5, "hidden_dim": UNITS, "attention_dim": LOOK, **changes})
    captioner = Captioner(config, NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(1)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    captioner.set_feature_statistics(random.normal(size=(2, NUM_FEATURES)), random.uniform(0.5, 2, (2, NUM_FEATURES)))
    return captioner


def images_of(count: int):
    """Two images of `count` descriptors; the second has one less."""
    mask = np.ones((2, count), bool)
    mask[1, -1] = count == 1
    return np.random.default_rng(2).normal(size=(2, count, NUM_FEATURES)).astype(np.float32), mask


def double(weight):
    return np.asarray(weight, np.float64)


def affine(layer, x):
    return x @ double(layer.kernel) + double(layer.bias)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def relu(x):
    return np.maximum(x, 0)


def standardised_mean(generator, features):
    return (features - double(generator.scaling.mean_shift)) * double(generator.scaling.mean_scale)


def standardised_each(generator, features):
    return (features - double(generator.scaling.each_shift)) * double(generator.scaling.each_scale)


def lstm_step(cell, x, hidden, memory):
    """Gates in the order i, f, o, g."""
    i, f, o, g = np.split(x + hidden @ double(cell.W), 4)
    memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * (np.tanh(memory) if cell.output_tanh else memory), memory


def paper_rnn(generator, real, sentence):
    """Karpathy and Fei-Fei 2015, section 3.2: one bias b_h is split over the two projections."""
    image = affine(generator.from_image, standardised_mean(generator, real.mean(0)))
    f = relu if generator.config.relu_encoders else lambda x: x
    hidden, rows = np.zeros(UNITS), []
    for t, word in enumerate([START, *sentence[:-1]]):
        seen = f(image) if t == 0 or not generator.config.feed_once else 0.0
        x = affine(generator.from_word, f(double(generator.words.embeddings)[word]))
        hidden = relu(x + hidden @ double(generator.cell.W) + seen)
        rows.append(softmax(hidden @ double(generator.output_words) + double(generator.output_bias)))
    return np.array(rows)


def image_first_lstm(generator, real, sentence):
    """The image is the first input and what comes out is thrown away; then the start mark and the words."""
    image = affine(generator.from_image, standardised_mean(generator, real.mean(0)))
    inputs = [image, *double(generator.words.embeddings)[[START, *sentence[:-1]]]]
    hidden, memory, rows = np.zeros(UNITS), np.zeros(UNITS), []
    for x in inputs:
        hidden, memory = lstm_step(generator.cell, affine(generator.gates, x), hidden, memory)
        rows.append(softmax(hidden @ double(generator.output_words) + double(generator.output_bias)))
    return np.array(rows[1:])


def attention_lstm(generator, real, sentence):
    """The docstring of `AttentionLstm`, over the descriptors that are there."""
    config = generator.config
    table = double(generator.words.embeddings)
    values = relu(affine(generator.values, standardised_each(generator, real)))
    width = LOOK // config.attention_heads
    mean = relu(affine(generator.mean_projection, standardised_mean(generator, real.mean(0))))
    states = [(np.zeros(UNITS), np.zeros(UNITS)) for _ in range(config.recurrent_layers)]
    rows = []
    for word in [START, *sentence[:-1]]:
        x = affine(generator.word_gates, table[word]) + affine(generator.image_gates, mean)
        states[0] = lstm_step(generator.cells[0], x, *states[0])
        query, seen = affine(generator.queries, states[0][0]), np.zeros(LOOK)
        for head in range(config.attention_heads):
            own = slice(head * width, (head + 1) * width)
            seen[own] = softmax(values[:, own] @ query[own] / np.sqrt(width)) @ values[:, own]
        for layer in range(1, config.recurrent_layers):
            x = affine(generator.upper_gates[layer - 1], np.concatenate([states[layer - 1][0], seen]))
            states[layer] = lstm_step(generator.cells[layer], x, *states[layer])
        mixed = np.tanh(affine(generator.output_projection, np.concatenate([states[-1][0], seen])))
        output = table.T if config.tied_words else double(generator.output_words)
        rows.append(softmax(mixed @ output + double(generator.output_bias)))
    return np.array(rows)


def sequence_to_sequence(generator, real, sentence):
    """Ramanishka et al. 2017: [f ; 0] for each descriptor, then [0 ; e] for each word, the first of which is zeros."""
    side = round(np.sqrt(len(real)))
    order = np.arange(len(real))
    if generator.config.reading_order == "snake" and side * side == len(real):
        order = np.concatenate([row[::-1] if n % 2 else row for n, row in enumerate(order.reshape(side, side))])
    matrix = np.concatenate([double(generator.image_gates.kernel), double(generator.word_gates.kernel)])
    table, nothing = double(generator.words.embeddings), np.zeros(UNITS)
    hidden = memory = nothing
    for descriptor in standardised_each(generator, real)[order]:
        x = np.concatenate([affine(generator.from_image, descriptor), np.zeros(table.shape[1])])
        hidden, memory = lstm_step(generator.cell, x @ matrix + double(generator.gate_bias), hidden, memory)
    rows = []
    for read in [np.zeros(table.shape[1]), *table[sentence[:-1]]]:
        x = np.concatenate([nothing, read])
        hidden, memory = lstm_step(generator.cell, x @ matrix + double(generator.gate_bias), hidden, memory)
        rows.append(softmax(hidden @ double(generator.output_words) + double(generator.output_bias)))
    return np.array(rows)


EQUATIONS = {"mrnn": paper_rnn, "lstm": image_first_lstm, "attend": attention_lstm, "s2vt": sequence_to_sequence}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"model": "mrnn"},
        {"model": "mrnn", "feed_once": False, "relu_encoders": True},
        {"model": "lstm"},
        {"model": "lstm", "lstm_tanh": False},
        {"model": "attend"},
        {"model": "attend", "recurrent_layers": 2, "attention_heads": 4, "tied_words": True},
        {"model": "attend", "recurrent_layers": 3, "attention_heads": 2, "ensemble_size": 2},
        {"model": "s2vt"},
        {"model": "s2vt", "reading_order": "snake"},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_word_probabilities_equal_the_equations(changes, count):
    captioner = captioner_of(**changes)
    descriptors, mask = images_of(count)
    got = np.exp(captioner.word_log_probs(descriptors, mask, SENTENCES))
    for number, sentence in enumerate(SENTENCES):
        real = descriptors[number][mask[number]].astype(np.float64)
        members = [EQUATIONS[changes["model"]](generator, real, sentence) for generator in captioner.generators]
        np.testing.assert_allclose(got[number], np.mean(members, axis=0), rtol=2e-4, atol=2e-6)


def test_one_step_of_the_relu_cell_worked_by_hand():
    cell = ReluCell(2)
    cell.build((None, 2))
    cell.W.assign([[0.5, -1.0], [2.0, 0.25]])
    after, _ = cell(np.array([[1.0, -1.5]], np.float32), [np.array([[2.0, -1.0]], np.float32)])
    # 1 + 2 * 0.5 - 1 * 2 = 0;  -1.5 - 2 * 1 - 0.25 = -3.75, cut to 0
    np.testing.assert_array_equal(after, [[0.0, 0.0]])
    after, _ = cell(np.array([[1.5, 3.0]], np.float32), [np.array([[2.0, -1.0]], np.float32)])
    np.testing.assert_array_equal(after, [[0.5, 0.75]])


def test_the_relu_cell_with_a_bias_of_its_own():
    cell = ReluCell(2, bias=True)
    cell.build((None, 2))
    cell.W.assign([[0.5, -1.0], [2.0, 0.25]])
    cell.b.assign([0.75, -4.0])
    after, (state,) = cell(np.array([[1.5, 3.0]], np.float32), [np.array([[2.0, -1.0]], np.float32)])
    np.testing.assert_array_equal(after, [[1.25, 0.0]])  # 0.5 + 0.75; 0.75 - 4, cut to 0
    np.testing.assert_array_equal(state, after)
    plain = ReluCell(2)
    plain.build((None, 2))
    assert plain.b is None


def test_matrices_start_uniform_within_a_tenth_and_biases_at_zero():
    cell = ReluCell(50, bias=True)
    cell.build((None, 50))
    weights = np.asarray(cell.W)
    assert 0.09 < weights.max() <= 0.1
    assert -0.1 <= weights.min() < -0.09
    assert not np.asarray(cell.b).any()


@pytest.mark.parametrize(("output_tanh", "hidden"), [(True, 0.4548362), (False, 0.5790400)])
def test_one_step_of_the_lstm_worked_by_hand(output_tanh, hidden):
    cell = LstmCell(1, output_tanh=output_tanh)
    cell.build((None, 4))
    cell.W.assign([[1.0, -1.0, 2.0, 0.5]])
    inputs, states = np.array([[0.5, 1.0, -0.5, 0.75]], np.float32), np.array([[[0.5]], [[0.6]]], np.float32)
    # Gates 1, 0.5, 0.5, 1: i = sigmoid(1) = 0.7310586, f = o = sigmoid(0.5) = 0.6224593, tanh(1) = 0.7615942;
    # c = 0.6224593 * 0.6 + 0.7310586 * 0.7615942 = 0.9302455 and tanh(c) = 0.7307083
    _, (after, memory) = cell(inputs, list(states))
    assert float(memory[0, 0]) == pytest.approx(0.9302455, abs=1e-6)
    assert float(after[0, 0]) == pytest.approx(hidden, abs=1e-6)


PROBABILITIES = np.array([[[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.2, 0.3]], [[0.1, 0.1, 0.5, 0.3], [0.7, 0.1, 0.1, 0.1]]])
LOGITS = np.log(PROBABILITIES)[None].astype(np.float32) + 3  # of one member, not normalised
WORDS = np.array([[3, 2], [2, 0]], np.int32)  # 0.4, 0.2; 0.5, padding


def test_loss_of_a_sentence_is_the_summed_surprise_of_its_words():
    expected = [-(np.log(0.4) + np.log(0.2)), -np.log(0.5)]
    np.testing.assert_allclose(caption_loss(0.0)(WORDS.ravel(), LOGITS), expected, rtol=1e-6)


def test_label_smoothing_adds_the_mean_over_all_words():
    means = np.log(PROBABILITIES).mean(-1)[[0, 0, 1], [0, 1, 0]]
    first = -(0.9 * (np.log(0.4) + np.log(0.2)) + 0.1 * (means[0] + means[1]))
    second = -(0.9 * np.log(0.5) + 0.1 * means[2])
    np.testing.assert_allclose(caption_loss(0.1)(WORDS.ravel(), LOGITS), [first, second], rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_is_free_and_members_add_up(smoothing):
    loss, other = caption_loss(smoothing), LOGITS.copy()
    other[:, 1, 1] = [9, -9, 3, 0]
    alone = np.asarray(loss(WORDS.ravel(), LOGITS))
    np.testing.assert_allclose(loss(WORDS.ravel(), other), alone, rtol=1e-6)
    longer = np.concatenate([other, other], axis=2)
    np.testing.assert_allclose(loss(np.pad(WORDS, ((0, 0), (0, 2))).ravel(), longer), alone, rtol=1e-6)
    sharper = 2 * LOGITS
    both = loss(WORDS.ravel(), np.concatenate([LOGITS, sharper]))
    np.testing.assert_allclose(both, alone + np.asarray(loss(WORDS.ravel(), sharper)), rtol=1e-6)


def test_rmsprop_steps_as_the_original_and_clips_each_element():
    variable = keras.Variable(np.zeros(4, np.float32))
    optimizer = make_optimizer(OptimizerConfig.of(CaptionerConfig()), steps=10)
    expected, cache = np.zeros(4), np.zeros(4)
    for scale in (1.0, -2.0, 0.5):
        gradient = scale * np.array([0.3, -70.0, 1e-4, 0.0])
        optimizer.apply([gradient.astype(np.float32)], [variable])
        gradient = np.clip(gradient, -5, 5)
        cache = 0.999 * cache + 0.001 * gradient**2
        expected -= 1e-3 * gradient / np.sqrt(cache + 1e-8)
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


def test_adam_clips_all_gradients_together():
    variables = [keras.Variable(np.zeros(2, np.float32)) for _ in range(2)]
    config = CaptionerConfig(optimizer="adam", clip_norm=1.0, clip_value=0.0)
    optimizer = make_optimizer(OptimizerConfig.of(config), steps=10)
    optimizer.apply([np.array([3.0, 0.0], np.float32), np.array([0.0, 4.0], np.float32)], variables)
    moments = [np.array(momentum) for momentum in optimizer._momentums]
    np.testing.assert_allclose(moments, [[0.06, 0.0], [0.0, 0.08]], rtol=1e-5)  # 0.1 of a gradient of length 1


def test_cosine_schedule_warms_up_then_falls_to_a_hundredth():
    config = CaptionerConfig(schedule="cosine", learning_rate=0.01)
    rate = make_optimizer(OptimizerConfig.of(config), steps=100)._learning_rate
    at = [float(rate(step)) for step in (0, 5, 10, 55, 100, 200)]
    middle = 0.01 * (0.01 + 0.99 * 0.5)
    np.testing.assert_allclose(at, [0, 0.005, 0.01, middle, 1e-4, 1e-4], rtol=1e-4, atol=1e-9)
