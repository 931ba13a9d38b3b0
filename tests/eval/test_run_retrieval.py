"""The retrieval task of eval.run, and eval.compare; with the model replaced by given embeddings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from datasets import registry as catalog
from datasets.records import ImageRecord
from eval import compare, run
from eval.metrics.ranking import Ranks
from eval.results.models import ModelInfo, Run, group_by_row, training_seconds
from eval.results.ranks import SavedRanks, load_ranks, only_dataset, ranks_path, save_ranks
from eval.tasks import retrieval
from vislang.core.errors import CheckpointError, DataError, EvalError
from vislang.training.checkpoints import WEIGHTS

RECORDS = tuple(
    ImageRecord(f"{i}.jpg", None, "test" if i < 20 else "train", (f"first {i}", f"second {i}")) for i in range(25)
)


def model_of(name, seed, preset="best", **config):
    return ModelInfo(name, preset, "tiny", seed, config, name, None, "toy")


def embed(checkpoint, data, folder):
    """Stand for a trained model; its name is preset-seed-noise."""
    preset, seed, noise = checkpoint.name.split("-")
    random = np.random.default_rng(int(seed))
    count = len(data.records)
    images = np.eye(count)
    captions = np.repeat(images, 2, axis=0) + int(noise) / 10 * random.standard_normal((2 * count, count))
    model = model_of(checkpoint.name, int(seed), preset, margin=0.2 if noise != "9" else 0.3)
    return retrieval.Embeddings(images, captions, model, 0.5)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval, "embed_split", embed)
    monkeypatch.setitem(catalog.READERS, "flickr8k", lambda folder: RECORDS)
    for name in ("best-0-3", "best-1-3", "kiros-0-9", "best-2-9"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / WEIGHTS).write_text(name)
    return tmp_path


def command(place, *names, more=()):
    words = ["retrieval", "--model", *(str(place / "runs" / name) for name in names)]
    return [*words, "--dataset", "flickr8k", "--data", "d", "--cache", "c", "--out", str(place / "results"), *more]


def test_large_embeddings_lie_in_files_and_give_the_same_results(place, monkeypatch):
    def embed_into_files(checkpoint, data, folder):
        found = embed(checkpoint, data, folder)
        files = []
        for rows in (found.images, found.captions):
            files.append(retrieval._encoded(lambda items: np.array(items), rows, True, folder))
        return replace(found, images=files[0], captions=files[1])

    outputs = []
    for function in (embed, embed_into_files):
        monkeypatch.setattr(retrieval, "embed_split", function)
        monkeypatch.setattr(retrieval, "_ENCODED", 3)
        assert run.main([*command(place, "best-0-3", "best-1-3"), "--json"]) == 0
        results = place / "results"
        result = json.loads((results / "retrieval-vse-best-tiny-flickr8k-test.json").read_text())
        page = (results / "retrieval-flickr8k-test.html").read_text().partition("Sentences retrieved")[2]
        outputs.append((result["metrics"], result["intervals"], page.partition("seconds")[0]))
    assert outputs[0] == outputs[1]
    assert not [path for path in results.iterdir() if path.suffix not in (".json", ".html", ".md", "")]


def test_seeds_share_a_row_and_everything_is_written(place, capsys):
    assert run.main(command(place, "best-1-3", "best-0-3", "kiros-0-9")) == 0
    output = capsys.readouterr()
    assert "**vse-best-tiny**" in output.out
    assert "here, 2 seeds" in output.out
    assert "**vse-kiros-tiny**" in output.out
    assert "wrote" in output.err
    result = json.loads((place / "results" / "retrieval-vse-best-tiny-flickr8k-test.json").read_text())
    assert [one["seed"] for one in result["per_seed"]] == [0, 1]
    assert result["num_images"] == 20
    assert len(result["data_fingerprint"]) == 64
    page = (place / "results" / "retrieval-flickr8k-test.html").read_text()
    assert "first 3" in page
    assert len(list((place / "results" / "by-image").glob("ranks-best-0-3-????????-flickr8k-test-full.npz"))) == 1


def test_a_later_run_shows_the_earlier_rows(place, capsys):
    run.main(command(place, "best-0-3"))
    capsys.readouterr()
    run.main(command(place, "kiros-0-9", more=["--name", "old"]))
    table = capsys.readouterr().out
    assert "**vse-best-tiny**" in table
    assert "**old**" in table


def test_machines_get_json(place, capsys):
    more = ["--json", "--protocol", "five-folds", "--dataset-name", "coco"]
    assert run.main(command(place, "best-0-3", more=more)) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["dataset"], result["protocol"], result["setting"]) == ("coco", "five-folds", "5x4")
    assert (place / "results" / "retrieval-vse-best-tiny-coco-test-five-folds.json").is_file()


def test_equal_presets_with_other_settings_get_names_of_their_own(place, capsys):
    run.main(command(place, "best-0-3", "best-2-9", more=["--json"]))
    names = [result["name"] for result in json.loads(capsys.readouterr().out)]
    assert len(set(names)) == 2
    assert all(name.startswith("vse-best-tiny-") for name in names)


def test_users_mistakes_end_with_one_line(place, capsys):
    assert run.main(command(place, "best-0-3", "best-0-3")) == 2
    assert "two checkpoints hold the same weights" in capsys.readouterr().err
    assert run.main(command(place, "best-0-3", "kiros-0-9", more=["--name", "x"])) == 2
    assert "--name x was given for 2 different settings" in capsys.readouterr().err
    assert run.main(command(place, "best-0-3", more=["--split", "dev"])) == 2
    assert "no image is in split 'dev'" in capsys.readouterr().err


def test_two_runs_are_compared(place, capsys):
    run.main(command(place, "best-0-3", "kiros-0-9"))
    capsys.readouterr()
    runs = [str(place / "runs" / name) for name in ("kiros-0-9", "best-0-3")]
    runs += ["--results", str(place / "results")]
    assert compare.main([*runs, "--resamples", "100"]) == 0
    output = capsys.readouterr().out
    assert "95 % interval" in output
    assert "rsum" in output
    assert compare.main([*runs, "--resamples", "100", "--json"]) == 0
    difference = json.loads(capsys.readouterr().out)["i2t_r1"]
    assert difference["difference"] == pytest.approx(difference["b"] - difference["a"])


def test_runs_over_other_captions_are_not_compared(place, capsys):
    fold = Ranks(np.zeros(2, int), np.zeros(2, int), np.arange(2))
    for letter in "ab":
        save_ranks(place / f"ranks-{letter}.npz", SavedRanks((fold,), letter * 64))
    assert compare.main([str(place / "ranks-a.npz"), str(place / "ranks-b.npz")]) == 2
    assert "ranked other images or captions (fingerprints aaaaaaaaaaaa and bbbb" in capsys.readouterr().err


def test_saved_ranks_come_back(tmp_path):
    folds = tuple(Ranks(np.arange(2) + n, np.arange(4), np.array([0, 0, 1, 1])) for n in range(5))
    save_ranks(tmp_path / "ranks.npz", SavedRanks(folds, "ab"))
    found = load_ranks(tmp_path / "ranks.npz")
    assert found.queries == "ab"
    assert [fold.image_to_text.tolist() for fold in found.folds] == [[n, n + 1] for n in range(5)]


def test_files_that_are_no_ranks_are_refused(tmp_path):
    with pytest.raises(DataError, match="absent.npz cannot be read as NumPy arrays .No such file"):
        load_ranks(tmp_path / "absent.npz")
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 junk")
    with pytest.raises(DataError, match="write them with: python -m eval.run"):
        load_ranks(tmp_path / "junk.npz")
    np.savez(tmp_path / "empty.npz", queries=np.array("a"))
    with pytest.raises(DataError, match="0 folds"):
        load_ranks(tmp_path / "empty.npz")
    np.savez(tmp_path / "pickle.npz", queries=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as NumPy arrays"):
        load_ranks(tmp_path / "pickle.npz")


def test_ranks_lie_beside_the_results_and_are_those_of_the_weights(place):
    where = {"dataset": "coco", "split": "test", "protocol": "full"}
    checkpoint = place / "runs" / "best-0-3"
    before = ranks_path(place, checkpoint, **where)
    assert before.parent == place / "by-image"
    (checkpoint / WEIGHTS).write_text("trained on")
    assert ranks_path(place, checkpoint, **where) != before
    (place / "vse.npz").write_text("released")
    assert ranks_path(place, place / "vse.npz", **where).name.startswith("ranks-vse.npz-")
    assert ranks_path(place, place / "ranks-x.npz", **where) == place / "ranks-x.npz"
    with pytest.raises(CheckpointError, match="model.weights.h5 is missing, expected the weights of a model"):
        ranks_path(place, place, **where)


def test_compare_finds_the_data_set_that_was_ranked(place):
    where = {"split": "test", "protocol": "full"}
    checkpoint = place / "runs" / "best-0-3"
    with pytest.raises(DataError, match="no ranks of .* on split 'test'.*first: python -m eval.run retrieval --model"):
        only_dataset(place, checkpoint, **where)
    (place / "by-image").mkdir()
    ranks_path(place, checkpoint, dataset="karpathy", **where).touch()
    assert only_dataset(place, checkpoint, **where) == "karpathy"
    ranks_path(place, checkpoint, dataset="coco", **where).touch()
    with pytest.raises(DataError, match="ranks on coco, karpathy, expected one data set; choose with --dataset"):
        only_dataset(place, checkpoint, **where)


def test_half_trained_runs_are_not_averaged_in(tmp_path):
    (tmp_path / "history.json").write_text('[{"epoch": 1, "seconds": 2.5}, {"epoch": 2, "seconds": 3.5}]')
    assert training_seconds(tmp_path, 2) == 6.0
    assert training_seconds(tmp_path / "imported.npz", 15) is None
    with pytest.raises(CheckpointError, match="trained for 2 of 15 epochs, expected all"):
        training_seconds(tmp_path, 15)


def one_run(*model, **config):
    return Run(model=model_of(*model, **config))


def test_a_seed_or_a_model_twice_is_refused():
    with pytest.raises(EvalError, match="hold a seed twice"):
        group_by_row([one_run("x", 1), one_run("y", 1)], None)
    with pytest.raises(EvalError, match="same weights"):
        group_by_row([one_run("x", None), one_run("x", None)], None)


def test_rows_hold_models_with_equal_settings_in_the_order_of_their_seeds():
    runs = [one_run("a", 2), one_run("b", 0), one_run("c", 1, "kiros"), one_run("d", 1, margin=0.3)]
    rows = group_by_row(runs, None, "vse")
    assert [[run.model.seed for run in row] for row in rows.values()] == [[0, 2], [1], [1]]
    assert list(rows)[1] == "vse-kiros-tiny"
    assert all(name.startswith("vse-best-tiny-") for name in (list(rows)[0], list(rows)[2]))
    assert list(group_by_row(runs[:2], "mine")) == ["mine"]
