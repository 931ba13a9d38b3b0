"""Objectives and priors against their definitions in NumPy, their gradients against finite differences."""

import numpy as np
import pytest
from keras import ops
from preimage_networks import tiny_network

from preimage.config import CONFIGS, SIGMA, B, PreimageConfig, V, first_stage
from preimage.optimization import objectives
from preimage.optimization.objectives import (
    Activation,
    Inversion,
    StandardisedInversion,
    caricature_objective,
    unit_directions,
)
from preimage.optimization.optimizer import adagrad_momentum, adam, momentum
from preimage.optimization.parameterization import Fourier, hartley
from preimage.optimization.priors import (
    AlphaNorm,
    LearnedPrior,
    TotalVariation,
    clip_colour_norms,
    cvpr15_tv_weight,
    sigma,
    with_priors,
)
from preimage.optimization.terms import SearchState, Sum
from preimage.style_transfer import colour
from preimage.style_transfer.gram import NORMALISATIONS, ContentLoss, StyleLoss, gram, guides_of
from vislang.core.compile import compiled_gradient
from vislang.core.errors import ConfigError

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 4, 5, 3)).astype(np.float32)
TARGET = RANDOM.normal(size=(2, 4, 5, 3)).astype(np.float32)
CANVAS = (40 * RANDOM.normal(size=(2, 6, 7, 3))).astype(np.float32)


def at_maps(term, maps=MAPS):
    seen = SearchState(None, None, {"conv": ops.convert_to_tensor(maps)})
    return np.asarray(term(seen, [ops.convert_to_tensor(array) for array in term.arrays]))


def on_canvas(term, canvas=CANVAS):
    return np.asarray(term(SearchState(ops.convert_to_tensor(canvas), ops.convert_to_tensor(canvas), {}), ()))


def check_gradient(function, at, tolerance=2e-2):
    """Compare the compiled gradient with differences along a few random directions."""
    values, slope = compiled_gradient(function, (at.shape, "float32"))(at)
    assert tuple(values.shape) == (len(at),)
    for _ in range(4):
        way = RANDOM.normal(size=at.shape).astype(np.float32)
        step = 1e-2 * np.abs(at).max()
        rise = np.sum(np.asarray(function(at + step * way)) - np.asarray(function(at - step * way))) / (2 * step)
        expected = float(np.sum(np.asarray(slope) * way))
        assert rise == pytest.approx(expected, rel=tolerance, abs=tolerance * float(np.abs(values).max() + 1e-6))


def test_inversion_is_the_relative_squared_error_of_what_counts():
    expected = ((MAPS - TARGET) ** 2).sum((1, 2, 3)) / (TARGET**2).sum((1, 2, 3))
    np.testing.assert_allclose(at_maps(Inversion("conv", TARGET)), expected, rtol=1e-5)
    assert at_maps(Inversion("conv", MAPS)).max() == 0.0
    for mask in (MAPS[0, ..., :1] > 0, objectives.feature_mask("conv", (4, 5, 3), "second-half")):
        expected = (mask * (MAPS - TARGET) ** 2).sum((1, 2, 3)) / (mask * TARGET**2).sum((1, 2, 3))
        np.testing.assert_allclose(at_maps(Inversion("conv", TARGET, mask)), expected, rtol=1e-5)
    with pytest.raises(ConfigError, match="features of layer conv are all 0 for image 1"):
        Inversion("conv", TARGET * np.array([1, 0]).reshape(2, 1, 1, 1))


def test_masks_are_where_they_should_be():
    mask = objectives.feature_mask("conv", (13, 13, 4), "central")
    assert mask.shape == (13, 13, 1)
    assert mask.sum() == 25
    assert mask[4:9, 4:9].all()
    np.testing.assert_array_equal(objectives.feature_mask("conv", (5,), "first-half"), [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(objectives.feature_mask("conv", (5,), "second-half"), [0, 0, 1, 1, 1])
    with pytest.raises(ConfigError, match="central part is that of a map, got layer conv"):
        objectives.feature_mask("conv", (5,), "central")


def test_standardised_errors_count_in_standard_deviations():
    std = RANDOM.uniform(1, 2, TARGET.shape[1:])
    expected = (((MAPS - TARGET) / std) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(at_maps(StandardisedInversion("conv", TARGET, std)), expected, rtol=1e-5)
    expected = ((MAPS - TARGET) ** 2).mean((1, 2, 3)) / TARGET.var((1, 2, 3))
    np.testing.assert_allclose(at_maps(StandardisedInversion("conv", TARGET)), expected, rtol=1e-4)
    with pytest.raises(ConfigError, match="standard deviation at layer conv is 0"):
        StandardisedInversion("conv", TARGET, np.zeros(3))


def test_activations_and_caricatures_are_inner_products():
    np.testing.assert_allclose(at_maps(Activation("conv", TARGET)), -(MAPS * TARGET).sum((1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(at_maps(caricature_objective("conv", MAPS)), -1.0, rtol=1e-5)
    with pytest.raises(ConfigError, match="no feature of layer conv is above 0"):
        caricature_objective("conv", -np.abs(MAPS))


def test_directions_pick_the_middle_unit_the_mean_or_a_class():
    middle = unit_directions("conv", (4, 6, 3), [2, 0])
    assert middle[0, 2, 3, 2] == middle[1, 2, 3, 0] == 1.0
    assert middle.sum() == 2.0
    np.testing.assert_allclose(unit_directions("conv", (4, 6, 3), [1], channel_mean=True)[0, :, :, 1], 1 / 24)
    np.testing.assert_array_equal(unit_directions("conv", (5,), [3])[0], [0, 0, 0, 1, 0])
    with pytest.raises(ConfigError, match="layer conv got channel 5, expected 0 to 4"):
        unit_directions("conv", (5,), [5])
    np.testing.assert_allclose(objectives.activation_weight(50, np.array([2.0])), 2.0)


def test_terms_add_and_scale():
    first, second = Inversion("conv", TARGET), Activation("conv", TARGET)
    both = 0.5 * first + second * 2.0
    np.testing.assert_allclose(at_maps(both), 0.5 * at_maps(first) + 2 * at_maps(second), rtol=1e-5)
    np.testing.assert_allclose(at_maps(first + second + first), 2 * at_maps(first) + at_maps(second), rtol=1e-5)
    assert both.layers == ("conv",)
    assert len(Sum([(2.0, both), (1.0, first)]).parts) == 3
    with pytest.raises(TypeError):
        first + 3


def slow_variation(x, beta, unit):
    total = 0.0
    for v in range(x.shape[0]):
        for u in range(x.shape[1]):
            down = x[v + 1, u] - x[v, u] if v + 1 < x.shape[0] else 0.0 * x[v, u]
            right = x[v, u + 1] - x[v, u] if u + 1 < x.shape[1] else 0.0 * x[v, u]
            total += ((np.sqrt(down**2 + right**2) / unit) ** beta).sum()
    return total


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_variation_is_its_definition_in_both_scalings(beta):
    square = CANVAS[:, :, :6]
    for number, x in enumerate(square.astype(np.float64)):
        ours = on_canvas(TotalVariation(beta, "ijcv16"), square)[number]
        assert ours == pytest.approx(slow_variation(x, beta, V) / 36, rel=1e-3)
        ours = on_canvas(TotalVariation(beta, "cvpr15"), square)[number]
        assert ours == pytest.approx(slow_variation(x, beta, 1.0) / (2 * (SIGMA * 6 / 227) ** 2), rel=1e-3)


@pytest.mark.parametrize("beta", [1.0, 1.5])
def test_the_variation_of_nearly_flat_images_is_linear_in_the_squares(beta):
    """Below 1e-5, with the slope there of (d^2)^(beta/2), which would grow without bound towards 0."""
    x = np.zeros((1, 2, 2, 3), np.float32)
    x[0, 0, 0, 0] = 1e-3
    slope = beta / 2 * 1e-5 ** (beta / 2 - 1)
    expected = slope * 2 * 1e-6 / (2 * (SIGMA * 2 / 227) ** 2)  # one cell with both differences, in the first channel
    assert on_canvas(TotalVariation(beta, "cvpr15"), x)[0] == pytest.approx(expected, rel=1e-3)


def test_norms_are_their_definitions_in_both_scalings():
    x = CANVAS[:, :, :6].astype(np.float64)
    expected = (np.linalg.norm(x, axis=-1) / B) ** 6
    np.testing.assert_allclose(on_canvas(AlphaNorm(), CANVAS[:, :, :6]), expected.mean((1, 2)), rtol=1e-4)
    expected = (x**6).sum((1, 2, 3)) / (2 * (SIGMA * 6 / 227) ** 2)
    np.testing.assert_allclose(on_canvas(AlphaNorm(6.0, "cvpr15"), CANVAS[:, :, :6]), expected, rtol=1e-4)
    assert sigma(227) == SIGMA == 27098.1157
    assert pytest.approx(80 / 6.5) == V


@pytest.mark.parametrize("scaling", ["cvpr15", "ijcv16"])
@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_constant_images_have_no_variation_and_a_flat_slope(scaling, beta):
    flat = np.full((1, 5, 5, 3), 17.0, np.float32)
    values, slope = compiled_gradient(
        lambda x: TotalVariation(beta, scaling)(SearchState(x, x, {})), (flat.shape, "float32")
    )(flat)  # fmt: skip
    assert float(values[0]) == 0.0
    assert np.abs(np.asarray(slope)).max() == 0.0


@pytest.mark.parametrize("scaling", ["cvpr15", "ijcv16"])
def test_gradients_of_priors_are_those_of_finite_differences(scaling):
    for term in (AlphaNorm(6.0, scaling), TotalVariation(2.0, scaling), TotalVariation(1.5, scaling)):
        check_gradient(lambda x, term=term: term(SearchState(ops.convert_to_tensor(x), x, {})), CANVAS[:1])


def test_gradients_of_objectives_are_those_of_finite_differences():
    terms = [
        Inversion("conv", TARGET),
        StandardisedInversion("conv", TARGET),
        Activation("conv", TARGET),
        ContentLoss("conv", TARGET),
    ]
    for normalisation in NORMALISATIONS:
        terms.append(StyleLoss({"conv": np.asarray(gram(TARGET, None, normalisation))}, None, normalisation))
    for term in terms:
        check_gradient(
            lambda x, term=term: term(SearchState(None, None, {"conv": ops.convert_to_tensor(x)}), term.arrays), MAPS
        )


def test_the_bound_shortens_long_colours_only_and_once():
    bounded = np.asarray(clip_colour_norms(3 * CANVAS, 60.0))
    norms, before = np.linalg.norm(bounded, axis=-1), np.linalg.norm(3 * CANVAS, axis=-1)
    np.testing.assert_allclose(norms, np.minimum(before, 60.0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(clip_colour_norms(bounded, 60.0)), bounded, rtol=1e-6)
    assert np.abs(np.cross(bounded, 3 * CANVAS)).max() < 1.0  # the directions stay


def test_presets_hold_the_constants_of_their_papers():
    first, second, third = CONFIGS["cvpr15"], CONFIGS["ijcv16"], CONFIGS["kato"]
    assert (first.alpha_weight, first.rate, first.iterations) == (8e-10, 0.004, (100, 200, 100))
    assert first.rates == (1.0, 0.1, 0.01)
    assert [cvpr15_tv_weight(share) for share in (11 / 227, 51 / 227, 67 / 227, 131 / 227, 163 / 227, 1.0)] == [
        *(1.0, 1.0, 10.0, 10.0, 100.0, 100.0)
    ]
    assert (second.bound, second.alpha, second.tv_beta, second.iterations) == (160.0, 6.0, 2.0, (300, 50))
    assert second.rate == pytest.approx(53.333, abs=1e-3)
    assert first_stage(second).iterations == (300,)
    assert (third.rate, third.prior_weight, third.iterations) == (2.0**19, 10.0, (1000,))
    network = tiny_network()
    objective = Activation("first", np.ones((1, 16, 16, 6)))
    assert with_priors(objective, network, "first", third) is objective
    assert len(with_priors(objective, network, "first", third, lambda x: x).parts) == 2
    shallow, deep = (with_priors(objective, network, layer, first).parts for layer in ("first", "scores"))
    assert [weight for weight, _ in shallow] == [1.0, 8e-10, 1.0]
    assert [weight for weight, _ in deep] == [1.0, 8e-10, 100.0]


def test_settings_that_cannot_be_are_refused():
    for wrong in (
        {"update_rule": "magic"},
        {"iterations": (3,)},
        {"rates": ("x", "y")},
        {"momentum": 1.0},
        {"rate": 0.0},
        {"zoom": 0.5},
    ):
        with pytest.raises(ConfigError, match="setting"):
            PreimageConfig(**wrong)


def test_any_model_of_images_is_a_prior():
    term = 2.0 * LearnedPrior(lambda images: ops.mean(images, axis=(1, 2, 3)))
    np.testing.assert_allclose(on_canvas(term), 2 * CANVAS.mean((1, 2, 3)), rtol=1e-4)
    with pytest.raises(ConfigError, match="expected one per image"):
        on_canvas(LearnedPrior(lambda images: ops.mean(images, axis=3)))


def test_what_strays_from_the_loss_of_photographs_to_either_side_is_unnatural():
    def loss(images):
        return ops.mean(ops.abs(images), axis=(1, 2, 3))

    sizes = np.abs(CANVAS).mean((1, 2, 3))
    np.testing.assert_allclose(on_canvas(LearnedPrior(loss, typical=100.0)), np.log(sizes / 100.0) ** 2, rtol=1e-3)
    less, alike, more = (on_canvas(LearnedPrior(loss, typical=share * float(sizes[0])))[0] for share in (2.0, 1.0, 0.5))
    assert alike < 1e-6
    np.testing.assert_allclose([less, more], np.log(2) ** 2, rtol=1e-3)


def test_rules_are_their_formulas():
    x, g = np.array([1.0, -2.0], np.float32), np.array([0.5, 3.0], np.float32)
    memory = np.array([[0.1, 0.2]], np.float32)
    moved, kept = momentum(x, g, memory, 0.1, 1.0, 0.9)
    np.testing.assert_allclose(np.asarray(kept)[0], 0.9 * memory[0] - 0.1 * g, rtol=1e-6)
    np.testing.assert_allclose(moved, x + 0.9 * memory[0] - 0.1 * g, rtol=1e-6)
    memory = np.array([[0.1, 0.2], [4.0, 1.0]], np.float32)
    moved, kept = adagrad_momentum(x, g, memory, 0.5, 1.0, 0.9)
    gathered = 0.9 * memory[1] + g**2
    velocity = 0.9 * memory[0] - g / (1 / 0.5 + np.sqrt(gathered))
    np.testing.assert_allclose(kept, [velocity, gathered], rtol=1e-5)
    np.testing.assert_allclose(moved, x + velocity, rtol=1e-5)
    moved, _ = adam(x, g, np.zeros((2, 2), np.float32), 0.1, np.float32(1.0), 0.9)
    np.testing.assert_allclose(moved, x - 0.1 * np.sign(g), rtol=1e-4)  # a first step of Adam has the size of its rate


def test_waves_are_their_own_inverse_and_keep_a_given_picture():
    maps = RANDOM.normal(size=(2, 6, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(hartley(hartley(maps))), maps, atol=1e-5)
    waves = Fourier(np.array([120.0, 110, 100], np.float32))
    image = RANDOM.uniform(10, 240, (1, 8, 8, 3)).astype(np.float32) - waves.mean
    np.testing.assert_allclose(np.asarray(waves.centred(waves.encoded(image))), image, atol=0.1)


def test_gram_matrices_are_their_definition_with_and_without_regions():
    flat = MAPS.reshape(2, 20, 3)
    expected = np.einsum("bmi,bmj->bij", flat, flat)
    np.testing.assert_allclose(np.asarray(gram(MAPS))[:, 0], expected / 20, rtol=1e-4, atol=1e-5)
    neural = gram(MAPS, None, "neural-style")
    np.testing.assert_allclose(np.asarray(neural)[:, 0], expected / 60, rtol=1e-4, atol=1e-5)
    guides = np.zeros((2, 4, 5, 2), np.float32)
    guides[:, :2, :, 0], guides[:, 2:, :, 1] = 1.0, 1.0
    halves = np.asarray(gram(MAPS, guides))
    for half, part in enumerate((MAPS[:, :2], MAPS[:, 2:])):
        np.testing.assert_allclose(halves[:, half], np.asarray(gram(part))[:, 0], rtol=1e-4, atol=1e-5)


def test_style_losses_are_the_three_published_ones():
    own, other = (np.einsum("bmi,bmj->bij", x, x) for x in (MAPS.reshape(2, 20, 3), TARGET.reshape(2, 20, 3)))
    squares = ((own - other) ** 2).sum((1, 2))
    expected = {
        "paper": squares / (4 * 3**2 * 20**2),
        "port": 1000 / 3**2 * squares / 20**2 / 3**2,
        "neural-style": squares / 60**2 / 3**2,
        "relative": squares / (other**2).sum((1, 2)),
    }
    for name, values in expected.items():
        target = np.asarray(gram(TARGET, None, name))
        np.testing.assert_allclose(at_maps(StyleLoss({"conv": target}, None, name)), values, rtol=1e-4)
    difference = ((MAPS - TARGET) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(at_maps(ContentLoss("conv", TARGET, "paper")), difference / 2, rtol=1e-5)
    np.testing.assert_allclose(at_maps(ContentLoss("conv", TARGET, "port")), difference / 60, rtol=1e-5)
    with pytest.raises(ConfigError, match="unknown normalisation"):
        StyleLoss({"conv": TARGET}, None, "mine")


def test_regions_become_shares_of_cells():
    regions = np.zeros((8, 8), int)
    regions[:, 4:] = 1
    guides = guides_of(regions, (2, 4), 2)
    np.testing.assert_allclose(guides.sum(axis=-1), 1.0)
    np.testing.assert_allclose(guides[:, :2, 0], 1.0)
    np.testing.assert_allclose(guides[:, 2:, 1], 1.0)


@pytest.mark.parametrize("method", colour.MATCHES)
def test_matched_colours_have_the_mean_and_covariance_of_the_other_image(method):
    mix = np.array([[20.0, 5, 0], [0, 15, 5], [3, 0, 10]])
    target, source = RANDOM.normal(size=(40, 40, 3)) @ mix + 120, RANDOM.normal(size=(30, 30, 3)) @ mix.T + 140
    moved = colour.matched_colours(target, source, method).reshape(-1, 3)
    np.testing.assert_allclose(moved.mean(0), source.reshape(-1, 3).mean(0), atol=0.5)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(source.reshape(-1, 3).T), atol=12)
    with pytest.raises(ConfigError, match="unknown method of matching colours"):
        colour.matched_colours(target, source, "magic")


@pytest.mark.parametrize("method", colour.MATCHES)
def test_colours_of_a_few_pixels_match_too(method):
    random = np.random.default_rng(4)
    target, source = 20 * random.normal(size=(2, 4, 3)) + 120, 15 * random.normal(size=(30, 30, 3)) + 140
    moved = colour.matched_colours(target, source, method).reshape(-1, 3)
    ours, theirs = (np.cov(one.reshape(-1, 3).T, bias=True) for one in (moved, source))
    np.testing.assert_allclose(ours, theirs, atol=0.03 * np.abs(theirs).max())


def test_colours_stay_within_their_range():
    grey = np.array([250.0, 2.0])[:, None].repeat(3, axis=1)
    content = np.array([[230.0, 20, 20], [20, 20, 230]])
    found = colour.with_chroma(grey, content)
    assert (found.min(), found.max()) == (0.0, 255.0)


def test_luminance_alone_keeps_the_colours_of_the_content():
    content = RANDOM.uniform(60, 190, (2, 5, 5, 3))
    np.testing.assert_allclose(colour.with_chroma(colour.luminance(content), content), content, atol=0.01)
    grey = colour.luminance(content)
    assert np.ptp(grey, axis=-1).max() < 1e-3


def test_images_get_the_contrast_of_photographs():
    images = colour.photograph_contrast(RANDOM.uniform(100, 110, (2, 8, 8, 3)))
    np.testing.assert_allclose(images.mean((1, 2, 3)), 120.0, atol=0.1)
    np.testing.assert_allclose(images.std((1, 2, 3)), 60.0, atol=0.1)
    assert colour.photograph_contrast(np.full((1, 4, 4, 3), 7.0)).mean() == 120.0
