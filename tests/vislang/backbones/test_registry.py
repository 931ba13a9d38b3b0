"""The table of backbones, where weights come from, fingerprints, and backbones from elsewhere."""

import re
import warnings

import keras
import numpy as np
import pytest

from vislang.backbones.registry import BACKBONES, default_preprocessing, full_preprocessing_name, load_backbone
from vislang.backbones.resize import at_input_size
from vislang.backbones.weights import fill_randomly, fingerprint
from vislang.core.errors import ConfigError, DataError
from vislang.images.preprocess import PREPROCESSINGS


def images(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def tiny_network(side: int = 64, seed: int = 0) -> keras.Model:
    image = keras.Input((side, side, 3))
    hidden = keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="conv_a")(image)
    hidden = keras.layers.Conv2D(6, 3, strides=4, activation="relu", name="conv_b")(hidden)
    scores = keras.layers.Dense(3, name="scores")(keras.layers.GlobalAveragePooling2D()(hidden))
    model = keras.Model(image, scores)
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(size=weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def mobilenet():
    return load_backbone("mobilenet_0.75", weights="random")


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """Make every place where weights could be found empty, and downloads fail at once."""
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    monkeypatch.setattr("vislang.core.bundled_models.PRETRAINED", tmp_path / "none")

    def refuse(*args, **options):
        raise RuntimeError("URL fetch failure\non purpose")

    monkeypatch.setattr("keras.src.applications.mobilenet.file_utils.get_file", refuse)


def test_every_row_of_the_table_is_complete():
    for name, row in BACKBONES.items():
        assert default_preprocessing(name) == row.preprocessing
        assert PREPROCESSINGS[row.preprocessing].size == row.size
        assert row.layers["pooled"].keras_layer == row.layers["grid"].keras_layer
        assert row.layers["pooled"].shape == row.layers["grid"].shape[-1:]
        assert row.files
    assert default_preprocessing("hub:x") is None


@pytest.mark.parametrize("name", ["mobilenet_v2", "compact_scenes"])
def test_shapes_of_small_networks(name):
    backbone = load_backbone(name, weights="random")
    assert backbone.layers == {layer: where.shape for layer, where in BACKBONES[name].layers.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "inception_v3", "efficientnet_v2_b0", "vgg16", "vgg19"])
def test_shapes_of_large_networks(name):
    row = BACKBONES[name]
    model = row.builder(name == "vgg16", row.size)  # its classifier alone makes half a gigabyte; one VGG is enough
    for layer, where in row.layers.items():
        if layer == "fc7" and name == "vgg19":
            continue
        part = keras.Model(model.input, model.get_layer(where.keras_layer).output)
        shape = tuple(part.compute_output_shape((1, row.size, row.size, 3)))[1:]
        assert (shape[-1:] if layer == "pooled" else shape) == where.shape


def test_all_layers_come_from_one_forward_pass(mobilenet):
    layers = ["grid", "pooled", "layer:conv_pw_3_relu", "conv_pw_3_relu", "predictions"]
    out = mobilenet.encode(images(2, 224), layers)
    assert list(out) == layers
    assert all(value.dtype == np.float32 for value in out.values())
    assert out["grid"].shape == (2, 7, 7, 768)
    np.testing.assert_allclose(out["pooled"], out["grid"].mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(out["layer:conv_pw_3_relu"], out["conv_pw_3_relu"])
    expected = keras.ops.convert_to_numpy(mobilenet.model(images(2, 224), training=False))
    np.testing.assert_allclose(out["predictions"], expected, rtol=1e-4, atol=1e-6)


def test_random_weights_are_the_same_every_time(mobilenet):
    keras.utils.set_random_seed(5)
    assert load_backbone("mobilenet_0.75", weights="random").fingerprint == mobilenet.fingerprint


def test_the_fingerprint_depends_on_the_arrays_not_the_file(mobilenet, tmp_path, no_weights, monkeypatch):
    mobilenet.model.save_weights(tmp_path / "mobilenet_7_5_224_tf.weights.h5")
    mobilenet.model.save(tmp_path / "whole.keras")
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path))
    from_folder = load_backbone("mobilenet_0.75")
    from_model = load_backbone("mobilenet_0.75", weights=tmp_path / "whole.keras")
    assert mobilenet.fingerprint == from_folder.fingerprint == from_model.fingerprint
    other = keras.models.load_model(tmp_path / "whole.keras", compile=False)
    kernel = other.get_layer("conv1").kernel
    kernel.assign(kernel + 1e-6)
    other.save(tmp_path / "other.keras")
    assert load_backbone("mobilenet_0.75", weights=tmp_path / "other.keras").fingerprint != mobilenet.fingerprint


def test_the_classifier_takes_no_part_in_the_fingerprint(mobilenet, tmp_path):
    headless = BACKBONES["mobilenet_0.75"].builder(False, 224)
    cut = {layer.name: layer for layer in mobilenet.model.layers}
    for layer in headless.layers[1:]:
        layer.set_weights(cut[layer.name].get_weights())
    headless.save_weights(tmp_path / "x_no_top.weights.h5")
    headless.save(tmp_path / "x.keras")
    assert load_backbone("mobilenet_0.75", weights=tmp_path / "x.keras").fingerprint == mobilenet.fingerprint


def test_fingerprints_see_shape_type_and_order():
    ones = np.ones(4, np.float32)
    different = [
        [ones],
        [ones.reshape(2, 2)],
        [ones.astype(np.float64)],
        [ones, ones],
        [ones * 0, ones],
        [ones, ones * 0],
    ]
    assert len({fingerprint(arrays) for arrays in different}) == len(different)
    assert fingerprint([np.ones((2, 3)).T]) == fingerprint([np.ones((3, 2))])


def test_no_weights_anywhere_names_all_three_places(no_weights):
    with pytest.raises(
        DataError,
        match=r"no weights for backbone mobilenet_0.75: no path was given, VISLANG_WEIGHTS "
        r"\(not set\) holds none of mobilenet_7_5_224_tf.weights.h5.*, and the Keras download failed "
        r"\(URL fetch failure on purpose\); give a weights file or set VISLANG_WEIGHTS",
    ) as raised:
        load_backbone("mobilenet_0.75")
    assert "\n" not in str(raised.value)


def test_a_backbone_without_download_says_so(no_weights):
    with pytest.raises(DataError, match="and Keras has no download of it; give a weights file"):
        load_backbone("squeezenet_v1.1")


def test_misplaced_weights_are_named(no_weights, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="weights nowhere.h5 of backbone mobilenet_v2: no such file"):
        load_backbone("mobilenet_v2", weights="nowhere.h5")
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="VISLANG_WEIGHTS is .*nowhere, expected a folder; correct it or unset it"):
        load_backbone("mobilenet_v2")


def test_weights_of_another_network_are_refused(tmp_path):
    tiny_network().save(tmp_path / "tiny.keras")
    tiny_network().save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(DataError, match=r"not of backbone mobilenet_v2: input \(64, 64, 3\), expected \(224, 224, 3\)"):
        load_backbone("mobilenet_v2", weights=tmp_path / "tiny.keras")
    with pytest.raises(DataError, match=r"tiny.weights.h5: not the weights of compact_scenes"):
        load_backbone("compact_scenes", weights=tmp_path / "tiny.weights.h5")
    with pytest.raises(DataError, match=r"backbone squeezenet_v1.1 needs the whole model, expected a .keras file"):
        load_backbone("squeezenet_v1.1", weights=tmp_path / "tiny.weights.h5")


def test_damaged_models_are_refused(tmp_path):
    (tmp_path / "x.keras").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"x.keras: not a Keras model that can be loaded safely"):
        load_backbone("mobilenet_v2", weights=tmp_path / "x.keras")


def test_models_that_hold_code_are_refused(tmp_path):
    image = keras.Input((64, 64, 3))
    keras.Model(image, keras.layers.Lambda(lambda x: x * 2, output_shape=(64, 64, 3))(image)).save(tmp_path / "x.keras")
    with pytest.raises(DataError, match="not a Keras model that can be loaded safely .*Lambda"):
        load_backbone(str(tmp_path / "x.keras"), preprocessing="squash-64-tf/v1")


def test_unknown_names_and_settings():
    with pytest.raises(ConfigError, match=r"unknown backbone 'mobilenet_v3'; did you mean mobilenet_v2.*see --list"):
        load_backbone("mobilenet_v3")
    with pytest.raises(ConfigError, match="unknown preprocessing 'x'"):
        load_backbone("compact_scenes", weights="random", preprocessing="x")
    with pytest.raises(
        ConfigError, match=r"backbone squeezenet_v1.1 exists only as the file .*cannot have random weights"
    ):
        load_backbone("squeezenet_v1.1", weights="random")
    with pytest.raises(ConfigError, match="weights go with a backbone of the table, got 'hub:x'"):
        load_backbone("hub:x", weights="y")


def test_wrong_layers_and_images(mobilenet):
    with pytest.raises(
        ConfigError, match=r"unknown layer of backbone mobilenet_0.75 'conv_pw_13_rel'; did you mean conv_pw_13"
    ):
        mobilenet.encode(images(1, 224), ["conv_pw_13_rel"])
    with pytest.raises(ConfigError, match=r"got images \[1, 64, 64, 3\], expected side 224"):
        mobilenet.encode(images(1, 64), ["pooled"])
    with pytest.raises(ConfigError, match=r"got images \[64, 64, 3\], expected \[B, S, S, 3\]"):
        mobilenet.encode(images(1, 64)[0], ["pooled"])


def test_a_network_is_rebuilt_for_the_size_of_another_preprocessing(tmp_path):
    path = tmp_path / "tiny.keras"
    tiny_network().save(path)
    own, larger = (load_backbone(str(path), preprocessing=f"squash-{size}-tf/v1") for size in (64, 96))
    assert (own.layers["grid"], larger.layers["grid"]) == ((4, 4, 6), (6, 6, 6))
    assert larger.fingerprint == own.fingerprint
    batch = images(2, 96)
    corner = larger.encode(batch, ["grid"])["grid"][:, :4, :4]  # without padding, a cell sees its own patch alone
    np.testing.assert_allclose(own.encode(batch[:, :64, :64], ["grid"])["grid"], corner, atol=1e-5)


def test_a_network_that_flattens_its_map_keeps_its_size():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    with pytest.raises(ConfigError, match=r"takes images of \(8, 8\) and cannot be rebuilt for 64"):
        at_input_size("odd", keras.Sequential(layers), 64)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_whole_model_from_a_file(tmp_path, suffix):
    model, path = tiny_network(), tmp_path / f"tiny{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls .h5 a legacy format
        model.save(path)
    backbone = load_backbone(str(path), preprocessing="squash-64-tf/v1")
    assert backbone.layers == {"pooled": (6,), "grid": (4, 4, 6)}
    out = backbone.encode(images(3, 64), ["grid", "scores"])
    expected = keras.ops.convert_to_numpy(model(images(3, 64)))
    np.testing.assert_allclose(out["scores"], expected, rtol=1e-5, atol=1e-5)


def test_files_that_are_no_whole_model(tmp_path):
    tiny_network().save(tmp_path / "tiny.keras")
    with pytest.raises(ConfigError, match=r"unknown preprocessing for .*tiny.keras; pass --preprocessing, such as"):
        load_backbone(str(tmp_path / "tiny.keras"))
    tiny_network().save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(ConfigError, match="is no whole model, expected .keras, .h5, .tflite or a SavedModel folder"):
        load_backbone(str(tmp_path / "tiny.weights.h5"), preprocessing="squash-64-tf/v1")
    words = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    words.save(tmp_path / "words.keras")
    with pytest.raises(ConfigError, match="is no image network: expected one image input and a layer with output"):
        load_backbone(str(tmp_path / "words.keras"), preprocessing="squash-64-tf/v1")


def test_a_layer_with_several_outputs_is_no_feature_layer(tmp_path):
    image = keras.Input((64, 64, 3))
    grid = keras.layers.Conv2D(2, 3)(image)
    halves = keras.layers.LSTM(3, return_state=True, name="several")(keras.layers.Reshape((62, 124))(grid))
    keras.Model(image, halves[0]).save(tmp_path / "x.keras")
    backbone = load_backbone(str(tmp_path / "x.keras"), preprocessing="squash-64-tf/v1")
    with pytest.raises(ConfigError, match=r"layer several of backbone .* has 3 outputs, expected one"):
        backbone.encode(images(1, 64), ["several"])


def test_random_filling_is_scaled_to_the_fan_in():
    model = fill_randomly(keras.Sequential([keras.Input((400,)), keras.layers.Dense(300)]))
    assert model.get_weights()[0].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not model.get_weights()[1].any()


def test_a_bare_size_is_the_own_preprocessing_at_that_size():
    assert full_preprocessing_name("mobilenet_v2", "320") == "squash-320-tf/v1"
    assert full_preprocessing_name("vgg19", "320") == re.sub("224", "320", default_preprocessing("vgg19"))
    assert full_preprocessing_name("vgg19", None) == default_preprocessing("vgg19")
    assert full_preprocessing_name("elsewhere", None) is None
    with pytest.raises(ConfigError, match="unknown preprocessing 'squash-321-tf/v1'"):
        full_preprocessing_name("mobilenet_v2", "321")
    with pytest.raises(ConfigError, match="has no preprocessing of its own; write its name"):
        full_preprocessing_name("elsewhere", "320")
