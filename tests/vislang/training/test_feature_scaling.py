"""Feature scaling: each choice is what its name says, for the mean of descriptors and for each of them."""

import numpy as np
import pytest
import tensorflow as tf

from vislang.training.feature_scaling import FeatureScaling, unit_length

FEATURES = np.array([[[3.0, 0, 4, 0], [1, 0, 0, 0]]], np.float32)


@pytest.mark.parametrize("scaling", ["none", "unit"])
def test_no_scaling_and_length_one(scaling):
    layer = FeatureScaling(scaling, 4)
    mean, each = np.array([2.0, 0, 2, 0]), FEATURES[0]
    if scaling == "unit":
        mean, each = mean / np.sqrt(8), [[0.6, 0, 0.8, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(layer.mean(FEATURES)[0], mean, rtol=1e-6)
    np.testing.assert_allclose(layer.mean(FEATURES, np.ones((1, 2), bool))[0], mean, rtol=1e-6)
    np.testing.assert_allclose(layer.each(FEATURES)[0], each, rtol=1e-6)


@pytest.mark.parametrize("scaling", ["standardised", "standardised_unit"])
def test_the_mean_and_each_descriptor_have_statistics_of_their_own(scaling):
    random = np.random.default_rng(0)
    layer = FeatureScaling(scaling, 4)
    means, stds = random.normal(size=(2, 4)), random.uniform(0.5, 2, (2, 4))
    layer.set_statistics(means, stds)
    mean, each = (FEATURES.mean(axis=1) - means[0]) / stds[0], (FEATURES - means[1]) / stds[1]
    if scaling == "standardised_unit":
        mean, each = (one / np.linalg.norm(one, axis=-1, keepdims=True) for one in (mean, each))
    np.testing.assert_allclose(layer.mean(FEATURES), mean, atol=1e-5)
    np.testing.assert_allclose(layer.each(FEATURES), each, atol=1e-5)


def test_padding_is_not_part_of_the_mean_and_an_image_without_descriptors_is_zero():
    layer = FeatureScaling("none", 4)
    np.testing.assert_allclose(layer.mean(FEATURES, np.array([[False, True]])), FEATURES[:, 1])
    np.testing.assert_array_equal(layer.mean(FEATURES, np.zeros((1, 2), bool)), np.zeros((1, 4)))


def test_statistics_are_never_learned():
    assert FeatureScaling("standardised", 4).trainable_weights == []


def test_a_feature_that_never_varies_keeps_its_scale():
    layer = FeatureScaling("standardised", 4)
    layer.set_statistics(np.full((2, 4), 5.0), np.array([[0, 2, 4, 0.5], [1, 1, 1, 1]]))
    np.testing.assert_allclose(layer.mean(np.full((1, 1, 4), 6.0, np.float32)), [[1, 0.5, 0.25, 2]])


def test_a_zero_vector_has_no_length_and_no_gradient():
    vectors = tf.constant([[0.0, 0.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        scaled = unit_length(vectors)
        first = scaled[:, 0]
    np.testing.assert_allclose(scaled, [[0, 0], [0.6, 0.8]], rtol=1e-6)
    gradient = tape.gradient(first, vectors)
    np.testing.assert_allclose(gradient, [[0, 0], [0.128, -0.096]], rtol=1e-5)
