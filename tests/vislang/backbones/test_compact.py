"""The small CNN for photographs: its layers, the kernel it is trained with, and folding that away."""

import keras
import numpy as np
import pytest

from vislang.backbones.compact import StandardisedConv2D, build_compact, fold


@pytest.mark.parametrize("size", [160, 240, 320])
def test_the_grid_has_ten_cells_a_side_whatever_the_size(size):
    network = build_compact(size, 0.25, 24)
    both = keras.Model(network.input, [network.get_layer("grid").output, network.get_layer("pooled").output])
    grid, pooled = both(np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32))
    assert grid.shape == (2, 10, 10, 24)
    assert np.min(grid) >= 0
    np.testing.assert_allclose(np.mean(grid, axis=(1, 2)), pooled, atol=1e-6)


def test_a_standardised_kernel_has_mean_nought_and_keeps_the_variance():
    layer = StandardisedConv2D(16, 3, 1, "same", gain=1.7)
    layer.build((None, None, None, 8))
    layer.kernel.assign(5 + 3 * np.random.default_rng(0).standard_normal((72, 16)))
    kernel = np.asarray(layer.plain_kernel())
    np.testing.assert_allclose(kernel.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(kernel.var(axis=(0, 1, 2)), 1.7**2 / 72, rtol=1e-4)


def test_activations_neither_vanish_nor_explode_in_a_fresh_network():
    network = build_compact(160, 0.5, 64, StandardisedConv2D)
    pictures = np.random.default_rng(0).standard_normal((2, 160, 160, 3)).astype(np.float32)
    each = keras.Model(network.input, [layer.output for layer in network.layers if "relu" in layer.name])(pictures)
    assert all(0.1 < float(np.std(one)) < 10 for one in each)


def test_folding_changes_no_number():
    trained = build_compact(160, 0.25, 24, StandardisedConv2D)
    random = np.random.default_rng(0)
    for weight in trained.weights:
        weight.assign(weight + 0.1 * random.standard_normal(weight.shape))
    plain = fold(trained, build_compact(160, 0.25, 24))
    pictures = random.uniform(-1, 1, (2, 160, 160, 3)).astype(np.float32)
    np.testing.assert_allclose(plain(pictures), trained(pictures), rtol=1e-4, atol=1e-5)


def test_the_shipped_size_fits_into_its_six_megabytes():
    assert 2 * build_compact().count_params() <= 6_000_000
