"""The metrics of fixations against slow definitions, hand-worked numbers, properties, and pysaliency.

pysaliency's root imports PyTorch, so its modules are loaded by their files; without it (`pip install -e ".[peers]"`,
which needs a C compiler) the comparisons are skipped.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from eval.metrics.fixations.auc import (
    auc_borji,
    auc_borji_exact,
    auc_judd,
    auc_judd_exact,
    auc_shuffled,
    auc_shuffled_exact,
    pixels_inside,
    roc_auc,
    values_at,
)
from eval.metrics.fixations.maps import add_prior, blur_map, density, fixation_map, resize_map
from eval.metrics.fixations.nss_cc_sim_kl import EPSILON, cc, information_gain, kl, nss, sim
from eval.metrics.pointing_game import centre_map
from vislang.core.errors import ConfigError, EvalError

HEIGHT, WIDTH = 30, 40


def random_maps(seed, *, levels=None):
    random = np.random.default_rng(seed)
    scores = (
        random.random((HEIGHT, WIDTH)) if levels is None else random.integers(levels, size=(HEIGHT, WIDTH)) / levels
    )
    places = np.stack([random.integers(HEIGHT, size=25), random.integers(WIDTH, size=25)], axis=1)
    others = np.stack([random.integers(HEIGHT, size=90), random.integers(WIDTH, size=90)], axis=1)
    return scores, places, others


def peer(name):
    package = importlib.util.find_spec("pysaliency")
    if package is None:
        pytest.skip("no pysaliency")
    file = Path(package.submodule_search_locations[0]) / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"peer_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slow_area(positives, negatives):
    return np.mean([(one > other) + 0.5 * (one == other) for one in positives for other in negatives])


def slow_roc(positives, negatives, thresholds):
    """The benchmark's loop: rates at each threshold, corners added, trapezoid."""
    true = [0.0, *[np.mean(positives >= threshold) for threshold in thresholds], 1.0]
    false = [0.0, *[np.mean(negatives >= threshold) for threshold in thresholds], 1.0]
    return sum((false[k + 1] - false[k]) * (true[k + 1] + true[k]) / 2 for k in range(len(true) - 1))


def test_places_are_pixels_and_those_outside_are_dropped_and_counted():
    points = np.array([[0.0, 0.0], [3.99, 2.99], [4.0, 1.0], [-0.1, 1.0], [np.nan, 1.0], [2.5, 1.5]])
    places, outside = pixels_inside(points, (4, 3))
    assert places.tolist() == [[0, 0], [2, 3], [1, 2]]
    assert outside == 3
    assert pixels_inside(np.zeros((0, 2)), (4, 3))[0].shape == (0, 2)


@pytest.mark.parametrize("levels", [None, 3])
def test_the_area_is_the_share_of_rightly_ordered_pairs(levels):
    scores, places, others = random_maps(0, levels=levels)
    positives, negatives = values_at(scores, places), values_at(scores, others)
    assert roc_auc(positives, negatives) == pytest.approx(slow_area(positives, negatives), abs=1e-12)
    assert roc_auc(negatives, positives) == pytest.approx(1 - slow_area(positives, negatives), abs=1e-12)


def test_areas_worked_by_hand():
    assert roc_auc(np.array([2.0, 1.0]), np.array([0.0, 1.0, 3.0])) == pytest.approx((2 + 1.5) / 6)
    scores = np.array([[3.0, 1.0], [2.0, 0.0]])
    assert auc_judd_exact(scores, np.array([[1, 0]])) == pytest.approx(2 / 3)
    assert auc_borji_exact(scores, np.array([[1, 0]])) == pytest.approx(2.5 / 4)  # the fixated pixel is one of the four
    # (0, 0), (1/3, 1), (1, 1)
    assert auc_judd(scores, np.array([[1, 0]]), np.random.default_rng(0)) == pytest.approx(1 / 6 + 2 / 3)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("jitter", [True, False])
def test_auc_judd_is_the_benchmarks_loop(levels, jitter):
    scores, places, _ = random_maps(1, levels=levels)
    found = auc_judd(scores, places, np.random.default_rng(5), jitter=jitter)
    if jitter:
        scores = scores + np.random.default_rng(5).random(scores.shape) * 1e-7
    places = np.unique(places, axis=0)
    count, true, false = len(places), [0.0], [0.0]
    for number, threshold in enumerate(np.sort(values_at(scores, places))[::-1], start=1):
        true.append(number / count)
        false.append((np.sum(scores >= threshold) - number) / (scores.size - count))
    expected = np.trapezoid([*true, 1.0], [*false, 1.0])
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_auc_borji_and_shuffled_are_the_benchmarks_loops(seed):
    scores, places, others = random_maps(seed)
    scores = 7 * scores - 3
    places = np.unique(places, axis=0)
    unit = (scores - scores.min()) / (scores.max() - scores.min())
    positives = values_at(unit, places)

    def slow(drawn):
        found = []
        for negatives in drawn:
            steps = int(max(positives.max(), negatives.max()) / 0.1 + 1e-9)
            found.append(slow_roc(positives, negatives, [0.1 * step for step in range(steps, -1, -1)]))
        return np.mean(found)

    drawn = np.random.default_rng(9).integers(scores.size, size=(20, len(places)))
    assert auc_borji(scores, places, np.random.default_rng(9), splits=20) == pytest.approx(
        slow(unit.ravel()[drawn]), abs=1e-12
    )
    few = np.unique(others, axis=0)[: len(places)]  # as many as are drawn: each split takes all of them
    found = auc_shuffled(scores, places, few, np.random.default_rng(9), splits=20)
    assert found == pytest.approx(slow([values_at(unit, few)]), abs=1e-12)


def test_shuffled_draws_without_replacement_as_many_as_there_are_fixations():
    scores, places, others = random_maps(4)
    found = auc_shuffled(scores, places, others, np.random.default_rng(0), splits=4000, step=1e-3)
    expected = auc_shuffled_exact(scores, np.unique(places, axis=0), np.unique(others, axis=0))
    assert found == pytest.approx(expected, abs=0.01)
    repeated = auc_shuffled(scores, places, others, np.random.default_rng(0), splits=7)
    assert repeated == auc_shuffled(scores, places, others, np.random.default_rng(0), splits=7)


def test_the_exact_ones_do_not_change_under_a_rising_function():
    scores, places, others = random_maps(2)
    for bent in (np.exp(5 * scores), scores**3 - 9, np.argsort(np.argsort(scores.ravel())).reshape(scores.shape)):
        bent = bent.astype(float)
        assert auc_judd_exact(bent, places) == auc_judd_exact(scores, places)
        assert auc_borji_exact(bent, places) == auc_borji_exact(scores, places)
        assert auc_shuffled_exact(bent, places, others) == auc_shuffled_exact(scores, places, others)
        no_jitter = [auc_judd(one, places, np.random.default_rng(0), jitter=False) for one in (bent, scores)]
        assert no_jitter[0] == pytest.approx(no_jitter[1], abs=1e-12)


def test_random_pixels_are_chance():
    random = np.random.default_rng(3)
    scores = random.normal(size=(HEIGHT, WIDTH))
    places = np.stack([random.integers(HEIGHT, size=40000), random.integers(WIDTH, size=40000)], axis=1)
    assert nss(scores, places) == pytest.approx(0, abs=0.02)
    assert auc_borji_exact(scores, places) == pytest.approx(0.5, abs=0.01)


def test_the_centre_is_chance_among_fixations_that_share_its_bias():
    random = np.random.default_rng(0)
    points = random.normal([WIDTH / 2, HEIGHT / 2], [WIDTH / 6, HEIGHT / 6], (8000, 2))
    places, _ = pixels_inside(points, (WIDTH, HEIGHT))
    scores = centre_map(HEIGHT, WIDTH)
    assert auc_shuffled_exact(scores, places[:4000], places[4000:]) == pytest.approx(0.5, abs=0.02)
    assert auc_judd_exact(scores, places[:40]) > 0.7


def test_nss_cc_sim_kl_and_information_gain_worked_by_hand():
    scores, people = np.array([[0.0, 1.0], [1.0, 2.0]]), np.array([[0.0, 0.0], [0.0, 5.0]])
    places = np.array([[1, 1], [0, 1]])
    deviation = np.sqrt(2 / 3)  # of the sample
    assert nss(scores, places) == pytest.approx(((2 - 1) / deviation + 0) / 2)
    assert cc(scores, people) == pytest.approx(np.corrcoef(scores.ravel(), people.ravel())[0, 1])
    assert cc(scores, -3 * scores + 2) == pytest.approx(-1)
    assert sim(scores, people) == pytest.approx(0.5)
    assert sim(scores + 8, people) == pytest.approx(0.5)  # brought to 0..1 first
    assert kl(scores, people) == pytest.approx(np.log(1 / 0.5))
    assert kl(people, people) == pytest.approx(0)
    uniform_gain = information_gain(scores, places, np.ones((2, 2)))
    assert uniform_gain == pytest.approx((np.log2(0.5) + np.log2(0.25)) / 2 - np.log2(0.25))
    assert information_gain(scores, np.array([[0, 0]]), np.ones((2, 2))) == pytest.approx(np.log2(EPSILON) + 2)


def test_maps_without_any_difference():
    flat, (scores, places, others) = np.full((HEIGHT, WIDTH), 0.1), random_maps(0)
    random = np.random.default_rng(0)
    for found in (
        auc_judd(flat, places, random),
        auc_judd_exact(flat, places),
        auc_borji(flat, places, random),
        auc_borji_exact(flat, places),
        auc_shuffled(flat, places, others, random),
        auc_shuffled_exact(flat, places, others),
    ):
        assert found == 0.5
    assert nss(flat, places) == cc(flat, scores) == cc(scores, flat) == 0.0
    assert sim(flat, flat) == pytest.approx(1)
    assert kl(0 * flat, flat) == pytest.approx(0, abs=1e-9)
    assert information_gain(flat, places, flat) == 0.0


def test_one_fixation_and_none():
    scores, places, others = random_maps(0)
    random, one, none = np.random.default_rng(0), places[:1], places[:0]
    assert auc_judd(scores, one, random) > auc_judd_exact(scores, one) - 1e-3
    assert np.isfinite([nss(scores, one), auc_shuffled_exact(scores, one, others), auc_borji_exact(scores, one)]).all()
    assert np.isnan([auc_borji(scores, one, random), auc_shuffled(scores, one, others, random)]).all()
    undefined = [
        auc_judd(scores, none, random), auc_judd_exact(scores, none), auc_borji(scores, none, random),
        auc_borji_exact(scores, none), auc_shuffled(scores, none, others, random), nss(scores, none),
        auc_shuffled_exact(scores, none, others), auc_shuffled(scores, places, none, random),
        auc_shuffled_exact(scores, places, none), information_gain(scores, none, scores),
    ]  # fmt: skip
    assert np.isnan(undefined).all()


def test_numbers_that_are_not_finite_are_refused():
    scores, places, others = random_maps(0)
    broken = scores.copy()
    broken[places[0, 0], places[0, 1]] = np.nan
    with pytest.raises(EvalError, match="1 of 1200 numbers of a map are NaN or infinite"):
        resize_map(broken, (WIDTH, HEIGHT))
    for measure in (lambda: nss(broken, places), lambda: cc(scores, broken), lambda: kl(broken, scores)):
        with pytest.raises(EvalError, match="NaN or infinite"):
            measure()
    with pytest.raises(EvalError, match="NaN or infinite"):
        auc_shuffled_exact(broken, places, others)
    with pytest.raises(EvalError, match="expected one size"):
        sim(scores, scores[:5])
    with pytest.raises(EvalError, match=r"expected \[height, width\]"):
        resize_map(np.zeros((3, 4, 3)), (4, 3))


def test_fitting_is_bilinear_and_leaves_a_map_of_the_right_size():
    scores = np.random.default_rng(0).random((5, 7))
    assert resize_map(scores, (7, 5)) is scores
    ramp = resize_map(np.array([[0.0, 1.0]]), (4, 1))
    np.testing.assert_allclose(ramp, [[0, 0.25, 0.75, 1]], atol=1e-6)
    assert resize_map(np.zeros((2, 2), np.uint8), (4, 6)).shape == (6, 4)


def test_blurring_is_a_gaussian_and_keeps_flat_maps():
    from scipy.ndimage import gaussian_filter

    scores = np.random.default_rng(0).random((60, 80))
    expected = gaussian_filter(scores, 2.4, mode="nearest", truncate=6)
    np.testing.assert_allclose(blur_map(scores, 0.03)[18:-18, 18:-18], expected[18:-18, 18:-18], atol=1e-5)
    np.testing.assert_allclose(blur_map(np.full((6, 8), 0.3), 0.2), 0.3, atol=1e-6)
    assert blur_map(scores, 0.0) is scores


def test_the_peoples_map_is_a_sum_of_gaussians():
    places = np.array([[2, 3], [2, 3], [9, 0]])
    found = fixation_map(places, (10, 12), 1.5)
    rows, columns = np.mgrid[:10, :12]
    expected = sum(np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2)) for row, column in places)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert not fixation_map(places[:0], (10, 12), 1.5).any()


def test_the_centre_is_brought_in_by_product_or_by_logarithm():
    scores, centre = np.array([[1.0, 3.0]]), np.array([[0.5, 0.25]])
    assert add_prior(scores, centre, "none") is scores
    assert add_prior(scores, centre, "multiply").tolist() == [[0.0, 0.25]]
    np.testing.assert_allclose(add_prior(scores, centre, "log-add"), [[-1 + np.log(0.5), 1 + np.log(0.25)]])
    np.testing.assert_allclose(add_prior(np.ones((1, 2)), centre, "log-add"), np.log(centre))
    with pytest.raises(ConfigError, match="unknown centre prior 'add'"):
        add_prior(scores, centre, "add")


def test_densities_sum_to_one():
    assert density(np.array([[1.0, 3.0]])).tolist() == [[0.25, 0.75]]
    assert density(np.array([[-1.0, 1.0]])).tolist() == [[0.0, 1.0]]
    assert density(np.zeros((2, 2))).tolist() == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("levels", [None, 4])
def test_equal_to_pysaliency_where_the_definitions_are(levels, monkeypatch):
    theirs, rocs = peer("metrics"), peer("numba_utils")
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # NumPy 2.4 dropped it, pysaliency still calls it
    scores, places, others = random_maps(6, levels=levels)
    rows, columns = places.T
    people = fixation_map(places, scores.shape, 3.0)
    scores, lifted = scores - scores.min(), people - people.min()
    positives, negatives = values_at(scores, places), values_at(scores, others)
    free = np.ones(scores.shape, bool)
    free[rows, columns] = False

    population = np.sqrt((scores.size - 1) / scores.size)
    assert nss(scores, places) == pytest.approx(theirs.NSS(scores, columns, rows).mean() * population, abs=1e-6)
    assert cc(scores, people) == pytest.approx(theirs.CC(scores, people), abs=1e-6)
    assert sim(scores, lifted) == pytest.approx(theirs.SIM(scores, lifted), abs=1e-6)
    with np.errstate(divide="ignore"):  # pysaliency takes the logarithm of 0, and then its exponential
        assert kl(scores + 0.1, people) == pytest.approx(theirs.MIT_KLDiv(scores + 0.1, people), abs=1e-6)
        # Where the map is 0 their 2.2204e-16, rounded, is seen in the sixth digit.
        assert kl(scores, people) == pytest.approx(theirs.MIT_KLDiv(scores, people), abs=3e-5)
    for ours, against in (
        (auc_shuffled_exact(scores, places, others), negatives),
        (auc_borji_exact(scores, places), scores.ravel()),
        (auc_judd_exact(scores, places), scores[free]),
    ):
        assert ours == pytest.approx(rocs.general_rocs_per_positive_numba(positives, against).mean(), abs=1e-6)
        assert ours == pytest.approx(rocs.general_roc_numba(positives, against)[0], abs=1e-6)
    once = np.unique(places, axis=0)
    if levels is None:  # among ties pysaliency's negatives are other than the benchmark's
        judd = rocs.general_roc_numba(values_at(scores, once), scores[free], judd=1)[0]
        assert auc_judd(scores, places, np.random.default_rng(0), jitter=False) == pytest.approx(judd, abs=1e-6)
