"""Schedules at hand-worked steps, clipping and weight decay."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from vislang.training.optimizers import OPTIMIZERS, OptimizerConfig, learning_rate, make_optimizer


def rates(config, steps, at):
    schedule = learning_rate(config, steps)
    return [float(schedule(step)) for step in at]


def test_cosine_warms_up_and_falls_to_a_hundredth():
    config = OptimizerConfig("adam", 0.01, "cosine", warmup_steps=20)
    middle = 0.01 * (0.01 + 0.99 * 0.5)
    expected = [0.0, 0.005, 0.01, middle, 0.0001, 0.0001]
    np.testing.assert_allclose(rates(config, 1000, (0, 10, 20, 510, 1000, 2000)), expected, rtol=1e-4)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 10), (1990, 199), (5000, 200), (5, 0)])
def test_the_warm_up_is_at_most_a_tenth_of_all_steps(steps, warmup):
    config = OptimizerConfig("adam", 1.0, "cosine")
    assert rates(config, steps, [warmup]) == [1.0]
    if warmup:
        assert rates(config, steps, [warmup - 1])[0] < 1.0


def test_a_training_of_one_step_ends_at_the_lowest_rate():
    assert rates(OptimizerConfig("adam", 1.0, "cosine"), 1, [0, 1]) == pytest.approx([1.0, 0.01])


def test_steps_multiply_the_rate_by_a_tenth():
    config = OptimizerConfig("sgd", 0.5, "step", drops=(4, 8))
    np.testing.assert_allclose(rates(config, 12, (0, 4, 5, 8, 9, 11)), [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-6)
    assert learning_rate(OptimizerConfig("sgd", 0.5, "step"), 12) == 0.5
    assert learning_rate(OptimizerConfig("sgd", 0.5), 12) == 0.5


def step_of(config, gradient, start=0.0):
    variable = keras.Variable(np.full(len(gradient), start, np.float32))
    make_optimizer(config, 10).apply([np.array(gradient, np.float32)], [variable])
    return np.array(variable)


def test_gradients_are_clipped_by_norm_or_element():
    np.testing.assert_allclose(step_of(OptimizerConfig("sgd", 1.0), [3, -4]), [-3, 4])
    np.testing.assert_allclose(step_of(OptimizerConfig("sgd", 1.0), [3, -4], start=5.0), [2, 9])  # no weight decay
    np.testing.assert_allclose(step_of(OptimizerConfig("sgd", 1.0, clip_norm=1.0), [3, -4]), [-0.6, 0.8], rtol=1e-5)
    np.testing.assert_allclose(step_of(OptimizerConfig("sgd", 1.0, clip_value=3.5), [3, -4]), [-3, 3.5])


def test_weight_decay_shrinks_weights_by_its_share_times_the_rate():
    decayed = step_of(OptimizerConfig("adam", 0.1, weight_decay=0.5), [0.0], start=2.0)
    np.testing.assert_allclose(decayed, [2.0 - 2.0 * 0.1 * 0.5], rtol=1e-6)


def test_settings_of_a_training_are_found_by_name_and_changed():
    config = SimpleNamespace(optimizer="sgd", learning_rate=0.5, clip_norm=2.0, margin=0.2)
    assert OptimizerConfig.of(config) == OptimizerConfig("sgd", 0.5, clip_norm=2.0)
    changed = OptimizerConfig.of(config, schedule="step", drops=(3,), clip_norm=0.0)
    assert changed == OptimizerConfig("sgd", 0.5, "step", drops=(3,))


def test_rmsprop_adds_its_epsilon_inside_the_root():
    moved = step_of(OptimizerConfig("rmsprop", 1.0), [1e-3, -1.0])
    gradients = np.array([1e-3, -1.0])
    np.testing.assert_allclose(moved, -gradients / np.sqrt(0.001 * gradients**2 + 1e-8), rtol=1e-4)


def test_momentum_and_other_algorithms():
    assert make_optimizer(OptimizerConfig("sgd", 0.1, momentum=0.9), 10).momentum == 0.9
    mine = {**OPTIMIZERS, "mine": keras.optimizers.Adagrad}
    assert isinstance(make_optimizer(OptimizerConfig("mine", 0.1), 10, mine), keras.optimizers.Adagrad)
