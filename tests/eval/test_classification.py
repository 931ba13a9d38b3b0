"""Accuracies, confusions and their table, by hand-worked numbers; and the command on untrained networks."""

import json

import numpy as np
import pytest
from PIL import Image

from datasets.pacs import read_pacs
from eval.metrics.accuracy import accuracy_difference, accuracy_summary, confusion_matrix, usual_mistakes
from eval.run import main
from eval.tables.classification import build_classification, classification_table, read_classification
from preimage.classifier.config import ClassifierConfig
from preimage.classifier.model import KIND, build_classifier, save_architecture
from vislang.core.config import to_json
from vislang.core.errors import EvalError
from vislang.training import checkpoints


def test_accuracy_is_the_mean_over_seeds_with_their_deviation():
    right = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    summary = accuracy_summary(right)
    assert summary["per_seed"] == [50.0, 75.0]
    assert summary["mean"] == 62.5
    assert summary["deviation"] == pytest.approx(25 / 2**0.5)
    assert summary["pictures"] == 4
    low, high = summary["interval"]
    assert 0 <= low < 62.5 < high <= 100
    assert accuracy_summary(right[:1])["deviation"] is None
    assert accuracy_summary(np.ones((2, 5)))["interval"] == [100.0, 100.0]
    with pytest.raises(EvalError, match="expected one or more networks"):
        accuracy_summary(np.zeros((0, 4)))


def test_the_interval_is_that_of_a_slow_bootstrap():
    random = np.random.default_rng(0)
    right = random.random((3, 40)) < 0.7
    draws = [right[:, random.integers(40, size=40)].mean() for _ in range(4000)]
    np.testing.assert_allclose(accuracy_summary(right)["interval"], 100 * np.percentile(draws, [2.5, 97.5]), atol=2.5)


def test_a_difference_is_paired_by_picture():
    right = np.random.default_rng(1).random((2, 50)) < 0.6
    same = accuracy_difference(right, right)
    assert same == {"mean": 0.0, "interval": [0.0, 0.0]}
    # One network, wrong on every tenth picture that the other names rightly.
    other = np.ones((1, 50), bool)
    other[0, ::10] = False
    ahead = accuracy_difference(np.ones((1, 50), bool), other)
    assert ahead["mean"] == pytest.approx(10.0)
    assert ahead["interval"][0] > 0
    with pytest.raises(EvalError, match="expected the same ones"):
        accuracy_difference(right, other[:, :9])


def test_confusions_and_usual_mistakes_by_hand():
    classes = ["cat", "cow", "dog"]
    counts = confusion_matrix(["cat", "cat", "dog"], [["cat", "dog", "dog"], ["dog", "dog", "cow"]], classes)
    assert counts == [[1, 0, 3], [0, 0, 0], [0, 1, 1]]
    assert usual_mistakes(counts, classes, 5) == [("cat", "dog", 3), ("dog", "cow", 1)]
    assert usual_mistakes(counts, classes, 1) == [("cat", "dog", 3)]


TRUTH = {f"{domain}/{label}/{n}": (domain, label) for domain in ("p", "s") for label in ("a", "b") for n in range(4)}


def result_of(trained_on, wrong, config=None, preset="tiny"):
    """Give a result of two seeds; the second takes `wrong` pictures for the other class."""
    other = {"a": "b", "b": "a"}
    runs = []
    for seed in (0, 1):
        answers = {name: other[label] if seed and name in wrong else label for name, (_, label) in TRUTH.items()}
        info = {"preset": preset, "backbone": "none", "config": config or {}, "seed": seed}
        info |= {"training_seconds": 1.0, "weights_fingerprint": str(seed)}
        runs.append({"info": info, "answers": answers, "seconds": 1.0})
    place = {"name": f"{preset}-{trained_on}", "dataset": "toy", "split": "test", "data_fingerprint": "f"}
    return build_classification(
        {**place, "trained_on": [trained_on], "learned_from": 8, "classes": ["a", "b"]}, runs, TRUTH
    )


def test_the_table_sets_networks_side_by_side(tmp_path):
    photos, sketches = result_of("p", ["s/a/0", "s/a/1"]), result_of("s", [])
    assert photos["domains"]["p"]["mean"] == 100.0
    assert photos["domains"]["s"]["mean"] == 87.5
    assert photos["domains"]["s"]["confusion"] == [[6, 2], [0, 8]]
    for result in (photos, sketches):
        path = tmp_path / f"classification-{result['name']}.json"
        path.write_text(json.dumps(result, allow_nan=False))
    (tmp_path / "classification-other.json").write_text(json.dumps({**photos, "split": "dev"}))
    table = classification_table(read_classification(tmp_path, "toy", "test", "f"))
    rows = [line for line in table.splitlines() if line.startswith("| tiny")]
    assert len(rows) == 2
    assert "**100.0 ± 0.0** (100–100)" in rows[0]
    assert "87.5 ± 17.7 (" in rows[0]
    assert "8 of p minus 8 of s: p +0.0 (+0 to +0), s -12.5 (" in table
    assert "s: a → b 2" in table
    assert "chance 50.0" in table
    apart = classification_table([photos, {**sketches, "config": {"other": 1}}])
    assert "minus" not in apart
    (tmp_path / "classification-broken.json").write_text('{"kind": "classification"}')
    with pytest.raises(EvalError, match="lacks"):
        read_classification(tmp_path, "toy", "test", "f")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder of two domains and untrained networks of two seeds that answer at random."""
    import keras

    folder, random = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    for domain in ("photo", "sketch"):
        for label in ("lake", "rose"):
            (folder / "pacs" / domain / label).mkdir(parents=True)
            for number in range(8):
                picture = random.integers(0, 255, (20, 20, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / "pacs" / domain / label / f"{number}.png")
    config = ClassifierConfig(backbone="", channels=(4,), recipe="squash-64-tf/v1", updates=12, head_updates=0)
    train = [record.image_id for record in read_pacs(folder / "pacs") if record.split == "train"]
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        built = build_classifier(config, ["lake", "rose"])
        built.model.get_layer("classes").kernel.assign(np.random.default_rng(seed).normal(size=(4, 2)) * 9)
        description = {"kind": KIND, "preset": "tiny", "config": to_json(config), "seed": seed, "domains": ["photo"]}
        description |= {"classes": ["lake", "rose"], "pictures": {"train": train}, "recipe": built.recipe.name}
        description |= {"layers": built.layers, "backbone": {"name": "none"}}
        description |= {"data": {"folder": str(folder / "pacs"), "fingerprint": "f"}}
        run = folder / f"run-{seed}"
        checkpoints.start_checkpoint(run, description, None)
        save_architecture(run, built.model)
        checkpoints.save_weights(built.model, run)
    return folder


def test_the_command_writes_results_and_a_table(study, tmp_path, capsys):
    runs = [word for seed in (0, 1) for word in ("--model", str(study / f"run-{seed}"))]
    assert main(["--task", "classification", *runs, "--out", str(tmp_path)]) == 0
    assert "| tiny, none | photo | 20 |" in capsys.readouterr().out
    result = json.loads((tmp_path / "classification-tiny-photo-20-none-pacs-test.json").read_text())
    assert (result["seeds"], result["preset"], result["trained_on"]) == ([0, 1], "tiny", ["photo"])
    test = [record for record in read_pacs(study / "pacs") if record.split == "test"]
    assert list(result["answers"]) == [record.image_id for record in test]
    assert result["domains"]["sketch"]["pictures"] == 4
    import preimage

    network = preimage.load_network(study / "run-1")
    for record in test:
        expected = preimage.classify_images(network, record.path, top=1).labels[0][0].name
        assert result["answers"][record.image_id]["said"][1] == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--split", "train"], "has learned from"),
        (["--split", "all"], "has learned from"),
        (["--split", "tset"], "no image is in split 'tset'"),
    ],
)
def test_pictures_of_training_are_refused(study, tmp_path, capsys, words, reason):
    line = ["--task", "classification", "--model", str(study / "run-0"), "--out", str(tmp_path / "out"), *words]
    assert main(line) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*.json"))


def test_other_classes_and_kinds_are_refused(study, tmp_path, capsys, tiny_ranker):
    (tmp_path / "photo" / "dog").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "photo" / "dog" / f"{number}.png").touch()
    line = ["--task", "classification", "--model", str(study / "run-0"), "--out", str(tmp_path / "out")]
    assert main([*line, "--data", str(tmp_path)]) == 2
    assert "knows the classes lake, rose" in capsys.readouterr().err
    assert main(["--task", "classification", "--model", str(tiny_ranker), "--out", str(tmp_path / "out")]) == 2
    assert "expected 'classifier' for --task classification" in capsys.readouterr().err
