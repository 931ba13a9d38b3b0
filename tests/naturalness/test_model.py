"""The visual language model against slow definitions: moments, components, predictors, errors, gradients."""

import json

import numpy as np
import pytest

from naturalness.config import CONFIGS, Expert, NaturalnessConfig
from naturalness.model import ExpertModel, VisualLanguageModel, ramp
from naturalness.predictors.linear import fit_directions
from naturalness.predictors.lstm import DIRECTIONS, DirectionalPredictors
from naturalness.predictors.statistics import MapMoments
from vislang.core.config import from_json, override, to_json
from vislang.core.errors import ConfigError

CHANNELS = 4


def maps_of(shape=(3, 6, 5, CHANNELS), seed=0):
    maps = np.random.default_rng(seed).normal(size=shape) * [1, 2, 3, 0.5] + [0, 1, -1, 2]
    return maps.astype(np.float32)


LINEAR = Expert("x")
LINEAR_CHANNELS = Expert("x", space="channels", errors="square")
LSTM = Expert("x", context="scan", errors="square")
SCENE = Expert("x", context="scene", space="channels", errors="excess")


def expert_of(expert: Expert, **changes) -> ExpertModel:
    config = NaturalnessConfig((expert,), **changes)
    return ExpertModel(config.experts[0], config, CHANNELS)


def turned(maps, direction):
    """Turn a map [H, W, K] so that a scan in this direction goes through its rows from the first to the last."""
    return {"down": maps, "up": maps[::-1], "right": maps.swapaxes(0, 1), "left": maps.swapaxes(0, 1)[::-1]}[direction]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def scanned(layer, maps, number):
    """Two LSTMs and a linear map, sequence by sequence and step by step, as the paper's equations stand."""
    x = turned(maps, DIRECTIONS[number]).astype(np.float64)
    steps, others, _ = x.shape
    found = np.zeros((steps - 1, others, layer.width))
    weights = [
        [np.asarray(part[number], np.float64) for part in parts]
        for parts in (layer.inputs, layer.recurrent, layer.biases)
    ]
    for other in range(others):
        states = [(np.zeros(layer.units), np.zeros(layer.units)) for _ in range(layer.depth)]
        for step in range(steps - 1):
            value = x[step, other]
            for level in range(layer.depth):
                hidden, cell = states[level]
                gates = value @ weights[0][level] + hidden @ weights[1][level] + weights[2][level][0]
                i, f, o, g = np.split(gates, 4)
                cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
                value = sigmoid(o) * np.tanh(cell)
                states[level] = value, cell
            output = np.asarray(layer.output_kernel[number], np.float64)
            found[step, other] = value @ output + np.asarray(layer.output_bias[number], np.float64)[0]
    return found


@pytest.mark.parametrize("shape", [(2, 5, 5, 3), (2, 4, 6, 3), (1, 6, 3, 3)])
def test_directional_lstms_equal_the_equations(shape):
    layer = DirectionalPredictors(3, 4)
    random = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    maps = random.normal(size=shape).astype(np.float32)
    for number, (found, direction) in enumerate(zip(layer(maps), DIRECTIONS, strict=True)):
        for picture, one in zip(maps, np.asarray(found), strict=True):
            ordered = turned(one, direction)
            np.testing.assert_allclose(ordered, scanned(layer, picture, number), atol=1e-5)


def test_moments_equal_those_of_all_cells_at_once():
    maps, moments = maps_of((7, 6, 5, CHANNELS)), MapMoments(CHANNELS)
    for part in (maps[:2], maps[2:3], maps[3:]):
        moments.add(part, np.random.default_rng(0))
    cells = maps.reshape(-1, CHANNELS).astype(np.float64)
    mean, deviation = moments.mean_and_std()
    np.testing.assert_allclose(mean, cells.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, cells.std(axis=0), rtol=1e-5)
    standard = (cells - mean) / deviation
    np.testing.assert_allclose(moments.skewness(), (standard**3).mean(axis=0), atol=1e-4)
    centre, axes = moments.components(2)
    np.testing.assert_allclose(centre, 0, atol=1e-6)
    _, _, rows = np.linalg.svd(standard - standard.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(axes * rows[:2].T, axis=0)), 1, atol=1e-5)


def test_a_channel_that_never_varies_does_not_outweigh_the_others():
    maps = maps_of()
    maps[..., 1] = 3.0
    moments = MapMoments(CHANNELS)
    moments.add(maps, np.random.default_rng(0))
    deviation = moments.mean_and_std()[1]
    assert deviation[1] == pytest.approx(0.1 * np.median(maps.reshape(-1, CHANNELS).std(axis=0)), rel=1e-4)


def test_sampled_cells_alone_make_the_components():
    moments = MapMoments(CHANNELS, per_image=3)
    moments.add(maps_of(), np.random.default_rng(0))
    assert (moments.sampled, moments.cells) == (9, 90)


@pytest.mark.parametrize("number", range(4))
def test_linear_predictors_are_least_squares(number):
    maps = maps_of((5, 6, 7, CHANNELS), seed=2)
    moments = MapMoments(CHANNELS)
    moments.add(maps, np.random.default_rng(0))
    fit = fit_directions(moments, np.eye(CHANNELS), np.zeros(CHANNELS), 1e-9)[number]
    pairs = [turned(one, DIRECTIONS[number]) for one in maps]
    before = np.concatenate([one[:-1].reshape(-1, CHANNELS) for one in pairs]).astype(np.float64)
    after = np.concatenate([one[1:].reshape(-1, CHANNELS) for one in pairs]).astype(np.float64)
    known = np.concatenate([before, np.ones((len(before), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(known, after, rcond=None)
    np.testing.assert_allclose(fit.kernel, solution[:-1], atol=1e-4)
    np.testing.assert_allclose(fit.bias, solution[-1], atol=1e-4)
    np.testing.assert_allclose(fit.variance, (after - known @ solution).var(axis=0), rtol=1e-4)


def test_standardised_errors_of_the_training_pictures_are_one_on_average():
    expert, maps, moments = expert_of(LINEAR, ridge=0.0), maps_of((6, 8, 8, CHANNELS)), MapMoments(CHANNELS)
    moments.add(maps, np.random.default_rng(0))
    expert.set_statistics(moments)
    expert.set_fits(fit_directions(moments, *expert.affine(), 0.0))
    means = [float(np.mean(np.asarray(one))) for one in expert.cell_errors(maps)]
    np.testing.assert_allclose(means, 1, atol=1e-3)


def test_the_affine_map_is_the_projection():
    expert, moments = expert_of(LINEAR), MapMoments(CHANNELS)
    moments.add(maps_of(), np.random.default_rng(0))
    expert.set_statistics(moments)
    projection, offset = expert.affine()
    np.testing.assert_allclose(expert.project(maps_of()), maps_of() @ projection - offset, atol=1e-4)


def test_excess_of_the_scene_worked_by_hand():
    expert = expert_of(SCENE)
    expert.importance.assign([0.5, 0.5, 0, 0])
    maps = np.zeros((1, 2, 2, CHANNELS), np.float32)
    maps[0, 0, 0] = [4, 0, 9, 0]  # means 1, 0, 2.25, 0: 3 above in the first channel, below nowhere that counts
    (errors,) = expert.cell_errors(maps)
    np.testing.assert_allclose(errors[0], [[0.5 * np.log(10), 0], [0, 0]], atol=1e-6)


def test_the_ramp_of_five_cells():
    ones = np.ones((1, 4, 2), np.float32)
    np.testing.assert_allclose(np.asarray(ramp(ones, 0))[0, :, 0], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(np.asarray(ramp(ones, 1))[0, :, 0], [0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(np.asarray(ramp(ones.swapaxes(1, 2), 2))[0, 0], [0, 0.25, 0.5, 0.75])


def test_a_picture_upside_down_swaps_down_and_up():
    expert = expert_of(LSTM, ramp=True)
    for weight in expert.trainable_weights:
        weight.assign(np.random.default_rng(3).normal(0, 0.5, weight.shape[1:])[None].repeat(4, axis=0))
    expert.axes.assign(np.eye(CHANNELS, 2))
    down, up, *_ = expert.cell_errors(maps_of())
    other_down, other_up, *_ = expert.cell_errors(maps_of()[:, ::-1])
    np.testing.assert_allclose(np.asarray(other_down)[:, ::-1], up, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(other_up)[:, ::-1], down, rtol=1e-4, atol=1e-6)


def test_a_constant_map_with_a_perfect_predictor_has_no_error():
    expert = expert_of(LINEAR_CHANNELS)
    expert.predictors.kernel.assign(np.eye(CHANNELS)[None].repeat(4, axis=0))
    for errors in expert.cell_errors(np.ones((1, 3, 4, CHANNELS), np.float32)):
        np.testing.assert_array_equal(errors, 0)


@pytest.mark.parametrize("kind", [LSTM, LINEAR, SCENE])
def test_gradients_of_the_loss_equal_finite_differences(kind):
    import tensorflow as tf

    expert, maps = expert_of(kind, ramp=True), maps_of((1, 3, 4, CHANNELS))
    random = np.random.default_rng(5)
    for weight in expert.weights:
        if weight.name not in ("std", "variance", "level", "importance"):
            weight.assign(random.normal(0, 0.5, weight.shape))
    with tf.GradientTape() as tape:
        x = tf.constant(maps)
        tape.watch(x)
        loss = expert(x)
    gradient = np.asarray(tape.gradient(loss, x))
    direction = random.normal(size=maps.shape).astype(np.float32)
    ahead, behind = (float(expert(maps + step * direction)[0]) for step in (1e-2, -1e-2))
    assert (gradient * direction).sum() == pytest.approx((ahead - behind) / 2e-2, rel=2e-2, abs=1e-3)


def test_components_that_are_kept():
    assert [Expert("x").width(count) for count in (3, 64, 96, 256)] == [2, 32, 48, 128]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experts": ("x",)}, "setting experts got x, expected a list of Expert"),
        ({"experts": ()}, "setting experts got nothing, expected one or more"),
        ({"mirror_padding": 20}, "expected a multiple of 32 pixels"),
        ({"fixation_expert": 5}, "setting fixation_expert got 5 with 2 experts, expected -2 to 1"),
        ({"depth": 0}, "setting depth got 0"),
        ({"places": "edge"}, "setting places got 'edge'"),
        ({"updates": 1500}, "expected multiples of save_every"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        NaturalnessConfig(**changes)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('[{"layer": "x", "context": "oracle"}]', "context got 'oracle', expected one of: neighbour, scene, scan"),
        ('[{"layer": "x", "errors": "mild"}]', "errors got 'mild', expected one of"),
        ('[{"layer": "x", "eror": "mild"}]', "did you mean errors"),
        ('[{"context": "scene"}]', "Expert got no layer, expected text"),
        ("x:scene", "expected a JSON list of objects of layer, context, space, errors, gamma"),
    ],
)
def test_experts_that_cannot_be(setting, message):
    with pytest.raises(ConfigError, match=message):
        override(CONFIGS["best"], [f"experts={setting}"])


def test_experts_survive_json():
    config = override(CONFIGS["best"], ['experts=[{"layer": "x", "context": "scene"}]', "information_layer=y"])
    assert config.experts == (Expert("x", context="scene"),)
    assert from_json(NaturalnessConfig, json.loads(json.dumps(to_json(config)))) == config
    assert config.layers == ("x", "y")


def test_a_typo_in_a_setting_is_named():
    with pytest.raises(ConfigError, match="mirror_pading"):
        override(CONFIGS["best"], ["mirror_pading=0"])


def test_the_loss_of_a_model_is_the_mean_over_the_experts_that_judge():
    experts = (
        Expert("a", space="channels", errors="square"),
        Expert("b", context="scene", space="channels", errors="square"),
        Expert("a", context="scene", space="channels", errors="excess"),
    )
    config = NaturalnessConfig(experts)
    assert config.score_experts == (0, 1)
    assert NaturalnessConfig(experts[:1]).score_experts == (0,)
    model = VisualLanguageModel(config, [CHANNELS, CHANNELS])
    maps = {"a": maps_of(), "b": maps_of(seed=1)}
    expected = (np.asarray(model.experts[0](maps["a"])) + np.asarray(model.experts[1](maps["b"]))) / 2
    np.testing.assert_allclose(model(maps), expected, rtol=1e-6)


def test_the_prior_weighs_each_layer():
    weighted = [Expert(name, space="channels", errors="square", gamma=gamma) for name, gamma in (("a", 1), ("b", 0.1))]
    model = VisualLanguageModel(NaturalnessConfig(tuple(weighted)), [CHANNELS, CHANNELS])
    maps = {"a": maps_of(), "b": maps_of(seed=1)}
    expected = np.asarray(model.experts[0](maps["a"])) + 0.1 * np.asarray(model.experts[1](maps["b"]))
    np.testing.assert_allclose(model(maps), expected, rtol=1e-5)


def test_the_published_presets_constant_by_constant():
    kato = CONFIGS["kato"]
    assert (kato.depth, kato.ramp, kato.learning_rate, kato.momentum, kato.batch_size) == (2, True, 10.0, 0.9, 16)
    assert (kato.power, kato.places, kato.pca_cells, kato.mirror_padding) == (0.5, "half_cell", 100_000, 0)
    assert {(one.context, one.space, one.errors) for one in kato.experts} == {("scan", "components", "square")}
    prior = CONFIGS["kato-prior"]
    assert [one.gamma for one in prior.experts] == [1.0, 0.1, 0.01, 0.001, 0.0001]
    assert all(one.layer.endswith("_bn") for one in prior.experts)  # before the ReLU
    assert prior.ramp
