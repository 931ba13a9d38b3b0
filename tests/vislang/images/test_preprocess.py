"""Numbers of preprocessing against a hand computation, and geometry against a plain resize and crop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vislang.core.errors import ConfigError, DataError
from vislang.images.preprocess import PREPROCESSINGS, find_preprocessing, prepare


def picture(width: int, height: int) -> np.ndarray:
    coarse = np.random.default_rng(width * height).integers(0, 255, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("values", "expected"),
    [  # of the pixel R 255, G 51, B 0, by hand
        ("raw", (255, 51, 0)),
        ("unit", (1.0, 0.2, 0.0)),
        ("tf", (1.0, -0.6, -1.0)),
        ("bgr-mean", (-103.939, 51 - 116.779, 255 - 123.68)),
        ("bgr-104", (-104, 51 - 117, 255 - 123)),
        ("imagenet", ((1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, -0.406 / 0.225)),
    ],
)
@pytest.mark.parametrize("geometry", ["squash", "center-crop"])
def test_values_by_hand(values, expected, geometry):
    flat = np.full((30, 40, 3), (255, 51, 0), np.uint8)
    result = prepare(flat, f"{geometry}-224-{values}/v1")
    assert result.shape == (224, 224, 3)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.broadcast_to(np.float32(expected), result.shape), rtol=1e-6, atol=1e-6)


def test_squash_is_one_antialiased_bilinear_resize():
    source = picture(500, 375)
    resized = Image.fromarray(source).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepare(source, "squash-224-raw/v1"), np.asarray(resized, np.float32))


@pytest.mark.parametrize(("width", "height"), [(512, 256), (256, 512), (640, 480), (300, 301)])
def test_center_crop_is_the_middle_of_shorter_side_256(width, height):
    source = picture(width, height)
    scale = 256 / min(width, height)
    whole = Image.fromarray(source).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = whole.width // 2 - 112, whole.height // 2 - 112
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32)
    # The side that is not 256 is rounded to whole pixels by the two steps, so edges may move by half a pixel.
    assert np.abs(prepare(source, "center-crop-224-raw/v1") - expected).mean() < 1.0


def test_crop_without_scaling_takes_pixels_as_they_are():
    source = picture(400, 256)
    np.testing.assert_array_equal(prepare(source, "center-crop-224-raw/v1"), source[16:240, 88:312].astype(np.float32))


@pytest.mark.parametrize("name", ["squash-224-tf/v1", "center-crop-224-bgr-mean/v1"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 20_000, 3), (20_000, 1, 3)])
def test_extreme_shapes_cost_no_memory(name, shape):
    assert np.isfinite(prepare(np.zeros(shape, np.uint8), name)).all()


def test_a_jpeg_gives_the_same_numbers_as_its_pixels(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(224, 224)).save(path, quality=95)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(prepare(path, "squash-224-tf/v1"), prepare(pixels, "squash-224-tf/v1"))


def test_a_large_jpeg_decoded_at_a_fraction_stays_close(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(2000, 1500)).save(path, quality=95)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert np.abs(prepare(path, "squash-224-raw/v1") - prepare(pixels, "squash-224-raw/v1")).max() <= 3


def test_names_say_what_the_preprocessing_does():
    for name, preprocessing in PREPROCESSINGS.items():
        assert preprocessing.name == name
        assert name.startswith(f"{preprocessing.geometry}-{preprocessing.size}-")
        assert preprocessing.shorter_side >= preprocessing.size
    assert find_preprocessing("center-crop-224-tf/v1").shorter_side == 256
    assert find_preprocessing("center-crop-227-bgr-mean/v1").shorter_side == 256


def test_an_unknown_preprocessing_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown preprocessing 'squash-224-tf/v2'; did you mean .*squash-224-tf/v1"):
        prepare(np.zeros((2, 2), np.uint8), "squash-224-tf/v2")


def test_bad_pictures_are_data_errors():
    with pytest.raises(DataError, match="not an image"):
        prepare(b"hello", "squash-64-tf/v1")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["squash-64-tf/v1", "center-crop-64-tf/v1"]))
def test_any_size_gives_values_in_range(width, height, name):
    source = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    result = prepare(source, name)
    assert result.shape == (64, 64, 3)
    assert result.min() >= -1
    assert result.max() <= 1
