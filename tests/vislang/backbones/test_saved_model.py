"""Backbones in TensorFlow's own formats, written by the tests: SavedModel folders, hub: and TFLite."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vislang.backbones.registry import load_backbone
from vislang.core.errors import ConfigError, DataError
from vislang.features.regions.detector import DetectorProposer
from vislang.images.preprocess import find_preprocessing

PREPROCESSING = "squash-64-unit/v1"
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 64, 64, 3)).astype(np.float32)


class Network(tf.Module):
    """One strided convolution with a variable, as a signature with one or two outputs."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(seed).normal(size=(8, 8, 3, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 64, 64, 3], tf.float32)])
    def both(self, image):
        grid = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 16, "VALID"))
        return {"features": grid, "sum": tf.reduce_sum(grid, (1, 2))}

    @tf.function(input_signature=[tf.TensorSpec([None, 64, 64, 3], tf.float32)])
    def vector(self, image):
        return tf.reduce_mean(self.both(image)["features"], (1, 2))


def saved(path, method="both", seed=0, signature="serving_default") -> str:
    network = Network(seed)
    tf.saved_model.save(network, str(path), signatures={signature: getattr(network, method)})
    return str(path)


def expected_grid(seed: int = 0) -> np.ndarray:
    network = Network(seed)
    return network.both(IMAGES)["features"].numpy()


@pytest.mark.parametrize("prefix", ["", "hub:"])
def test_a_saved_model_folder(tmp_path, prefix):
    backbone = load_backbone(prefix + saved(tmp_path / "net"), preprocessing=PREPROCESSING)
    assert backbone.layers == {"features": (4, 4, 5), "sum": (5,), "grid": (4, 4, 5), "pooled": (5,)}
    out = backbone.encode(IMAGES, ["grid", "pooled", "sum"])
    np.testing.assert_allclose(out["grid"], expected_grid(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out["pooled"], expected_grid().mean(axis=(1, 2)), rtol=1e-5, atol=1e-5)


def test_a_vector_is_taken_as_pooled(tmp_path):
    backbone = load_backbone(saved(tmp_path / "net", "vector"), preprocessing=PREPROCESSING)
    assert backbone.layers["pooled"] == (5,)
    with pytest.raises(ConfigError, match="unknown layer of backbone .* 'grid'; expected one of: output_0, pooled"):
        backbone.encode(IMAGES, ["grid"])


def test_what_keras_exports(tmp_path):
    image = keras.Input((64, 64, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 8, 8)(image))
    model.export(tmp_path / "net", verbose=False)
    backbone = load_backbone(f"hub:{tmp_path / 'net'}", preprocessing=PREPROCESSING)
    expected = keras.ops.convert_to_numpy(model(IMAGES))
    np.testing.assert_allclose(backbone.encode(IMAGES, ["grid"])["grid"], expected, rtol=1e-5, atol=1e-5)


def test_fingerprints_follow_the_variables(tmp_path):
    first = load_backbone(saved(tmp_path / "a"), preprocessing=PREPROCESSING)
    again = load_backbone("hub:" + saved(tmp_path / "b"), preprocessing=PREPROCESSING)
    other = load_backbone(saved(tmp_path / "c", seed=1), preprocessing=PREPROCESSING)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_network_of_constants_has_a_fingerprint_too(tmp_path):
    def save(name, number):
        module = tf.Module()
        module.run = tf.function(
            lambda image: tf.reduce_mean(image, (1, 2)) * number, [tf.TensorSpec([None, 64, 64, 3], tf.float32)]
        )
        tf.saved_model.save(module, str(tmp_path / name), signatures={"serving_default": module.run})
        return load_backbone(str(tmp_path / name), preprocessing=PREPROCESSING).fingerprint

    assert save("a", 2.0) == save("b", 2.0) != save("c", 3.0)


def test_hub_modules_see_values_from_0_to_1_in_their_own_size(tmp_path):
    assert load_backbone("hub:" + saved(tmp_path / "net")).preprocessing.name == "squash-64-unit/v1"


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"takes float32 \(None, 64, 64, 3\), preprocessing squash-224-unit/v1 makes float32 224"
    ):
        load_backbone(saved(tmp_path / "net"), preprocessing="squash-224-unit/v1")


def test_a_network_that_fails_is_refused(tmp_path):
    module = tf.Module()
    module.run = tf.function(lambda image: tf.ensure_shape(image, [None, 9, 9, 3]), [tf.TensorSpec(None, tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.run})
    with pytest.raises(DataError, match="net: does not take images of preprocessing squash-64-unit/v1"):
        load_backbone(str(tmp_path / "net"), preprocessing=PREPROCESSING)


def test_what_cannot_be_loaded(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: cannot be loaded .*expected a folder with saved_model.pb"):
        load_backbone(str(tmp_path / "empty"), preprocessing=PREPROCESSING)
    with pytest.raises(DataError, match=r"cannot be loaded .*check the handle and the network, or give a local folder"):
        load_backbone(f"hub:{tmp_path / 'empty'}", preprocessing=PREPROCESSING)


def test_other_signatures_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has signatures \['train'\], expected one of serving_default"):
        load_backbone(saved(tmp_path / "net", signature="train"), preprocessing=PREPROCESSING)
    module = tf.Module()
    spec = tf.TensorSpec([None, 64, 64, 3], tf.float32)
    module.run = tf.function(lambda a, b: {"x": a + b}, [spec, spec])
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"serving_default": module.run})
    with pytest.raises(DataError, match=r"signature takes \['a', 'b'\], expected one image input"):
        load_backbone(str(tmp_path / "two"), preprocessing=PREPROCESSING)


def tflite(path, function) -> str:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    path.write_bytes(converter.convert())
    return str(path)


def test_a_tflite_file(tmp_path):
    network = Network()
    fixed = tf.function(lambda image: network.both(image)["features"], [tf.TensorSpec([1, 64, 64, 3], tf.float32)])
    backbone = load_backbone(tflite(tmp_path / "net.tflite", fixed), preprocessing=PREPROCESSING)
    np.testing.assert_allclose(backbone.encode(IMAGES, ["grid"])["grid"], expected_grid(), rtol=1e-4, atol=1e-4)
    assert len(backbone.fingerprint) == 64


def test_tflite_files_that_do_not_fit(tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"bad.tflite: cannot be loaded .*expected a .tflite file"):
        load_backbone(str(tmp_path / "bad.tflite"), preprocessing=PREPROCESSING)
    integers = tf.function(lambda image: tf.cast(image, tf.float32) + 1, [tf.TensorSpec([1, 64, 64, 3], tf.int32)])
    with pytest.raises(DataError, match=r"input is int32 .*, expected float32 \[1, S, S, 3\]"):
        load_backbone(tflite(tmp_path / "int.tflite", integers), preprocessing=PREPROCESSING)


def test_the_preprocessing_is_kept(tmp_path):
    backbone = load_backbone(saved(tmp_path / "net"), preprocessing=PREPROCESSING)
    assert backbone.preprocessing == find_preprocessing(PREPROCESSING)


@pytest.mark.parametrize("place", ["hub:http://example.org/net", "hub:ftp://example.org/net", "hub:gs://net"])
def test_modules_are_fetched_by_https_only(place, monkeypatch):
    import tensorflow_hub

    monkeypatch.setattr(tensorflow_hub, "load", never)
    with pytest.raises(DataError, match="expected https://"):
        load_backbone(place)
    with pytest.raises(DataError, match="expected https://"):
        DetectorProposer("detector", place)


def never(*args, **options):
    raise AssertionError(f"loads {args}")
