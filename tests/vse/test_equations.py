"""Losses, the GRU step and the optimiser against slow definitions, hand-worked numbers and finite differences."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vislang.training.losses import hardest_hinge, l2_penalty, matrices, pair_loss, softmax_loss, summed_hinge
from vse.kiros.adam import KirosAdam
from vse.kiros.gru import OriginalGRUCell

MARGIN = 0.2


def square(size: int = 4):
    return hnp.arrays(np.float32, (size, size), elements=st.floats(-1, 1, width=16))


def slow_summed_hinge(scores, negatives):
    size, total = len(scores), 0.0
    for i in range(size):
        for j in range(size):
            if negatives[i, j]:
                total += max(0.0, MARGIN - scores[j, j] + scores[i, j])  # sentence j, wrong image i
                total += max(0.0, MARGIN - scores[i, i] + scores[i, j])  # image i, wrong sentence j
    return total


def slow_softmax_loss(scores, negatives):
    size, total = len(scores), 0.0
    for i in range(size):
        for table, allowed in ((scores, negatives), (scores.T, negatives.T)):
            rivals = [table[i, j] for j in range(size) if j == i or allowed[i, j]]
            total += np.log(np.sum(np.exp(rivals))) - table[i, i]
    return total / size


def symmetric_negatives(size, seed):
    images = np.random.default_rng(seed).integers(0, size, size)
    return images[:, None] != images[None, :]


@settings(max_examples=40, deadline=None)
@given(square(), st.integers(0, 99))
def test_losses_equal_their_slow_definitions(scores, seed):
    negatives = symmetric_negatives(4, seed)
    np.testing.assert_allclose(
        summed_hinge(scores, negatives, MARGIN), slow_summed_hinge(scores, negatives), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        softmax_loss(scores * 9, negatives),
        slow_softmax_loss(scores.astype(float) * 9, negatives),
        rtol=1e-5,
        atol=1e-5,
    )


@settings(max_examples=40, deadline=None)
@given(square())
def test_hardest_is_the_sum_of_row_and_column_maxima_and_at_most_the_sum(scores):
    off = ~np.eye(4, dtype=bool)
    right = np.diag(scores)
    image_costs = np.where(off, np.maximum(0, MARGIN - right[None] + scores), 0)
    sentence_costs = np.where(off, np.maximum(0, MARGIN - right[:, None] + scores), 0)
    expected = image_costs.max(0).sum() + sentence_costs.max(1).sum()
    np.testing.assert_allclose(hardest_hinge(scores, off, MARGIN), expected, rtol=1e-5, atol=1e-6)
    assert float(hardest_hinge(scores, off, MARGIN)) <= float(summed_hinge(scores, off, MARGIN)) + 1e-5


def test_losses_at_published_points():
    off = ~np.eye(6, dtype=bool)
    flat = np.zeros((6, 6), np.float32)
    assert float(summed_hinge(flat, off, MARGIN)) == pytest.approx(2 * 6 * 5 * MARGIN)  # 2 B (B - 1) margin
    assert float(hardest_hinge(flat, off, MARGIN)) == pytest.approx(2 * 6 * MARGIN)
    assert float(softmax_loss(flat, off)) == pytest.approx(2 * np.log(6), rel=1e-6)
    one = np.zeros((1, 1), np.float32)
    assert float(summed_hinge(one, one > 1, MARGIN)) == 0.0 == float(softmax_loss(one, one > 1))
    assert float(summed_hinge(np.eye(6, dtype=np.float32), off, MARGIN)) == 0.0


def test_sentences_of_the_same_image_never_count():
    scores = np.array([[0.5, 0.9], [0.9, 0.5]], np.float32)
    nothing = np.zeros((2, 2), bool)
    assert [float(loss(scores, nothing, MARGIN)) for loss in (summed_hinge, hardest_hinge)] == [0.0, 0.0]
    assert float(softmax_loss(scores, nothing)) == pytest.approx(0.0, abs=1e-6)


def test_weight_decay_is_the_sum_of_all_squares():
    weights = [np.array([[1.0, -2.0], [3.0, 0.0]], np.float32), np.array([4.0], np.float32)]
    assert float(l2_penalty(weights, 0.5)) == pytest.approx(0.5 * (1 + 4 + 9 + 16))
    assert float(l2_penalty(matrices(weights), 1.0)) == pytest.approx(14.0)


def gradient(function, point):
    import tensorflow as tf

    point = tf.constant(point)
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = function(point)
    return tape.gradient(value, point).numpy()


@pytest.mark.parametrize("loss", [summed_hinge, hardest_hinge, lambda s, n, m: softmax_loss(s * 5, n)])
def test_loss_gradients_equal_finite_differences(loss):
    scores = np.random.default_rng(3).uniform(-1, 1, (5, 5))
    negatives = symmetric_negatives(5, 3)
    analytic = gradient(lambda point: loss(point, negatives, MARGIN), scores)
    numeric = np.zeros_like(scores)
    for index in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[index] = 1e-6
        high, low = loss(scores + step, negatives, MARGIN), loss(scores - step, negatives, MARGIN)
        numeric[index] = (float(high) - float(low)) / 2e-6
    np.testing.assert_allclose(analytic, numeric, atol=1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_gru_step_worked_by_hand():
    cell = OriginalGRUCell(1)
    cell.build((None, 1))
    cell.W.assign([[0.5, -1.0]])  # reset half first, update half second
    cell.U.assign([[1.0, 0.25]])
    cell.b.assign([0.1, 0.2])
    cell.Wx.assign([[2.0]])
    cell.Ux.assign([[-0.5]])
    cell.bx.assign([0.3])
    # e = 1, h = 0.5: r = sigmoid(0.5 + 0.1 + 0.5) = 0.75026011, u = sigmoid(-1 + 0.2 + 0.125) = 0.33737816
    # c = tanh(2 + 0.3 + r * (-0.25)) = tanh(2.11243497) = 0.97116727; h' = u * 0.5 + (1 - u) * c
    after, _ = cell(np.array([[1.0]], np.float32), [np.array([[0.5]], np.float32)])
    assert float(after[0, 0]) == pytest.approx(0.33737816 * 0.5 + 0.66262184 * 0.97116727, abs=1e-6)


def test_gru_over_padded_sentences_equals_the_equations():
    random = np.random.default_rng(0)
    cell = OriginalGRUCell(5)
    layer = keras.layers.RNN(cell)
    words = random.normal(size=(3, 6, 4)).astype(np.float32)
    lengths = [6, 3, 1]
    mask = np.arange(6)[None] < np.array(lengths)[:, None]
    got = np.asarray(layer(words, mask=mask))
    cell.b.assign(random.normal(size=10))
    cell.bx.assign(random.normal(size=5))
    got = np.asarray(layer(words, mask=mask))
    w, u, b, wx, ux, bx = (
        np.asarray(weight, np.float64) for weight in (cell.W, cell.U, cell.b, cell.Wx, cell.Ux, cell.bx)
    )
    for row, length in enumerate(lengths):
        state = np.zeros(5)
        for step in range(length):
            gates = sigmoid(state @ u + words[row, step] @ w + b)
            candidate = np.tanh(gates[:5] * (state @ ux) + words[row, step] @ wx + bx)
            state = gates[5:] * state + (1 - gates[5:]) * candidate
        np.testing.assert_allclose(got[row], state, atol=1e-5)


def test_gru_starts_from_orthogonal_blocks():
    cell = OriginalGRUCell(6)
    cell.build((None, 3))
    for block in (cell.U[:, :6], cell.U[:, 6:], cell.Ux):
        np.testing.assert_allclose(np.asarray(block).T @ np.asarray(block), np.eye(6), atol=1e-5)
    assert not np.allclose(cell.U[:, :6], cell.U[:, 6:])


def test_kiros_adam_equals_its_equations():
    """The corrections are of 0.1^t and 0.001^t, and epsilon is added to the root."""
    variable = keras.Variable(np.array([1.0, -2.0, 0.5], np.float32))
    optimizer = KirosAdam()
    assert (float(optimizer.learning_rate), optimizer.epsilon) == (pytest.approx(2e-4), 1e-8)
    optimizer = KirosAdam(learning_rate=0.01, epsilon=1e-3)
    expected, mean, square = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    random = np.random.default_rng(0)
    for t in range(1, 8):
        gradient = random.normal(size=3) * [1.0, 0.01, 0.0]
        optimizer.apply([gradient.astype(np.float32)], [variable])
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        correction = np.sqrt(1 - 0.001**t) / (1 - 0.1**t)
        expected -= 0.01 * correction * mean / (np.sqrt(square) + 1e-3)
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


@pytest.mark.slow
def test_kiros_adam_steps_as_published():
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = KirosAdam(learning_rate=1.0)
    moves = []
    for _ in range(1000):
        before = float(variable[0])
        optimizer.apply([np.ones(1, np.float32)], [variable])
        moves.append(before - float(variable[0]))
    assert moves[0] == pytest.approx(3.512, abs=2e-3)
    assert max(moves) == pytest.approx(6.569, abs=2e-3)
    assert moves.index(max(moves)) == 11
    assert moves[99] == pytest.approx(3.2, abs=0.05)
    assert moves[999] == pytest.approx(1.26, abs=0.01)


def test_settings_choose_the_loss():
    scores, negatives = np.array([[0.5, 0.4], [0.1, 0.2]], np.float32), ~np.eye(2, dtype=bool)
    softmax = pair_loss(SimpleNamespace(loss="softmax"))(scores, negatives)
    np.testing.assert_allclose(softmax, softmax_loss(scores, negatives))
    hinge = pair_loss(SimpleNamespace(loss="summed_hinge", margin=0.3))(scores, negatives)
    np.testing.assert_allclose(hinge, 0.2 + 0.2 + 0.5, rtol=1e-5)
