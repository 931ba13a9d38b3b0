"""What a trained model reads of images: layers of several backbones and preprocessings side by side."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from naturalness.feature_maps import FrozenLayers
from preimage.networks.loading import load_network
from vislang.backbones.registry import load_backbone
from vislang.core.errors import ConfigError
from vislang.features.model_inputs import encode_layers
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions


def test_layers_of_two_backbones_are_encoded_side_by_side():
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)) for _ in range(3)]
    small = load_backbone("compact_scenes")
    large = load_backbone("efficientnet_lite0")
    layers = ["pooled", "efficientnet_lite0::pooled", "efficientnet_lite0::grid"]
    weights = dict(zip(layers, [small.fingerprint, large.fingerprint, large.fingerprint], strict=True))
    (batch,) = encode_layers(images, layers, {"name": "compact_scenes", "weights": weights})
    assert batch.features["pooled"].shape == (3, 128)
    assert batch.features["efficientnet_lite0::pooled"].shape == (3, 1280)
    (alone,) = encode_layers(images, ["pooled"], {"name": "efficientnet_lite0", "weights": {}})
    np.testing.assert_array_equal(batch.features["efficientnet_lite0::pooled"], alone.features["pooled"])
    np.testing.assert_allclose(
        batch.features["efficientnet_lite0::grid"].mean(axis=(1, 2)), alone.features["pooled"], rtol=1e-3, atol=1e-4
    )


@pytest.fixture
def program(tmp_path):
    """A SavedModel, fingerprint and all, that leaves a file where it is called."""
    module = tf.Module()
    module.mark = tf.Variable(1.0)

    def run(image):
        tf.io.write_file(str(tmp_path / "was-run"), "x")
        return tf.reduce_mean(image, (1, 2)) * module.mark

    module.run = tf.function(run, [tf.TensorSpec([None, 64, 64, 3], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.run})
    return tmp_path / "net"


@pytest.mark.parametrize("prefix", ["", "hub:"])
def test_a_program_that_a_checkpoint_names_is_run_only_where_the_user_names_it(program, prefix):
    name = f"{prefix}{program}"
    layer = "pooled@squash-64-unit/v1"
    images = [Image.new("RGB", (64, 64))]
    ran = program.parent / "was-run"
    described = {"name": name, "weights": {}}
    for layers, origin in (([layer], described), ([f"{name}::{layer}"], {"name": "compact_scenes", "weights": {}})):
        with pytest.raises(ConfigError, match=f"is not run unasked; if you trust it: --weights {name}"):
            list(encode_layers(images, layers, origin))
        with pytest.raises(ConfigError, match="is not run unasked"):
            list(encode_layers(images, layers, origin, ReadingOptions(weights="hub:elsewhere")))
    with pytest.raises(ConfigError, match="whose layers can be reached"):
        load_network(name)
    with pytest.raises(ConfigError, match="whose layers can be reached"):
        FrozenLayers(name, ["grid"])
    with pytest.raises(ConfigError, match="unknown proposals 'detector:hub"):
        with_regions(load_backbone("compact_scenes"), [f"regions-detector:hub:{program}"])
    assert not ran.exists()
    (batch,) = encode_layers(images, [layer], described, ReadingOptions(weights=name))
    assert batch.features[layer].shape == (1, 3)
    assert ran.exists()
