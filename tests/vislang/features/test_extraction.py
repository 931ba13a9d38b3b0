"""Features of images from Python, in memory and into a cache."""

import numpy as np
import pytest
from PIL import Image

import vislang
from vislang.core.errors import ConfigError, DataError
from vislang.features.cache.reader import open_cache


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    (folder / "bad.jpg").write_text("hello")
    return folder


def extract(images, **options):
    return vislang.extract_features(images, backbone="compact_scenes", **options)


def test_features_of_images_in_memory(folder):
    found = extract([folder / "1.png", np.zeros((20, 30, 3), np.uint8), b"x"], layers=["pooled", "grid"])
    assert found.names == [str(folder / "1.png"), "1"]
    assert len(found) == 2
    assert [one.source for one in found.skipped] == ["image of 1 bytes"]
    assert found.features["grid"].shape == (2, 8, 8, 128)
    np.testing.assert_allclose(found.features["pooled"], found.features["grid"].mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_features_in_a_cache_are_those_in_memory(folder, tmp_path):
    cache = tmp_path / "c.h5"
    stored = extract(folder, cache=cache)
    assert stored.names == ["0.png", "1.png", "2.png"]
    assert [one.source for one in stored.skipped] == [str(folder / "bad.jpg")]
    computed = extract(folder / "*.png")
    np.testing.assert_allclose(stored.features["pooled"], computed.features["pooled"], rtol=1e-3)
    before = cache.read_bytes()
    extract(folder, cache=cache)
    assert cache.read_bytes() == before
    extract(folder, layers=["grid", "regions-grid"], cache=cache)
    assert {key.layer for key in open_cache(cache).layers()} == {"pooled", "grid", "regions-grid"}


def test_another_preprocessing_has_a_name_of_its_own(folder, tmp_path):
    stored = extract(folder / "0.png", layers="grid", preprocessing="96", cache=tmp_path / "c.h5")
    assert stored.features["grid"].shape == (1, 12, 12, 128)
    assert open_cache(tmp_path / "c.h5").shape("compact_scenes@squash-96-tf/v1", "grid") == (1, 12, 12, 128)


def test_mistakes(folder, tmp_path):
    with pytest.raises(DataError, match="got ndarray, expected files, which a cache can name"):
        extract(np.zeros((20, 30, 3), np.uint8), cache=tmp_path / "c.h5")
    with pytest.raises(ConfigError, match="unknown layer of backbone compact_scenes 'pool'; did you mean pooled"):
        extract(folder / "0.png", layers="pool")
    with pytest.raises(DataError, match="strict: the first bad image ends the run"):
        extract(folder, options=vislang.ReadingOptions(strict=True))
    extract([folder / "0.png"], cache=tmp_path / "c.h5")
    with pytest.raises(DataError, match="holds .*0.png, not found in the images; give the folder"):
        extract([folder / "1.png"], cache=tmp_path / "c.h5")
