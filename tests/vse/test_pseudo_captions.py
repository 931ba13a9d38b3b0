"""Captions retrieved for images without any: the ranking against its definition, and the command's data set."""

import json

import numpy as np
import pytest
import training_runs

import datasets
from eval.metrics.captions.cider import cider
from eval.metrics.captions.document_frequencies import DocumentFrequencies
from eval.metrics.captions.ngrams import count_ngrams
from vse import pseudo_captions, train
from vse.pseudo_captions import HUB_NEIGHBOURS, most_agreeing, retrieve_sentences


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_sentences_compare_by_cosine_less_their_hubness():
    random = np.random.default_rng(0)
    images = unit(random.normal(size=(30, 6)))
    sentences = unit(random.normal(size=(50, 6)))
    for image, found in zip(images, retrieve_sentences(images, sentences, 4), strict=True):
        scores = []
        for sentence in sentences:
            nearest = sorted((float(sentence @ other) for other in images), reverse=True)[:HUB_NEIGHBOURS]
            scores.append(2 * float(image @ sentence) - np.mean(nearest))
        assert list(found) == list(np.argsort(-np.array(scores), kind="stable")[:4])


def test_a_sentence_near_every_image_loses_to_one_of_its_own():
    axes = np.eye(13)
    images = unit(axes[0] + 0.3 * axes[1:])
    sentences = unit(np.concatenate([axes[:1], 0.9 * axes[0] + 0.6 * axes[1:]]))
    assert set(np.argmax(images @ sentences.T, axis=1)) == {0}
    assert retrieve_sentences(images, sentences, 1).ravel().tolist() == list(range(1, 13))


def test_there_may_be_fewer_sentences_than_asked_for():
    assert retrieve_sentences(unit(np.eye(3)), unit(np.eye(3)[:2]), 5).shape == (3, 2)
    assert most_agreeing(["a dog", "a cat"], np.array([[1, 0]]), 5).shape == (1, 2)


def test_kept_sentences_have_the_highest_mean_cider_with_the_candidates():
    random = np.random.default_rng(1)
    things = ["dog", "cat", "pizza", "train"]
    sentences = []
    for _ in range(40):
        first, second = random.choice(things, 2)
        sentences.append(f"a {first} {random.choice(['near', 'on'])} the {second} {random.choice(things)}")
    indices = np.stack([random.permutation(40)[:12] for _ in range(3)])
    frequencies = DocumentFrequencies.fit([[sentence] for sentence in sentences], tokenizer="treebank")
    for candidates, kept in zip(indices, most_agreeing(sentences, indices, 4), strict=True):
        texts = [sentences[candidate] for candidate in candidates]
        agreement = cider(count_ngrams(texts, [texts] * len(texts)), df=frequencies)
        best = np.argsort(-agreement, kind="stable")[:4]
        np.testing.assert_allclose(agreement[[list(candidates).index(index) for index in kept]], agreement[best])


@pytest.fixture(scope="module")
def ranker(toy_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranker") / "run"
    settings = ["hidden_dim=16", "embed_dim=16", "word_dim=8", "layers=pooled", "ensemble_size=1", "epochs=2"]
    settings += ["min_count=1", "learning_rate=0.02", "batch_size=16"]
    assert train.main(training_runs.arguments(toy_data, out, *settings, preset="best")) == 0
    return out


def test_the_command_writes_a_data_set_that_trains(toy_data, ranker, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("".join(f"{number}.jpg\n" for number in range(50, 60)))
    things = [f"a {colour} {thing}" for colour in ("red", "green", "blue", "white") for thing in ("dog", "cat", "car")]
    (tmp_path / "texts.txt").write_text("\n".join([*things, "", "a blue boat", "a red tree"]))
    words = ["--model", str(ranker), "--cache", str(toy_data / "features.h5"), "--only", str(tmp_path / "ids.txt")]
    words += ["--sentences", str(tmp_path / "texts.txt"), "--num", "2", "--out", str(tmp_path / "pseudo")]
    assert pseudo_captions.main(words) == 0
    assert "20 sentences for 10 images" in capsys.readouterr().out
    document = json.loads((tmp_path / "pseudo" / "captions_train.json").read_text())
    assert {note["caption"] for note in document["annotations"]} <= {*things, "a blue boat", "a red tree"}
    records = datasets.read("coco", tmp_path / "pseudo", require_images=False)
    assert [record.image_id for record in records] == [f"{number}.jpg" for number in range(50, 60)]
    assert all(len(record.captions) == 2 for record in records)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--num", "0"], "--num got 0, expected 1 to 30, the number of --candidates"),
        (["--sentences", "nowhere.txt"], "cannot read nowhere.txt"),
        (["--only", "/dev/null"], "/dev/null: has no line, expected one id of an image a line"),
        (["--cache", "nowhere.h5"], "nowhere.h5"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(toy_data, ranker, tmp_path, capsys, change, message):
    (tmp_path / "texts.txt").write_text("a dog\n")
    words = ["--model", str(ranker), "--cache", str(toy_data / "features.h5")]
    words += ["--sentences", str(tmp_path / "texts.txt"), "--out", str(tmp_path / "pseudo"), *change]
    assert pseudo_captions.main(words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pseudo" / "captions_train.json").exists()
