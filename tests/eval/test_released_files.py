"""The original ranker's model and data files, evaluated by one command as its own evalrank does."""

import json

import numpy as np
import pytest
from released_files import WORDS, released_data, released_model

import vse
from eval import run


@pytest.fixture
def place(tmp_path):
    released_model(tmp_path / "coco.npz", words=WORDS)
    released_data(tmp_path / "f8k", "f8k")
    return tmp_path


def evaluate(place, *more):
    words = ["retrieval", "--model", str(place / "coco.npz"), "--data", str(place / "f8k"), "--out", str(place / "out")]
    return run.main([*words, *map(str, more)])


def evalrank(images, captions):
    """i2t and t2i of the original's evaluation.py, image by image; (R@1, R@5, R@10, median) each."""
    images = images[::5]
    of_images = []
    for index, image in enumerate(images):
        order = np.argsort(captions @ image)[::-1]
        of_images.append(min(int(np.where(order == caption)[0][0]) for caption in range(5 * index, 5 * index + 5)))
    of_captions = []
    for index, caption in enumerate(captions):
        order = np.argsort(images @ caption)[::-1]
        of_captions.append(int(np.where(order == index // 5)[0][0]))
    found = []
    for ranks in map(np.array, (of_images, of_captions)):
        found.append([100 * np.mean(ranks < top) for top in (1, 5, 10)] + [np.floor(np.median(ranks)) + 1])
    return found


@pytest.mark.parametrize("split", ["test", "dev"])
def test_released_files_are_ranked_as_by_their_own_code(place, capsys, split):
    captions = (place / "f8k" / f"f8k_{split}_caps.txt").read_text().splitlines()
    assert evaluate(place, "--split", split, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    model = vse.load_model(place / "coco.npz")
    images = vse.encode_images(model, np.load(place / "f8k" / f"f8k_{split}_ims.npy")).vectors
    of_images, of_captions = evalrank(images, vse.encode_sentences(model, captions))
    assert result["dataset"] == "flickr8k"
    assert (result["num_images"], result["num_captions"]) == (10, 50)
    metrics = result["metrics"]
    for direction, expected in (("i2t", of_images), ("t2i", of_captions)):
        found = [metrics[f"{direction}_{name}"] for name in ("r1", "r5", "r10", "medr")]
        np.testing.assert_allclose(found, expected)


def test_files_may_have_another_name_than_their_folder(place, capsys):
    released_data(place / "f8k", "coco", splits=["test"])
    assert evaluate(place, "--option", "name=coco", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["dataset"] == "coco"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "tset"], "did you mean test"),
        (["--split", "train"], "f8k_train_caps.txt"),
        (["--option", "restval=train"], "--option got restval, expected name=NAME"),
        (["--option", "name=f30k"], "f30k_test_caps.txt"),
    ],
)
def test_mistakes_are_one_line(place, capsys, more, message):
    assert evaluate(place, *more) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_features_of_another_width_are_refused(place, capsys):
    released_data(place / "f8k", "f8k", width=7)
    assert evaluate(place) == 2
    assert "features are 7 wide, expected 5" in capsys.readouterr().err


def test_a_folder_is_needed(place, capsys):
    assert run.main(["retrieval", "--model", str(place / "coco.npz")]) == 2
    assert "pass --data DIR, which holds NAME_test_caps.txt" in capsys.readouterr().err
