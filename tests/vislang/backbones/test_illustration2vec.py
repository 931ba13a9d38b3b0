"""Tags and features of drawings, with a small stand-in for the networks."""

import json

import keras
import numpy as np
import pytest
from caffe_files import caffemodel, layer
from PIL import Image

from vislang.backbones import illustration2vec
from vislang.backbones.illustration2vec import (
    GROUPS,
    NUM_TAGS,
    PREPROCESSING,
    Illustration2Vec,
    read_tags,
    read_thresholds,
)
from vislang.core.errors import ConfigError, DataError
from vislang.images.preprocess import prepare

RANDOM = np.random.default_rng(0)
TAGS = [f"{group}{number}" for group, places in GROUPS.items() for number in range(places.stop - places.start)]
IMAGES = [Image.fromarray(RANDOM.integers(0, 255, (30, 20 + n, 3), dtype=np.uint8)) for n in range(10)]


@pytest.fixture(scope="module")
def tagger():
    image = keras.Input((224, 224, 3))
    pooled = keras.layers.AveragePooling2D(56)(image)
    tags = keras.layers.Conv2D(
        NUM_TAGS, 4, activation="sigmoid", kernel_initializer=keras.initializers.RandomNormal(0, 0.01, 3)
    )
    return keras.Model(image, tags(pooled))  # [B, 1, 1, 1539], as the network's own "prob"


@pytest.fixture(scope="module")
def encoder():
    image = keras.Input((224, 224, 3))
    dense = keras.layers.Dense(24, kernel_initializer=keras.initializers.RandomNormal(0, 1, 3))
    return keras.Model(image, {"encode1": dense(keras.layers.GlobalAveragePooling2D()(image))})


@pytest.fixture(scope="module")
def probabilities(tagger):
    batch = np.stack([prepare(image, PREPROCESSING) for image in IMAGES])
    return np.asarray(tagger(batch)).reshape(len(IMAGES), NUM_TAGS)


def test_the_picture_is_squashed_swapped_and_freed_of_its_own_mean():
    picture = np.zeros((10, 400, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
    expected = np.float32([3, 2, 1]) - np.float32([164.76139251, 167.47864617, 181.13838569])
    np.testing.assert_array_equal(prepare(picture, PREPROCESSING), np.broadcast_to(expected, (224, 224, 3)))
    grey = prepare(np.full((9, 9), 7, np.uint8), PREPROCESSING)
    np.testing.assert_allclose(grey[0, 0], 7 - np.float32([164.76139251, 167.47864617, 181.13838569]))


def test_plausible_tags_are_those_above_the_threshold(tagger, probabilities):
    found = Illustration2Vec(tagger, TAGS).estimate_plausible_tags(IMAGES, threshold=0.6)
    for row, tags in zip(probabilities, found, strict=True):
        for group, places in GROUPS.items():
            shown = {f"{group}{n}": p for n, p in enumerate(row[places]) if p > 0.6 or group == "rating"}
            assert dict(tags[group]) == pytest.approx(shown, abs=1e-5)
            assert [p for _, p in tags[group]] == sorted((p for _, p in tags[group]), reverse=True)
    assert len(found[0]["rating"]) == 3
    assert 0 < len(found[0]["general"]) < 512


def test_each_tag_has_its_own_threshold(tagger, probabilities):
    thresholds = RANDOM.uniform(0.3, 0.7, (NUM_TAGS, 3))
    network = Illustration2Vec(tagger, TAGS, thresholds=thresholds)
    for column, rule in enumerate(("f0.5", "f1", "f2")):
        (found,) = network.estimate_plausible_tags(IMAGES[:1], threshold_rule=rule)
        kept = {tag for group in ("general", "character", "copyright") for tag, _ in found[group]}
        assert kept == {
            tag for place, tag in enumerate(TAGS[:1536]) if probabilities[0, place] > thresholds[place, column]
        }
        assert len(found["rating"]) == 3


def test_top_and_specific_tags(tagger, probabilities):
    network = Illustration2Vec(tagger, TAGS)
    top = network.estimate_top_tags(IMAGES[:2], n_tag=4)
    assert [len(tags) for tags in top[0].values()] == [4, 4, 4, 3]
    assert top[1]["copyright"][0][0] == f"copyright{probabilities[1, 1024:1536].argmax()}"
    (specific,) = network.estimate_specific_tags(IMAGES[:1], ["rating1", "general7"])
    assert specific == {
        "rating1": pytest.approx(probabilities[0, 1537], abs=1e-5),
        "general7": pytest.approx(probabilities[0, 7], abs=1e-5),
    }
    with pytest.raises(ConfigError, match="unknown tag 'generall7'; did you mean general7"):
        network.estimate_specific_tags(IMAGES[:1], ["generall7"])
    assert network.estimate_top_tags([]) == []


def test_binary_features_are_the_signs_of_features(encoder):
    network = Illustration2Vec(encoder=encoder)
    features, bits = network.extract_feature(IMAGES), network.extract_binary_feature(IMAGES)
    assert features.shape == (10, 24)
    assert features.dtype == np.float32
    assert bits.shape == (10, 3)
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1), 1 / (1 + np.exp(-np.float64(features))) > 0.5)


def test_what_is_missing_is_said(tagger, encoder):
    with pytest.raises(ConfigError, match="no network for features was given"):
        Illustration2Vec(tagger, TAGS).extract_feature(IMAGES)
    with pytest.raises(ConfigError, match="no network for tags was given"):
        Illustration2Vec(encoder=encoder).estimate_top_tags(IMAGES)
    with pytest.raises(ConfigError, match="rule f1 needs thresholds"):
        Illustration2Vec(tagger, TAGS).estimate_plausible_tags(IMAGES, threshold_rule="f1")
    with pytest.raises(ConfigError, match="unknown threshold rule 'f3'"):
        Illustration2Vec(tagger, TAGS).estimate_plausible_tags(IMAGES, threshold_rule="f3")
    with pytest.raises(DataError, match="a list of 3 tags, expected 1539"):
        Illustration2Vec(tagger, ["a", "b", "c"])
    with pytest.raises(DataError, match=r"thresholds of shape \(3, 3\)"):
        Illustration2Vec(tagger, TAGS, thresholds=np.ones((3, 3)))
    with pytest.raises(DataError, match="the network for tags gives 24 numbers for an image, expected 1539"):
        Illustration2Vec(encoder, TAGS).estimate_top_tags(IMAGES)
    with pytest.raises(ConfigError, match="neither a tagger nor features"):
        illustration2vec.load()
    with pytest.raises(ConfigError, match="a tagger and the list of its tags go together"):
        illustration2vec.load("illust2vec_tag_ver200.caffemodel")


def test_files_of_tags_and_thresholds(tmp_path):
    (tmp_path / "tags.json").write_text(json.dumps(TAGS))
    assert read_tags(tmp_path / "tags.json") == tuple(TAGS)
    for content, message in (("[1]", "expected a JSON list of 1539 strings"), ("[", "not JSON")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(DataError, match=message):
            read_tags(tmp_path / "bad.json")
    thresholds = RANDOM.uniform(0, 1, (NUM_TAGS, 3))
    np.savez(tmp_path / "t.npz", threshold=thresholds)
    np.save(tmp_path / "t.npy", thresholds.astype(np.float32))
    np.testing.assert_array_equal(read_thresholds(tmp_path / "t.npz"), thresholds)
    np.testing.assert_allclose(read_thresholds(tmp_path / "t.npy"), thresholds, rtol=1e-6)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "small.npy", np.ones((2, 3)))
    (tmp_path / "text.npz").write_text("Dear Sir")
    for name, message in (
        ("objects.npy", "cannot be read as NumPy arrays"),
        ("text.npz", "cannot be read as NumPy arrays"),
        ("small.npy", "expected one array"),
    ):
        with pytest.raises(DataError, match=message):
            read_thresholds(tmp_path / name)


def test_weights_of_another_network_are_refused(tmp_path):
    (tmp_path / "tags.json").write_text(json.dumps(TAGS))
    blobs = [np.ones((64, 3, 5, 5)), np.ones(64)]
    (tmp_path / "net.caffemodel").write_bytes(caffemodel([layer("conv1_1", "Convolution", "data", blobs=blobs)]))
    with pytest.raises(DataError, match="are prototxt and weights of the same network"):
        illustration2vec.load(tmp_path / "net.caffemodel", tmp_path / "tags.json")


def test_the_command_prints_four_groups(tagger, probabilities, tmp_path, monkeypatch, capsys):
    from preimage import tags

    monkeypatch.setattr(illustration2vec, "load", lambda *files, thresholds: Illustration2Vec(tagger, TAGS))
    IMAGES[0].save(tmp_path / "drawn.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    words = ["--images", str(tmp_path / "drawn.png"), str(tmp_path / "broken.png"), "--weights", "x", "--tags", "y"]
    assert tags.main([*words, "--threshold", "0.6", "--json"]) == 3
    printed = json.loads(capsys.readouterr().out)
    (row,) = printed["images"]
    assert "broken.png" in str(printed["skipped"])
    for group, places in GROUPS.items():
        found = [(name, share) for name, share in row["tags"][group]]
        expected = [column for column in range(places.start, places.stop) if probabilities[0][column] > 0.6]
        if group == "rating":
            expected = list(range(places.start, places.stop))
        assert {name for name, _ in found} == {TAGS[column] for column in expected}
    assert tags.main(words[:2] + words[3:]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(GROUPS)
    assert tags.main([*words, "--strict"]) == 2


@pytest.mark.slow
def test_the_command_runs_the_networks_with_random_weights(tmp_path, capsys):
    from preimage import tags

    (tmp_path / "tags.json").write_text(json.dumps(TAGS))
    IMAGES[0].save(tmp_path / "drawn.png")
    words = ["--images", str(tmp_path / "drawn.png"), "--weights", "random", "--tags", str(tmp_path / "tags.json")]
    assert tags.main(words) == 0
    assert "rating: rating" in capsys.readouterr().out
