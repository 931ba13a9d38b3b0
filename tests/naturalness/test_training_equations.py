"""The ramp, the momentum and the learning rate of the original's training, against hand-worked numbers."""

import argparse

import keras
import numpy as np
import pytest

from naturalness.config import CONFIGS, Expert, NaturalnessConfig
from naturalness.model import ExpertModel, VisualLanguageModel
from naturalness.training import MomentumReset, NaturalnessTraining, prediction_loss

LSTM = Expert("x", context="scan", errors="square")


def expert_of(ramp: bool) -> ExpertModel:
    """An expert of 4 channels that predicts 0, so that its errors are the squares of the components."""
    expert = ExpertModel(LSTM, NaturalnessConfig((LSTM,), ramp=ramp), 4)
    expert.axes.assign(np.eye(4, 2))
    for weight in expert.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    return expert


def test_errors_count_along_the_scan_from_0():
    maps = np.random.default_rng(0).normal(size=(1, 5, 5, 4)).astype(np.float32)
    squares = np.square(maps[..., :2]).mean(axis=-1)  # of the components, [1, 5, 5]
    shares = np.array([0, 0.25, 0.5, 0.75])
    down, up, right, left = expert_of(ramp=True).cell_errors(maps)
    np.testing.assert_allclose(down, squares[:, 1:] * shares[:, None], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(up, squares[:, :-1] * shares[::-1, None], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(right, squares[:, :, 1:] * shares, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(left, squares[:, :, :-1] * shares[::-1], rtol=1e-5, atol=1e-7)
    down, up, *_ = expert_of(ramp=False).cell_errors(maps)
    np.testing.assert_allclose(down, squares[:, 1:], rtol=1e-5)
    np.testing.assert_allclose(up, squares[:, :-1], rtol=1e-5)


def test_the_loss_of_an_image_is_its_mean_error_in_units_of_training_images():
    expert = expert_of(ramp=False)
    maps = np.random.default_rng(2).normal(size=(2, 4, 6, 4)).astype(np.float32)
    means = np.mean([np.asarray(one).mean(axis=(1, 2)) for one in expert.cell_errors(maps)], axis=0)
    np.testing.assert_allclose(expert(maps), means, rtol=1e-5)
    expert.level.assign(4.0)
    np.testing.assert_allclose(expert(maps), means / 4, rtol=1e-5)


def test_standardised_errors_are_in_variances_of_each_direction():
    linear = Expert("x", space="channels", errors="standardised")
    expert = ExpertModel(linear, NaturalnessConfig((linear,)), 4)
    variance = np.random.default_rng(5).uniform(0.5, 2, (4, 4))
    expert.variance.assign(variance)
    expert.predictors.kernel.assign(np.zeros((4, 4, 4)))
    maps = np.random.default_rng(4).normal(size=(2, 3, 5, 4)).astype(np.float32)
    targets = (maps[:, 1:], maps[:, :-1], maps[:, :, 1:], maps[:, :, :-1])
    for errors, target, scale in zip(expert.cell_errors(maps), targets, variance, strict=True):
        np.testing.assert_allclose(errors, (np.square(target) / scale).mean(axis=-1), rtol=1e-4)


def test_the_scene_of_each_image_is_its_own():
    scene = Expert("x", context="scene", space="channels", errors="square")
    expert = ExpertModel(scene, NaturalnessConfig((scene,)), 4)
    maps = np.random.default_rng(3).normal(size=(4, 4, 4, 4)).astype(np.float32)
    (errors,) = expert.cell_errors(maps)
    np.testing.assert_allclose(errors, np.square(maps - maps.mean(axis=(1, 2), keepdims=True)).mean(axis=-1), rtol=1e-4)


def test_the_training_loss_is_the_mean_of_the_ramped_errors():
    expert = expert_of(ramp=True)
    maps = np.random.default_rng(1).normal(size=(3, 4, 6, 4)).astype(np.float32)
    projected = expert.project(maps)
    expected = np.mean([np.asarray(one).mean(axis=(1, 2)) for one in expert.cell_errors(maps)], axis=0)
    np.testing.assert_allclose(prediction_loss([expert], [projected]), expected, rtol=1e-5)
    doubled = prediction_loss([expert, expert], [projected, 2 * projected])
    np.testing.assert_allclose(doubled, (1 + 4) / 2 * expected, rtol=1e-5)


def test_the_momentum_starts_anew_where_the_rate_drops():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    model.optimizer.build(model.trainable_variables)
    seen = []
    reset = MomentumReset(2)
    after_reset = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(float(model.optimizer.momentums[0][0, 0]))
    )
    data = np.ones((4, 1), np.float32)
    model.fit(data, 3 * data, batch_size=4, epochs=5, callbacks=[reset, after_reset], verbose=0)
    assert [value == 0.0 for value in seen] == [True, False, True, False, True]


def training_of(config: NaturalnessConfig) -> NaturalnessTraining:
    training = NaturalnessTraining.__new__(NaturalnessTraining)
    training.config = config
    training.model = VisualLanguageModel(config, [4] * len(config.layers))
    training.args = argparse.Namespace(seed=0)
    return training


def test_the_rate_falls_and_the_momentum_is_reset_together():
    config = NaturalnessConfig((LSTM,), updates=800, drop_every=200, save_every=100, information_layer="")
    training = training_of(config)
    (stage,) = training.stages()
    assert stage.epochs == 8
    (reset,) = stage.callbacks
    assert (type(reset), reset.every) == (MomentumReset, 2)
    optimizer = training.make_task(800).optimizer
    assert optimizer.momentum == 0.9
    rates = [float(optimizer._learning_rate(step)) for step in (0, 200, 201, 400, 401, 601)]
    np.testing.assert_allclose(rates, [10, 10, 1, 1, 0.1, 0.01], rtol=1e-5)


def test_only_lstms_are_trained_by_gradients():
    assert training_of(NaturalnessConfig((Expert("x"),), information_layer="")).stages() == []


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_drops_are_whole_epochs(name):
    assert CONFIGS[name].drop_every % CONFIGS[name].save_every == 0
