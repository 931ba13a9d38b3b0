"""Networks that flatten their map: other sizes without their dense layers, fc7, and the mean over ten crops."""

import keras
import numpy as np
import pytest
from PIL import Image

from vislang.backbones import registry
from vislang.backbones.registry import Backbone, FeatureLayer, load_backbone
from vislang.core.errors import ConfigError
from vislang.features import extract
from vislang.features.cache.reader import open_cache
from vislang.features.model_inputs import encode_layers
from vislang.features.pipeline import encode_images
from vislang.features.reading_options import ReadingOptions
from vislang.images.preprocess import find_preprocessing, prepare, prepare_ten_crops, seen_part

CENTRE, TEN = "center-crop-64-bgr-mean/v1", "ten-crop-64-bgr-mean/v1"


def small_vgg(classifier: bool, side: int) -> keras.Model:
    """VGG in small: convolutions, a flattened map, two dense layers and classes."""
    image = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(6, 3, 4, padding="same", activation="relu", name="block1")(image)
    grid = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="block2")(x)
    if not classifier:
        return keras.Model(image, grid)
    x = keras.layers.Flatten(name="flatten")(grid)
    x = keras.layers.Dense(10, activation="relu", name="fc1")(x)
    x = keras.layers.Dense(12, activation="relu", name="fc2")(x)
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="classes")(x))


@pytest.fixture(autouse=True)
def vgg(monkeypatch):
    """A row of the table like those of vgg16 and vgg19."""
    layers = {
        "pooled": FeatureLayer("block2", (8,)),
        "grid": FeatureLayer("block2", (8, 8, 8)),
        "fc7": FeatureLayer("fc2", (12,)),
    }
    row = Backbone("squash-64-bgr-mean/v1", layers, ("small_vgg.h5",), small_vgg)
    monkeypatch.setitem(registry.BACKBONES, "small_vgg", row)


def loaded(preprocessing=None):
    return load_backbone("small_vgg", weights="random", preprocessing=preprocessing)


def picture(width=90, height=70) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_larger_images_are_seen_without_the_dense_layers():
    larger = loaded("96")
    assert larger.layers == {"pooled": (8,), "grid": (12, 12, 8)}
    batch = prepare(picture(), "squash-96-bgr-mean/v1")[None]
    found = larger.encode(batch, ["pooled", "grid"])
    np.testing.assert_allclose(found["grid"].mean(axis=(1, 2)), found["pooled"], rtol=1e-5)
    own = loaded().model
    same = small_vgg(True, 64)
    same.set_weights(own.get_weights())
    x = batch
    for name in ("block1", "block2"):
        x = same.get_layer(name)(x)
    np.testing.assert_allclose(found["grid"], x, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="unknown layer of backbone small_vgg 'fc7'"):
        larger.encode(batch, ["fc7"])


def test_fc7_is_what_comes_out_of_the_last_relu():
    backbone = loaded(CENTRE)
    assert backbone.layers["fc7"] == (12,)
    (fc7,) = backbone.encode(prepare(picture(), CENTRE)[None], ["fc7"])["fc7"]
    assert fc7.min() == 0.0 < fc7.max()
    names = [layer.name for layer in backbone.model.layers]
    assert names[-2:] == ["fc2", "classes"]


def test_ten_crops_are_corners_middle_and_their_mirror_images():
    preprocessing = find_preprocessing("ten-crop-64-raw/v1")
    assert preprocessing.shorter_side == 73
    pixels = np.asarray(picture(100, 73))  # the shorter side as it comes: crops are copies
    crops = prepare_ten_crops(Image.fromarray(pixels), preprocessing)
    assert crops.shape == (10, 64, 64, 3)
    corners = [pixels[:64, :64], pixels[:64, 36:], pixels[9:, :64], pixels[9:, 36:]]
    np.testing.assert_array_equal(crops[:4], np.array(corners, np.float32))
    middle = prepare(Image.fromarray(pixels), "center-crop-64-raw/v1")
    np.testing.assert_array_equal(crops[4], middle)
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])
    np.testing.assert_array_equal(prepare(Image.fromarray(pixels), preprocessing), middle)
    assert seen_part((100, 73), preprocessing) == (0.0, 0.0, 1.0, 1.0)


def test_vectors_are_means_over_ten_crops():
    images = [picture(), picture(70, 120).rotate(90)]
    backbone = loaded(TEN)
    assert backbone.layers == {"pooled": (8,), "fc7": (12,)}
    found = encode_images(backbone, images, ["fc7", "pooled"])
    plain = loaded(CENTRE)
    for row, image in enumerate(images):
        crops = prepare_ten_crops(image, find_preprocessing(TEN))
        for layer in ("fc7", "pooled"):
            expected = plain.encode(crops, [layer])[layer].mean(axis=0)
            np.testing.assert_allclose(found.features[layer][row], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="layer block2 of backbone small_vgg is a map"):
        encode_images(backbone, images, ["block2"])
    with pytest.raises(ConfigError, match="takes ten crops of an image, got images that are cropped already"):
        backbone.encode(prepare(images[0], TEN)[None], ["fc7"])
    assert backbone.fingerprint == plain.fingerprint


def test_a_trained_model_reads_photographs_as_its_cache_was_made():
    images = [picture(), picture(70, 120)]
    layers = [f"fc7@{CENTRE}", f"fc7@{TEN}"]
    trained_on = {"name": "small_vgg", "weights": {}}
    (batch,) = encode_layers(images, layers, trained_on, ReadingOptions(weights="random"))
    for layer, preprocessing in zip(layers, (CENTRE, TEN), strict=True):
        expected = encode_images(loaded(preprocessing), images, ["fc7"]).features["fc7"]
        np.testing.assert_allclose(batch.features[layer], expected, rtol=1e-5)


def test_regions_are_not_those_of_crops():
    from vislang.features.regions.region_features import with_regions

    with pytest.raises(ConfigError, match="has no map of the image"):
        with_regions(loaded(TEN), ["regions-grid"], None)


def test_the_command_stores_all_three_beside_each_other(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        picture().save(tmp_path / "images" / name)
    words = ["--images", str(tmp_path / "images"), "--cache", str(tmp_path / "f.h5"), "--backbone", "small_vgg"]
    words += ["--weights", "random"]
    assert extract.main([*words, "--layers", "pooled,grid,fc7"]) == 0
    for preprocessing in (CENTRE, TEN):
        assert extract.main([*words, "--layers", "fc7", "--preprocessing", preprocessing]) == 0
    assert extract.main([*words, "--layers", "pooled,grid", "--preprocessing", "96"]) == 0
    with open_cache(tmp_path / "f.h5") as cache:
        rows = [cache.read(f"small_vgg@{one}", "fc7", ["a.png"])[0] for one in (CENTRE, TEN)]
        squashed = cache.read("small_vgg", "fc7", ["a.png"])[0]
    assert np.abs(rows[0] - rows[1]).max() > 0
    assert np.abs(rows[0] - squashed).max() > 0


@pytest.mark.slow
def test_vgg19_itself_at_320_pixels_and_over_ten_crops():
    larger = load_backbone("vgg19", weights="random", preprocessing="320")
    assert larger.layers == {"pooled": (512,), "grid": (20, 20, 512)}
    assert larger.encode(np.zeros((1, 320, 320, 3), np.float32), ["grid"])["grid"].shape == (1, 20, 20, 512)
    ten = load_backbone("vgg19", weights="random", preprocessing="ten-crop-224-bgr-mean/v1")
    assert encode_images(ten, [picture(300, 260)], ["fc7"]).features["fc7"].shape == (1, 4096)
