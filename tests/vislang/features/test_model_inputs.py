"""What a trained model reads of images: layers of several backbones and preprocessings side by side."""

import numpy as np
from PIL import Image

from vislang.backbones.registry import load_backbone
from vislang.features.model_inputs import encode_layers


def test_layers_of_two_backbones_are_encoded_side_by_side():
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)) for _ in range(3)]
    small = load_backbone("compact_scenes")
    large = load_backbone("compact")
    layers = ["pooled", "compact::pooled", "compact::grid"]
    weights = dict(zip(layers, [small.fingerprint, large.fingerprint, large.fingerprint], strict=True))
    (batch,) = encode_layers(images, layers, {"name": "compact_scenes", "weights": weights})
    assert batch.features["pooled"].shape == (3, 128)
    assert batch.features["compact::pooled"].shape == (3, 512)
    (alone,) = encode_layers(images, ["pooled"], {"name": "compact", "weights": {}})
    np.testing.assert_array_equal(batch.features["compact::pooled"], alone.features["pooled"])
    np.testing.assert_allclose(
        batch.features["compact::grid"].mean(axis=(1, 2)), alone.features["pooled"], rtol=1e-3, atol=1e-4
    )
