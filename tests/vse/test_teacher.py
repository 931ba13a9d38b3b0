"""The teacher of a ranker: the loss against its definition, what is learned, exact resuming, and the command."""

import numpy as np
import pytest
import training_runs
from training_runs import assert_equal_runs, history, killed_run

from vse import sentence_vectors, train
from vse.api import load_model
from vse.taught_sentences import read_taught
from vse.teacher import CONTRAST, TEMPERATURE, teaching_loss

COLOURS = {"red": "crimson", "blue": "navy", "green": "emerald"}
RUN = [
    "hidden_dim=16",
    "embed_dim=16",
    "word_dim=8",
    "batch_size=16",
    "epochs=6",
    "layers=pooled",
    "min_count=1",
    "learning_rate=0.02",
    "ensemble_size=2",
]


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_loss_is_the_distance_and_the_cross_entropy_of_the_right_vector():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(5, 7)).astype(np.float32)
    guesses = random.normal(size=(5, 2, 7)).astype(np.float32)
    expected = np.zeros(5)
    for one in range(5):
        for member in range(2):
            cosines = np.array([unit(guesses[one, member]) @ unit(vector) for vector in vectors])
            probabilities = np.exp(cosines / TEMPERATURE) / np.exp(cosines / TEMPERATURE).sum()
            expected[one] += 1 - cosines[one] - CONTRAST * np.log(probabilities[one])
    np.testing.assert_allclose(teaching_loss(vectors, guesses), expected, rtol=1e-4)
    equal = np.ones((5, 2, 7), np.float32)
    np.testing.assert_allclose(teaching_loss(equal[:, 0], equal), 2 * CONTRAST * np.log(5), rtol=1e-5)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A teacher to whom a colour and its rare name, which no caption has, mean the same."""
    random = np.random.default_rng(2)
    things = ["dog", "cat", "car", "boat"]
    vectors = {word: random.normal(size=12) for word in [*COLOURS, *things]}
    sentences, rows = [], []
    for colour, rare in COLOURS.items():
        for thing in things:
            for name in (colour, rare):
                sentences.append(f"a {name} {thing}")
                rows.append(vectors[colour] + vectors[thing])
    folder = tmp_path_factory.mktemp("taught")
    np.save(folder / "vectors.npy", unit(np.array(rows)).astype(np.float16))
    (folder / "sentences.txt").write_text("\n".join(sentences))
    return folder


def arguments(toy_data, out, taught, *settings):
    words = training_runs.arguments(toy_data, out, *RUN, *settings, preset="best")
    return [*words, "--teacher", str(taught)]


def test_words_without_a_caption_get_their_meaning(toy_data, taught, tmp_path):
    assert train.main(arguments(toy_data, tmp_path / "run", taught, "teacher_epochs=60")) == 0
    model = load_model(tmp_path / "run")
    assert len(history(tmp_path / "run")) == 66
    assert history(tmp_path / "run")[-1]["best"] > 300
    common = model.encode_sentences([f"a {colour} dog" for colour in COLOURS])
    rare = model.encode_sentences([f"a {colour} dog" for colour in COLOURS.values()])
    assert np.argmax(rare @ common.T, axis=1).tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("updates", [3, 20])  # in the stage of the teacher, and after it
def test_killed_and_resumed_equals_never_stopped(toy_data, taught, tmp_path, updates):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = ["teacher_epochs=4", "sentence_dropout=0.3"]
    assert train.main(arguments(toy_data, whole, taught, *settings)) == 0
    words = arguments(toy_data, cut, taught, *settings)
    killed_run("vse.train", "on_train_batch_end", updates, words)
    assert (cut / "taught").is_dir()
    assert train.main(words) == 0
    assert_equal_runs(whole, cut)


def test_a_run_does_not_go_on_with_another_teacher(toy_data, taught, tmp_path, capsys):
    words = training_runs.arguments(toy_data, tmp_path / "run", *RUN, "epochs=1", preset="best")
    assert train.main(words) == 0
    assert train.main([*words, "--teacher", str(taught)]) == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (None, "vectors.npy cannot be read"),
        (np.ones((3, 4), np.float32), "expected a row of floats for each of the 2 lines"),
        (np.ones((2, 4), np.int64), "holds int64 (2, 4), expected a row of floats"),
        (np.ones(2, np.float32), "holds float32 (2,)"),
        (np.ones((2, 0), np.float32), "holds float32 (2, 0)"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "numbers that are not finite"),
        (np.array([["a", {}], [0, 1]], object), "vectors.npy cannot be read"),
    ],
)
def test_damaged_vectors_are_one_line(toy_data, tmp_path, capsys, vectors, message):
    (tmp_path / "sentences.txt").write_text("a dog\na cat\n")
    if vectors is not None:
        np.save(tmp_path / "vectors.npy", vectors)
    assert train.main(arguments(toy_data, tmp_path / "run", tmp_path)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_teacher_without_a_sentence_is_refused(toy_data, tmp_path, capsys):
    (tmp_path / "sentences.txt").write_text("")
    np.save(tmp_path / "vectors.npy", np.zeros((0, 7), np.float32))
    assert train.main(arguments(toy_data, tmp_path / "run", tmp_path)) == 2
    assert "sentences.txt has no line, expected a sentence a line" in capsys.readouterr().err


def test_the_command_reads_distinct_training_captions_and_more(toy_data, tmp_path, monkeypatch, capsys):
    seen = []

    def embed(sentences):
        seen.extend(sentences)
        return np.ones((len(sentences), 3), np.float16)

    monkeypatch.setattr(sentence_vectors, "embed", embed)
    (tmp_path / "more.txt").write_text("a zebra\n\nA red dog .\na zebra\n")
    words = ["--dataset", "karpathy", "--data", str(toy_data), "--sentences", str(tmp_path / "more.txt")]
    assert sentence_vectors.main([*words, "--out", str(tmp_path / "taught")]) == 0
    assert len(set(seen)) == len(seen)
    assert seen[-2:] == ["a zebra", "A red dog ."]
    taught = read_taught(tmp_path / "taught")
    assert list(taught.sentences) == seen
    assert taught.vectors.shape == (len(seen), 3)
    assert f"{len(seen)} sentences, vectors of 3 numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "got no sentences, expected --dataset NAME --data DIR or --sentences FILE"),
        (["--dataset", "karpathy"], "--data got 0 folders for 1 data sets"),
        (["--sentences", "nowhere.txt"], "cannot read nowhere.txt"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, message):
    assert sentence_vectors.main([*words, "--out", str(tmp_path / "taught")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "taught" / "vectors.npy").exists()


def test_without_the_library_the_command_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "all_minilm_l6_v2", None)
    (tmp_path / "more.txt").write_text("a zebra\n")
    words = ["--sentences", str(tmp_path / "more.txt"), "--out", str(tmp_path / "taught")]
    assert sentence_vectors.main(words) == 2
    assert "pip install 'vislang-toolkit[teacher]'" in capsys.readouterr().err
