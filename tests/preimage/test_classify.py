"""Classes and their names: against the network itself, with the background before them or not."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from preimage_networks import photographs, tiny_model, tiny_network

import preimage
from preimage import classify as command
from preimage.networks.class_labels import class_names, probabilities
from preimage.networks.network import Network
from vislang.core.errors import ConfigError, DataError
from vislang.images.preprocess import find_preprocessing


@pytest.fixture(scope="module")
def network():
    return tiny_network()


def many_classes(count):
    image = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    return Network(
        "many", keras.Model(image, keras.layers.Dense(count, "softmax")(pooled)), find_preprocessing("squash-64-tf/v1")
    )


def test_probabilities_are_those_of_the_network(network):
    images = photographs(3)
    expected = network.model.predict(images / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(probabilities(network, images), expected, atol=1e-6)
    named = tiny_network()
    named.classes = ("cat", "dog", "fish", "bird")
    found = preimage.classify_images(named, images, top=3).labels
    for classes, row in zip(found, expected, strict=True):
        assert [one.index for one in classes] == np.argsort(-row)[:3].tolist()
        assert [one.probability for one in classes] == pytest.approx(np.sort(row)[::-1][:3], abs=1e-6)
        assert classes[0].name == named.classes[classes[0].index]
    assert len(preimage.classify_images(network, images, top=99).labels[0]) == 4
    assert preimage.classify_images(network, images).labels[0][0].name == str(found[0][0].index)


def test_of_equal_classes_the_lower_number_comes_first(network):
    even = tiny_network()
    even.model.get_layer("classes").set_weights([np.zeros((8, 4)), np.zeros(4)])
    (classes,) = preimage.classify_images(even, photographs(1)).labels
    assert [(one.index, one.probability) for one in classes] == [(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a b c d", ("a", "b", "c", "d")),
        ("background a b c d", ("a", "b", "c", "d")),
        ("b c d", ("background", "b", "c", "d")),
    ],
)
def test_names_fit_with_and_without_a_background(network, tmp_path, words, expected):
    (tmp_path / "labels.txt").write_text("\n".join(words.split()) + "\n\n")
    assert class_names(network, tmp_path / "labels.txt") == expected


def test_imagenet_is_known_by_its_number_of_classes(network, tmp_path, monkeypatch):
    monkeypatch.setenv("VISLANG_WEIGHTS", str(tmp_path))
    lines = ["background", "tench, Tinca tinca", *(f"thing {number}" for number in range(999))]
    (tmp_path / "imagenet_labels.txt").write_text("\n".join(lines))
    with_background, without = class_names(many_classes(1001)), class_names(many_classes(1000))
    assert (with_background[:2], len(with_background)) == (("background", "tench, Tinca tinca"), 1001)
    assert (without[0], len(without)) == ("tench, Tinca tinca", 1000)
    (tmp_path / "imagenet_labels.txt").write_text("\n".join(lines[1:]))
    assert class_names(many_classes(1001)) == with_background
    assert class_names(network) is None


def test_names_come_from_keras_where_no_file_has_them(monkeypatch):
    monkeypatch.delenv("VISLANG_WEIGHTS", raising=False)
    rows = [[(f"n{number}", f"great_thing_{number}", 1.0)] for number in range(1000)]
    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", lambda scores, top: rows)
    assert class_names(many_classes(1001))[:2] == ("background", "great thing 0")

    def refuse(scores, top):
        raise OSError("no network")

    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", refuse)
    assert class_names(many_classes(1000)) is None


def test_what_has_no_classes_or_other_names_is_refused(network, tmp_path):
    model = keras.Model(network.model.input, network.model.get_layer("last").output)
    headless = Network("bare", model, network.preprocessing)
    for call in (class_names, lambda one: preimage.classify_images(one, photographs(1))):
        with pytest.raises(ConfigError, match="network bare has no classes: it ends in the layer last"):
            call(headless)
    with pytest.raises(ConfigError, match="top got 0"):
        preimage.classify_images(network, photographs(1), top=0)
    with pytest.raises(DataError, match="No such file"):
        class_names(network, tmp_path / "none.txt")
    (tmp_path / "two.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="names 2 classes, the network has 4"):
        class_names(network, tmp_path / "two.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        class_names(network, tmp_path / "latin.txt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classify")
    tiny_model(64).save(folder / "tiny.keras")
    (folder / "pictures").mkdir()
    for number, image in enumerate(photographs(2, 64)):
        Image.fromarray(image.astype(np.uint8)).save(folder / "pictures" / f"{number}.png")
    (folder / "labels.txt").write_text("cat\ndog\nfish\nbird\n")
    return folder


def words(folder, *more):
    return ["--model", str(folder / "tiny.keras"), "--preprocessing", "squash-64-tf/v1", *map(str, more)]


def test_the_command_prints_lines_and_json(folder, capsys):
    images = [folder / "pictures" / "0.png", folder / "pictures" / "1.png"]
    line = ["--images", *images, "--labels", folder / "labels.txt", "--top", 2]
    assert command.main(words(folder, *line)) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0] == str(images[0])
    assert output[1].split()[1] in ("cat", "dog", "fish", "bird")
    assert len(output) == 6
    assert command.main(words(folder, *line, "--json")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in printed["images"]] == [str(path) for path in images]
    network = preimage.load_network(str(folder / "tiny.keras"), preprocessing="squash-64-tf/v1")
    found = preimage.classify_images(network, images, top=2, labels=folder / "labels.txt")
    assert found.names == tuple(map(str, images))
    assert printed["images"][1]["classes"] == [
        {"index": one.index, "name": one.name, "probability": round(one.probability, 6)} for one in found.labels[1]
    ]


def test_the_command_skips_what_it_cannot_read_in_a_folder(folder, capsys):
    (folder / "pictures" / "bad.png").write_text("no picture")
    assert command.main(words(folder, "--images", folder / "pictures", "--json")) == 3
    output = capsys.readouterr()
    printed = json.loads(output.out)
    assert len(printed["images"]) == 2
    assert printed["images"][0]["classes"][0]["name"].isdecimal()
    assert "bad.png" in printed["skipped"][0]["image"]
    assert "has no class names" in output.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["--images", "none.png"], "no such file or folder"),
        (["--images", "labels.txt"], "none of 4 images can be read"),
        (["--images", "pictures/0.png", "--top", "0"], "--top got 0, expected 1 or more"),
        (["--images", "pictures/0.png", "--model", "compact_scenes"], "network compact_scenes has no classes"),
    ],
)
def test_what_cannot_be_classified_is_refused_in_one_line(folder, capsys, line, reason):
    placed = [str(folder / word) if "." in word else word for word in line]
    more = [] if "--model" in line else words(folder)
    assert command.main([*placed, *more]) == 2
    (printed,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("error")]
    assert reason in printed
