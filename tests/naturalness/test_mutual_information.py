"""Pointwise mutual information of distant cells against Gaussian densities."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from naturalness.predictors.mutual_information import MutualInformation, canonical
from naturalness.predictors.statistics import MapMoments
from vislang.core.errors import ConfigError

CHANNELS = 4


def related_maps(count=40, height=9, width=7, seed=0):
    """Give float32 [count, height, width, 4] whose cells share, in each picture, what its scene is."""
    random = np.random.default_rng(seed)
    scene = random.normal(size=(count, 1, 1, 2)) @ random.normal(size=(2, CHANNELS))
    return (scene + random.normal(size=(count, height, width, CHANNELS)) + 3.0).astype(np.float32)


def pairs_of(maps, reach, axis):
    turned = maps if axis == 0 else maps.transpose(0, 2, 1, 3)
    first, second = turned[:, :-reach], turned[:, reach:]
    return first.reshape(-1, CHANNELS).astype(np.float64), second.reshape(-1, CHANNELS).astype(np.float64)


def fitted(maps, reach=3, ridge=0.0):
    moments = MapMoments(CHANNELS, distances=(reach,))
    moments.add(maps, np.random.default_rng(0))
    layer = MutualInformation(CHANNELS, reach)
    layer.fit(moments, ridge)
    return layer, moments


@pytest.mark.parametrize("axis", [0, 1])
def test_all_variables_together_give_the_mutual_information_of_gaussians(axis):
    maps = related_maps()
    _, moments = fitted(maps)
    found = canonical(moments.pairs[3][axis], np.array([1.0, 2.0, 0.5, 1.0]), CHANNELS, 0.0)
    a, b = pairs_of(maps, 3, axis)
    x, y, r = a @ found.first - found.first_centre, b @ found.second - found.second_centre, found.correlation
    terms = (r**2 * (x**2 + y**2) - 2 * r * x * y) / (2 * (1 - r**2)) + np.log(1 - r**2) / 2
    both = np.concatenate([a, b], axis=1)

    def log_density(values):
        return multivariate_normal(values.mean(axis=0), np.cov(values.T, bias=True)).logpdf(values)

    information = log_density(both) - log_density(a) - log_density(b)
    np.testing.assert_allclose(terms.sum(axis=1), -information, atol=1e-3)
    assert np.all(np.diff(r) <= 1e-12), "the first variables go together most"
    np.testing.assert_allclose((x * y).mean(axis=0), r, atol=1e-4)
    np.testing.assert_allclose([x.std(axis=0), y.std(axis=0)], 1.0, atol=1e-4)


def test_a_cell_has_the_mean_over_its_distant_neighbours():
    maps = related_maps()
    layer, moments = fitted(maps)
    found = np.asarray(layer(maps))
    deviation = moments.mean_and_std()[1]
    known = [canonical(one, deviation, layer.width, 0.0) for one in moments.pairs[3]]

    def surprise(a, b, axis):
        one = known[axis]
        x, y, r = a @ one.first - one.first_centre, b @ one.second - one.second_centre, one.correlation
        return np.mean((r**2 * (x**2 + y**2) - 2 * r * x * y) / (2 * (1 - r**2)) + np.log(1 - r**2) / 2)

    picture = maps[5].astype(np.float64)
    for row, column in ((0, 0), (4, 3), (8, 6), (2, 3)):
        here, values = picture[row, column], []
        for axis, place, size in ((0, row, 9), (1, column, 7)):
            for step in (-3, 3):
                if 0 <= place + step < size:
                    other = picture[place + step, column] if axis == 0 else picture[row, place + step]
                    values.append(surprise(*((other, here) if step < 0 else (here, other)), axis))
        assert found[5, row, column] == pytest.approx(np.mean(values), abs=1e-4)


def test_cells_of_another_picture_do_not_belong():
    maps = related_maps(200)
    layer, _ = fitted(maps, ridge=0.01)
    mixed = maps.copy()
    mixed[:, 3:6, 2:5] = np.roll(maps, 1, axis=0)[:, 3:6, 2:5]
    before, after = (np.asarray(layer(some))[:, 3:6, 2:5].mean(axis=(1, 2)) for some in (maps, mixed))
    assert np.mean(after > before) > 0.9
    assert before.mean() < 0 < after.mean()


def test_maps_no_larger_than_the_reach_tell_nothing():
    layer, _ = fitted(related_maps())
    assert not np.asarray(layer(related_maps(2, 3, 3))).any()
    narrow = np.asarray(layer(related_maps(2, 3, 5)))
    assert narrow[:, :, [0, 1, 3, 4]].all()
    assert not narrow[:, :, 2].any()
    moments = MapMoments(CHANNELS, distances=(9,))
    moments.add(related_maps(2), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="no two cells that far apart.*lower information_distance"):
        canonical(moments.pairs[9][0], np.ones(CHANNELS), 2, 0.1)
