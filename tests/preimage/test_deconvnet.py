"""The three backward rules against a slow backward pass written by hand, and patches against a plain search."""

import keras
import numpy as np
import pytest
from PIL import Image
from preimage_networks import SIZE, photographs, tiny_model, tiny_network

import preimage
from preimage.backprop.deconvnet import RELU_RULES, as_colours, project, strongest_unit
from preimage.networks.image_inputs import read_images
from preimage.networks.network import Network
from preimage.optimization.objectives import unit_directions
from vislang.core.errors import ConfigError, DataError


def convolve(x, kernel, bias):
    """3x3, "same", stride 1; x [H, W, C], kernel [3, 3, C, D]."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((*x.shape[:2], kernel.shape[-1]))
    for v in range(3):
        for u in range(3):
            out += padded[v : v + x.shape[0], u : u + x.shape[1]] @ kernel[v, u]
    return out + bias


def convolve_back(slope, kernel):
    height, width = slope.shape[:2]
    padded = np.zeros((height + 2, width + 2, kernel.shape[2]))
    for v in range(3):
        for u in range(3):
            padded[v : v + height, u : u + width] += slope @ kernel[v, u].T
    return padded[1:-1, 1:-1]


def pool(x):
    blocks = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).transpose(0, 2, 4, 1, 3)
    flat = blocks.reshape(*blocks.shape[:3], 4)
    return flat.max(-1), flat.argmax(-1)


def unpool(slope, switches):
    out = np.zeros((2 * slope.shape[0], 2 * slope.shape[1], slope.shape[2]))
    for index in np.ndindex(*slope.shape):
        down, across = divmod(int(switches[index]), 2)
        out[2 * index[0] + down, 2 * index[1] + across, index[2]] = slope[index]
    return out


def back_through_relu(slope, before, rule, limit=np.inf):
    open_ = (before > 0) & (before < limit)
    return {
        "gradient": slope * open_,
        "deconvnet": np.maximum(slope, 0),
        "guided": np.maximum(slope, 0) * open_,
    }[rule]


@pytest.mark.parametrize("rule", RELU_RULES)
def test_each_rule_is_the_slow_backward_pass(rule):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="a")(image)
    x = keras.layers.MaxPooling2D(2)(x)
    y = keras.layers.Conv2D(5, 3, padding="same", name="b")(x)
    y = keras.layers.BatchNormalization(name="n")(y)
    x = keras.layers.Add()([x, y])
    x = keras.layers.ReLU(6.0, name="c")(x)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same", name="d")(x))
    random = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([random.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    model.get_layer("n").set_weights([random.uniform(0.5, 2, 5) for _ in range(4)])
    preprocessing = tiny_network(8, "squash-64-raw/v1").preprocessing
    network = Network("hand", model, preprocessing)
    picture = random.uniform(-2, 2, (1, 8, 8, 3)).astype(np.float32)
    direction = random.normal(size=(1, 4, 4, 4)).astype(np.float32)

    (ka, ba), (kb, bb), (kd, _) = (model.get_layer(name).get_weights() for name in "abd")
    gamma, beta, mean, variance = model.get_layer("n").get_weights()
    first = convolve(picture[0], ka, ba)
    pooled, switches = pool(np.maximum(first, 0))
    scale = gamma / np.sqrt(variance + model.get_layer("n").epsilon)
    before = pooled + (convolve(pooled, kb, bb) - mean) * scale + beta
    slope = back_through_relu(convolve_back(direction[0], kd), before, rule, 6.0)
    slope = slope + convolve_back(slope * scale, kb)
    expected = convolve_back(back_through_relu(unpool(slope, switches), first, rule), ka)
    found = project(network, picture, "d", direction, relu_rule=rule)
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-3)


def test_the_rules_agree_where_nothing_is_negative():
    network = tiny_network()
    images = photographs(1)
    direction = unit_directions("first", network.shape("first"), [2])
    plain, guided = (project(network, images, "first", direction, relu_rule=rule) for rule in ("gradient", "guided"))
    np.testing.assert_allclose(plain, guided, atol=1e-6)


def test_the_strongest_unit_is_found_with_and_without_a_channel():
    features = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    for channel in (None, 2):
        directions = strongest_unit("layer", features, channel)
        assert np.count_nonzero(directions) == 2
        part = features if channel is None else features[..., channel]
        np.testing.assert_allclose(directions.sum((1, 2, 3)), part.reshape(2, -1).max(1), rtol=1e-6)


@pytest.mark.parametrize("channel", [99999, 8, -1])
def test_channels_that_a_layer_does_not_have_are_refused_by_the_functions(channel):
    network, images = tiny_network(), photographs(1)
    reason = f"layer {{}} got channel {channel}, expected 0 to 7"
    with pytest.raises(ConfigError, match=reason.format("pre:last")):
        preimage.deconv_images(network, images, "last", channel=channel)
    with pytest.raises(ConfigError, match=reason.format("last")):
        preimage.top_patches(network, images, "last", channel)
    with pytest.raises(ConfigError, match=reason.format("pre:last")):
        preimage.maximize_units(network, "last", [0, channel], images=images)
    with pytest.raises(ConfigError, match=reason.format("pre:last")):
        preimage.filters_from_noise(network, "last", [0, channel])


def test_projections_of_limited_relus_start_before_the_limit():
    network = tiny_network()
    images = 3 * photographs(2)
    assert network.before_relu("second") == "pre:second"
    assert network.before_relu("pool") == "pool"
    assert network.encode(images, ["second"])["second"].max() == 6.0
    found = preimage.deconv_images(network, images, "second", relu_rule="gradient").images
    assert np.abs(found).reshape(2, -1).max(1).min() > 0
    colours = as_colours(found)
    assert colours.dtype == np.uint8
    assert 127 <= np.median(colours) <= 128


def test_layers_without_a_rule_are_refused_by_name():
    image = keras.Input((8, 8, 3))
    x = keras.layers.LeakyReLU(name="leaky")(keras.layers.Conv2D(2, 3)(image))
    soft = keras.layers.Conv2D(2, 3, activation="sigmoid", name="soft")(image)
    network = Network("odd", keras.Model(image, [x, soft]), tiny_network(8).preprocessing)
    direction = unit_directions("leaky", network.shape("leaky"), [0])
    with pytest.raises(ConfigError, match="guided does not cover layer leaky .LeakyReLU. of network odd"):
        project(network, photographs(1, 8), "leaky", direction, relu_rule="guided")
    with pytest.raises(ConfigError, match="does not cover the sigmoid of layer soft"):
        project(network, photographs(1, 8), "soft", direction)
    assert project(network, photographs(1, 8), "leaky", direction, relu_rule="gradient").shape == (1, 8, 8, 3)
    with pytest.raises(ConfigError, match="unknown ReLU rule 'guide'; did you mean guided"):
        project(network, photographs(1, 8), "leaky", direction, relu_rule="guide")
    slope = keras.layers.ReLU(negative_slope=0.1, name="slope")(image)
    network = Network("odd", keras.Model(image, slope), tiny_network(8).preprocessing)
    with pytest.raises(ConfigError, match="a ReLU with a slope or a threshold"):
        project(network, photographs(1, 8), "slope", unit_directions("slope", (8, 8, 3), [0]))


def test_a_deconvnet_does_not_undo_caffes_normalisation():
    from vislang.backbones.caffe.layers import LRN

    image = keras.Input((8, 8, 3))
    model = keras.Model(image, LRN(5, 1.0, 0.75, 1.0, name="norm")(image))
    network = Network("norm", model, tiny_network(8, "squash-64-raw/v1").preprocessing)
    direction = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    found = project(network, photographs(1, 8), "norm", direction)
    np.testing.assert_allclose(found, direction, rtol=1e-5)
    assert np.abs(project(network, photographs(1, 8), "norm", direction, relu_rule="guided") - direction).max() > 0.1


def test_top_patches_are_the_strongest_of_all_images_and_bad_files_are_listed(tmp_path):
    network, paths = tiny_network(), []
    for number, picture in enumerate(photographs(20)):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(picture.astype(np.uint8)).save(paths[-1])
    (tmp_path / "bad.png").write_text("no picture")
    seen = []
    found = preimage.top_patches(network, [tmp_path / "bad.png", *paths], "third", 2, count=3, progress=seen.append)
    patches = found.patches
    features = network.encode(read_images(network, paths).images, ["third"])["third"][..., 2]
    best = np.sort(features.reshape(20, -1).max(1))[::-1]
    np.testing.assert_allclose([patch.activation for patch in patches], best[:3], rtol=1e-4)
    assert [image.source for image in found.skipped] == [str(tmp_path / "bad.png")]
    assert sum(seen) == 21
    for patch in patches:
        top, left, bottom, right = patch.box
        assert 0 <= top < bottom <= SIZE
        assert 0 <= left < right <= SIZE
        assert patch.enlarged(patch.image).shape == (SIZE, SIZE, 3)
    with pytest.raises(ConfigError, match="layer third got channel 8, expected 0 to 7"):
        preimage.top_patches(network, paths, "third", 8)
    with pytest.raises(DataError, match=r"bad.png: not an image"):
        preimage.top_patches(network, tmp_path / "bad.png", "third", 0)
    with pytest.raises(ConfigError, match="count got 0"):
        preimage.top_patches(network, paths, "third", 0, count=0)


def test_scores_have_patches_too(tmp_path):
    network = Network("tiny", tiny_model(), tiny_network().preprocessing)
    Image.fromarray(photographs(1)[0].astype(np.uint8)).save(tmp_path / "a.png")
    (patch,) = preimage.top_patches(network, tmp_path / "a.png", "scores", 1).patches
    assert patch.box == (0, 0, SIZE, SIZE)
