"""The networks that are defined by name, the five steps before them, and what prototxt files may look like."""

import keras
import numpy as np
import pytest
from caffe_files import caffemodel, layer
from PIL import Image

from vislang.backbones.caffe import load as caffe
from vislang.backbones.caffe.build import build
from vislang.backbones.caffe.caffemodel import RandomWeights
from vislang.backbones.caffe.preprocess import (
    MEAN_BGR,
    centre_crop,
    embed,
    five_steps,
    resized_size,
    shorter_side,
)
from vislang.backbones.caffe.prototxt import parse_text
from vislang.backbones.caffe.registry import NETWORKS
from vislang.core.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)

SIDES = {  # of the outputs of these layers, in order
    "VGG_CNN_S": {"conv1": 109, "pool1": 37, "conv2": 33, "pool2": 17, "conv3": 17, "conv5": 17, "pool5": 6},
    "AlexNet": {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv5": 13, "pool5": 6},
    "CaffeNet": {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv5": 13, "pool5": 6},
    "VGG-19": {"conv1_2": 224, "conv2_2": 112, "conv3_4": 56, "conv4_4": 28, "conv5_4": 14, "pool5": 7},
    "illustration2vec": {"conv1_1": 224, "pool3": 28, "conv5_2": 14, "conv6_1": 7, "conv6_4": 7, "pool6": 1},
    "illustration2vec-paper": {"conv1_1": 224, "pool3": 28, "conv5_2": 14, "conv6_1": 7, "conv6_3": 7, "pool6": 1},
    "illustration2vec-features": {"conv1_1": 224, "conv6_3": 7},
}
FULLY = {  # numbers that go into and come out of inner products
    "VGG_CNN_S": {"fc6": (18432, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)},
    "AlexNet": {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)},
    "CaffeNet": {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)},
    "VGG-19": {"fc6": (25088, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)},
    "illustration2vec-features": {"encode1": (50176, 4096)},
}
PARAMETERS = {  # published: AlexNet 60,965,224 and VGG-19 143,667,240
    "VGG_CNN_S": 102_908_520,
    "AlexNet": 60_965_224,
    "CaffeNet": 60_965_224,
    "VGG-19": 143_667_240,
}


class Nothing:
    """Weights that are all zero and share one page of memory."""

    def take(self, layer, shapes):
        return [np.broadcast_to(np.float32(0), shape) for shape in shapes]


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request):
    yield request.param, build(NETWORKS[request.param], Nothing())
    keras.backend.clear_session()


def test_the_sizes_are_the_published_ones(network):
    name, model = network
    assert {layer: model.get_layer(layer).output.shape[1] for layer in SIDES[name]} == SIDES[name]
    matrices = {each.name: tuple(each.kernel.shape) for each in model.layers if type(each).__name__ == "InnerProduct"}
    assert matrices == FULLY.get(name, {})
    assert model.count_params() == PARAMETERS.get(name, model.count_params())


def test_the_layers_of_vgg_cnn_s_are_numbered_as_loadcaffe_does():
    names = [each.name for each in NETWORKS["VGG_CNN_S"].layers]
    names.insert(names.index("fc6"), "flatten")  # which loadcaffe counts
    assert {name: place for place, name in enumerate(names, start=1) if name[:2] in ("co", "fc", "no", "pr")} == {
        **{"conv1": 1, "norm1": 3, "conv2": 5, "conv3": 8, "conv4": 10, "conv5": 12},
        **{"fc6": 16, "fc7": 19, "fc8": 22, "prob": 23},
    }


def test_alexnet_normalises_before_it_pools_and_caffenet_after():
    for name, order in (("AlexNet", ["norm1", "pool1"]), ("CaffeNet", ["pool1", "norm1"])):
        names = [each.name for each in NETWORKS[name].layers]
        assert names[:5] == ["conv1", "relu1", *order, "conv2"]
    lrn = build(NETWORKS["AlexNet"], Nothing()).get_layer("norm1")
    assert (lrn.n, lrn.alpha, lrn.beta, lrn.k) == (5, 1e-4, 0.75, 1.0)
    lrn = build(NETWORKS["VGG_CNN_S"], Nothing()).get_layer("norm1")
    assert (lrn.n, lrn.alpha, lrn.beta, lrn.k) == (5, 5e-4, 0.75, 2.0)


def test_the_tagger_ends_in_the_mean_of_probabilities_before_their_sigmoid():
    model = caffe.load_named("illustration2vec", "random")
    seen = caffe.at_layers(model, ["conv6_4", "prob"])(RANDOM.normal(0, 3, (1, 224, 224, 3)).astype(np.float32))
    mean = np.float64(seen["conv6_4"]).mean((1, 2))
    assert mean.shape == (1, 1539)
    np.testing.assert_allclose(np.asarray(seen["prob"])[:, 0, 0], 1 / (1 + np.exp(-mean)), rtol=1e-3, atol=1e-5)


def test_random_weights_are_always_the_same():
    shapes = [(8, 4, 3, 3), (8,)]
    first, again = (RandomWeights().take("conv", shapes) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[0].std() == pytest.approx((2 / 36) ** 0.5, rel=0.2)
    assert not first[1].any()


def test_an_unknown_network():
    with pytest.raises(ConfigError, match="unknown Caffe network 'VGG19'; did you mean VGG-19"):
        caffe.load_named("VGG19", "random")


def test_weights_of_another_network(tmp_path):
    blobs = [np.ones((96, 3, 11, 11)), np.ones(96)]
    (tmp_path / "a.caffemodel").write_bytes(caffemodel([layer("conv1", "Convolution", "data", blobs=blobs)]))
    with pytest.raises(DataError, match=r"layer 'conv1' has arrays .*expected \[\(96, 3, 7, 7\), \(96,\)\]"):
        caffe.load_named("VGG_CNN_S", tmp_path / "a.caffemodel")


def test_the_mean_picture_of_caffe(tmp_path):
    picture = RANDOM.uniform(90, 130, (3, 5, 6)).astype(np.float32)
    content = caffemodel([layer("mean", "Scale", "data", blobs=[picture])], old=False)
    (tmp_path / "mean.binaryproto").write_bytes(content[content.index(b"\x3a\x05\x0a\x03") :])  # from the shape on
    np.testing.assert_array_equal(caffe.read_mean(tmp_path / "mean.binaryproto"), picture.transpose(1, 2, 0))
    (tmp_path / "mean.binaryproto").write_bytes(content[:20])
    with pytest.raises(DataError, match="mean.binaryproto"):
        caffe.read_mean(tmp_path / "mean.binaryproto")


@pytest.mark.parametrize("size", [(256, 256), (300, 500), (480, 333), (120, 90), (257, 300)])
def test_the_five_steps_as_layers_are_the_five_steps(size):
    image = Image.fromarray(RANDOM.integers(0, 255, (9, 7, 3), dtype=np.uint8)).resize(
        size[::-1], Image.Resampling.BICUBIC
    )
    picture = np.asarray(image, np.float32) / 255 + RANDOM.uniform(0, 0.1, (*size, 3)).astype(np.float32)
    body = keras.Input((224, 224, 3))
    model = embed(keras.Model(body, keras.layers.Identity()(body)), size)
    expected = five_steps(picture)
    assert expected.shape == (224, 224, 3)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(np.asarray(model(picture[None]))[0], expected, atol=2e-3)  # of 255


def test_the_five_steps_by_hand():
    picture = RANDOM.uniform(0, 1, (256, 259, 3)).astype(np.float32)  # of which step 1 changes nothing
    bgr = picture[16:240, 18:242, ::-1] * np.float32(255)  # ceil(35 / 2) is 18
    np.testing.assert_allclose(five_steps(picture), bgr - np.float32(MEAN_BGR), atol=1e-3)
    mean = RANDOM.uniform(90, 130, (224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(five_steps(picture, mean), bgr - mean, atol=1e-3)


def test_the_shorter_side_and_the_middle():
    assert resized_size((512, 640), 256) == (256, 320)
    assert resized_size((375, 500), 256) == (256, 341)  # 341.33
    assert resized_size((100, 50), 256) == (512, 256)
    assert shorter_side(np.zeros((40, 30, 3), np.float32), 60).shape == (80, 60, 3)
    np.testing.assert_array_equal(centre_crop(np.arange(5)[:, None] * np.ones((1, 5)), 2)[:, 0], [2, 3])


def test_embedded_networks_can_be_stored(tmp_path):
    body = keras.Input((224, 224, 3))
    model = embed(keras.Model(body, keras.layers.Identity()(body)), (260, 300))
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    pictures = RANDOM.uniform(0, 1, (2, 260, 300, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(again(pictures)), np.asarray(model(pictures)))


def test_what_the_five_steps_cannot_take():
    with pytest.raises(DataError, match=r"got an array \(5, 5\), expected an image \[H, W, 3\]"):
        five_steps(np.zeros((5, 5), np.float32))
    with pytest.raises(ConfigError, match="a crop of 300 from a side of 256, expected at most the side"):
        five_steps(np.zeros((5, 5, 3), np.float32), size=300)
    with pytest.raises(ConfigError, match=r"a mean of shape \(2,\), expected three numbers or an image"):
        five_steps(np.zeros((5, 5, 3), np.float32), (1, 2), side=5, size=5)


def test_protobufs_text():
    message = parse_text(
        """# a comment
        name: "it's" input: 'a"b' input: "tab\\t" dim: [1, 0x10, -3] x: 1e-3f, y: .5; z: -inf
        block { a: true } block: < b: AVE > empty {}""",
        "x",
    )
    assert message.text("name") == "it's"
    assert message.texts("input") == ('a"b', "tab\t")
    assert message.integers("dim") == (1, 16, -3)
    assert (message.number("x", 0), message.number("y", 0), message.number("none", 7)) == (1e-3, 0.5, 7)
    assert message.children("block")[0].flag("a", False)
    assert message.children("block")[1].text("b") == "AVE"
    assert message.child("empty").fields == {}
    with pytest.raises(DataError, match='x: name is "it\'s", expected a whole number'):
        message.integer("name", 0)
    with pytest.raises(DataError, match="x: block is a block in braces, expected a number"):
        message.number("block", 0)
