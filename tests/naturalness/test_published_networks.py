"""The original's CNNs with random weights: taps before the ReLU, several weighted layers, maps, reconstructions."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from naturalness import map as map_command
from naturalness import train
from naturalness.config import CONFIGS
from naturalness.feature_maps import FrozenLayers
from naturalness.model import VisualLanguageModel
from preimage import invert
from vislang.core.errors import ConfigError

PHOTOGRAPH = np.random.default_rng(0).integers(0, 255, (375, 500, 3)).astype(np.uint8)


@pytest.fixture
def photographs(tmp_path):
    (tmp_path / "photographs").mkdir()
    for number in range(3):
        pixels = np.roll(PHOTOGRAPH[::25, ::25], number, axis=0)
        Image.fromarray(pixels).resize((500, 375)).save(tmp_path / "photographs" / f"{number}.png")
    return tmp_path / "photographs"


def test_alexnet_is_read_before_its_relus_at_any_size():
    cnn = FrozenLayers("caffe:AlexNet", ["data", "conv1", "conv5"], weights="random")
    assert cnn.channels == (3, 96, 256)
    assert cnn.strides == (1, 4, 16)
    maps = cnn.maps(PHOTOGRAPH)
    assert [one.shape[:2] for one in maps.values()] == [(375, 500), (92, 123), (23, 30)]
    assert all(one.min() < 0 for one in maps.values())
    reddest = PHOTOGRAPH[..., 0].argmax()
    assert maps["data"][..., 2].argmax() == reddest, "Caffe's channels are BGR"


def test_maps_of_networks_that_lose_cells_are_computed_whole():
    cnn = FrozenLayers("caffe:AlexNet", ["conv2"], weights="random")
    large = np.tile(PHOTOGRAPH, (3, 2, 1))
    (maps,) = cnn.maps(large).values()
    np.testing.assert_allclose(maps, np.asarray(cnn.tensors(np.float32(large)[None])["conv2"][0]), atol=1e-2)
    with pytest.raises(ConfigError, match="loses cells at the edges; expected mirror_padding=0, got 32"):
        FrozenLayers("caffe:AlexNet", ["conv2"], mirrored=32, weights="random")


def test_caffe_networks_need_a_file_and_their_own_size():
    with pytest.raises(ConfigError, match=r"comes without weights; expected --weights FILE\.caffemodel"):
        FrozenLayers("caffe:AlexNet", ["conv1"])
    with pytest.raises(ConfigError, match="unknown Caffe network 'AlexNit'; did you mean AlexNet"):
        FrozenLayers("caffe:AlexNit", ["conv1"], weights="random")


@pytest.mark.slow
def test_vgg_19_is_read_before_its_relus_at_any_size():
    cnn = FrozenLayers("vgg19", ["data", "pre:block1_conv2", "block5_conv4", "pre:block5_conv4"], weights="random")
    assert cnn.channels == (3, 64, 512, 512)
    maps = cnn.maps(PHOTOGRAPH)
    assert maps["pre:block5_conv4"].shape == (23, 31, 512)  # as the original's code has it for a picture of 500 x 375
    assert maps["pre:block5_conv4"].min() < 0 <= maps["block5_conv4"].min()
    np.testing.assert_allclose(np.maximum(maps["pre:block5_conv4"], 0), maps["block5_conv4"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "layers"), [("caffe:AlexNet", ("conv3", "conv5")), ("vgg19", ("pre:block4_conv4", "pre:block5_conv4"))]
)
def test_a_model_of_several_layers_maps_and_reconstructs(backbone, layers, photographs, tmp_path):
    """Two of the six layers: scans through all cells of the shallow ones take minutes."""
    experts = []
    for layer, gamma in zip(layers, (0.001, 0.0001), strict=True):
        experts.append({"layer": layer, "context": "scan", "errors": "square", "gamma": gamma})
    network = ["--backbone", backbone, "--weights", "random"]
    words = ["--images", str(photographs), *network, "--preset", "kato-vgg19", "--out", str(tmp_path / "run")]
    for setting in ("updates=2", "save_every=1", "drop_every=1", "learning_rate=0.01"):
        words += ["--set", setting]
    assert train.main([*words, "--set", f"experts={json.dumps(experts)}"]) == 0
    picture = str(photographs / "0.png")
    words = ["--model", str(tmp_path / "run"), "--weights", "random", "--images", picture]
    assert map_command.main([*words, "--out", str(tmp_path / "map.png")]) == 0
    assert Image.open(tmp_path / "map.png").size == (500, 375)
    words = ["--model", backbone, "--weights", "random", "--images", picture, "--layer", "scores", "--preset", "kato"]
    words += ["--set", "iterations=2", "--prior-model", str(tmp_path / "run"), "--prior-weights", "random"]
    assert invert.main([*words, "--out", str(tmp_path / "inverted.png")]) == 0


def test_the_weights_of_layers_are_those_of_the_sum():
    experts = CONFIGS["kato-alexnet"].experts
    assert json.dumps([one.gamma for one in experts]) == "[0.0, 1.0, 0.1, 0.01, 0.001, 0.0001]"
    channels = (3, 4, 4, 4, 4, 4)
    model = VisualLanguageModel(CONFIGS["kato-alexnet"], channels)
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(1)
    maps = {}
    for number, (one, width) in enumerate(zip(experts, channels, strict=True)):
        maps[one.layer] = random.normal(size=(2, 4, 5, width)).astype(np.float32) * (number + 1)
    losses = [np.asarray(one(maps[one.expert.layer])) for one in model.experts]
    expected = sum(one.gamma * loss for one, loss in zip(experts, losses, strict=True))
    np.testing.assert_allclose(model(maps), expected, rtol=1e-5)
