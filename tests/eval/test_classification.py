"""Accuracies, confusions and their table, by hand-worked numbers; and the command on untrained networks."""

import json

import numpy as np
import pytest
from PIL import Image

from datasets.pacs import read_pacs
from eval.metrics.accuracy import accuracy, accuracy_gain, confusion_matrix, most_confused
from eval.results.kinds import ClassificationResult
from eval.results.models import ModelInfo
from eval.results.result import Row, read_results, write_result
from eval.run import main
from eval.tables.classification import ClassificationRun, TrainedOn, classification_result, classification_section
from preimage.classifier.config import ClassifierConfig
from preimage.classifier.model import ARCHITECTURE, KIND, build_classifier
from vislang.core.config import to_json
from vislang.core.errors import EvalError
from vislang.training import checkpoints


def test_accuracy_is_the_mean_over_seeds_with_their_deviation():
    right = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    found = accuracy(right)
    assert found.per_seed == [50.0, 75.0]
    assert found.mean == 62.5
    low, high = found.interval
    assert 0 <= low < 62.5 < high <= 100
    assert accuracy(np.ones((2, 5))).interval == (100.0, 100.0)
    with pytest.raises(EvalError, match="expected one or more networks"):
        accuracy(np.zeros((0, 4)))


def test_the_interval_is_that_of_a_slow_bootstrap():
    random = np.random.default_rng(0)
    right = random.random((3, 40)) < 0.7
    draws = [right[:, random.integers(40, size=40)].mean() for _ in range(4000)]
    np.testing.assert_allclose(accuracy(right).interval, 100 * np.percentile(draws, [2.5, 97.5]), atol=2.5)


def test_a_difference_is_paired_by_picture():
    right = np.random.default_rng(1).random((2, 50)) < 0.6
    assert accuracy_gain(right, right) == (0.0, (0.0, 0.0))
    # One network, wrong on every tenth picture that the other names rightly.
    other = np.ones((1, 50), bool)
    other[0, ::10] = False
    gain, interval = accuracy_gain(np.ones((1, 50), bool), other)
    assert gain == pytest.approx(10.0)
    assert interval[0] > 0
    with pytest.raises(EvalError, match="expected the same ones"):
        accuracy_gain(right, other[:, :9])


def test_confusions_and_usual_mistakes_by_hand():
    classes = ["cat", "cow", "dog"]
    counts = confusion_matrix(["cat", "cat", "dog"], [["cat", "dog", "dog"], ["dog", "dog", "cow"]], classes)
    assert counts == [[1, 0, 3], [0, 0, 0], [0, 1, 1]]
    assert most_confused(counts, classes, 5) == [("cat", "dog", 3), ("dog", "cow", 1)]
    assert most_confused(counts, classes, 1) == [("cat", "dog", 3)]


TRUTH = {f"{domain}/{label}/{n}": (domain, label) for domain in ("p", "s") for label in ("a", "b") for n in range(4)}


def result_of(trained_on, wrong, config=None, preset="tiny"):
    """Give a result of two seeds; the second takes `wrong` pictures for the other class."""
    other = {"a": "b", "b": "a"}
    trained = TrainedOn(preset, "none", [trained_on], 8, ["a", "b"])
    runs = []
    for seed in (0, 1):
        answers = {name: other[label] if seed and name in wrong else label for name, (_, label) in TRUTH.items()}
        runs.append(ClassificationRun(model=ModelInfo(seed=seed), trained=trained, predictions=answers))
    row = Row(
        name=f"{preset}-{trained_on}", system="preimage", dataset="toy", split="test", data_fingerprint="f",
        config=config or {},
    )  # fmt: skip
    return classification_result(row, runs, TRUTH)


def test_the_table_sets_networks_side_by_side(tmp_path):
    photos, sketches = result_of("p", ["s/a/0", "s/a/1"]), result_of("s", [])
    assert photos.metrics == {"p": 100.0, "s": 87.5}
    assert photos.std["s"] == pytest.approx(25 / 2**0.5)
    assert photos.domains["s"].confusion == [[6, 2], [0, 8]]
    assert [run.metrics["s"] for run in photos.per_seed] == [100.0, 75.0]
    for result in (photos, sketches):
        write_result(tmp_path, result)
    found = read_results(tmp_path, ClassificationResult)
    assert found == [photos, sketches]
    table = classification_section(found)
    rows = [line for line in table.splitlines() if line.startswith("| tiny")]
    assert len(rows) == 2
    assert "**100.0 ± 0.0** (100–100)" in rows[0]
    assert "87.5 ± 17.7 (" in rows[0]
    assert "8 of p minus 8 of s: p +0.0 (+0 to +0), s -12.5 (" in table
    assert "s: a → b 2" in table
    assert "chance 50.0" in table
    apart = classification_section([photos, result_of("s", [], {"other": 1})])
    assert "minus" not in apart


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
    config = ClassifierConfig(backbone="", channels=(4,), preprocessing="squash-64-tf/v1", updates=12, head_updates=0)
    train = [record.image_id for record in read_pacs(folder / "pacs") if record.split == "train"]
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        built = build_classifier(config, ["lake", "rose"])
        built.model.get_layer("classes").kernel.assign(np.random.default_rng(seed).normal(size=(4, 2)) * 9)
        description = {"kind": KIND, "preset": "tiny", "config": to_json(config), "seed": seed, "domains": ["photo"]}
        description |= {
            "classes": ["lake", "rose"],
            "images": {"train": train},
            "preprocessing": built.preprocessing.name,
        }
        description |= {"layers": built.layers, "backbone": {"name": "none"}}
        description |= {"data": {"folder": str(folder / "pacs"), "fingerprint": "f"}}
        run = folder / f"run-{seed}"
        checkpoints.start_checkpoint(run, description, None)
        (run / ARCHITECTURE).write_text(built.model.to_json())
        checkpoints.save_weights(built.model, run)
    return folder


def test_the_command_writes_results_and_a_table(study, tmp_path, capsys):
    runs = [str(study / f"run-{seed}") for seed in (0, 1)]
    assert main(["classification", "--model", *runs, "--out", str(tmp_path)]) == 0
    assert "| tiny, no backbone | photo | 20 |" in capsys.readouterr().out
    result = json.loads((tmp_path / "classification-tiny-photo-20-none-pacs-test.json").read_text())
    assert [run["seed"] for run in result["per_seed"]] == [0, 1]
    assert (result["preset"], result["trained_on"]) == ("tiny", ["photo"])
    test = [record for record in read_pacs(study / "pacs") if record.split == "test"]
    assert list(result["predictions"]) == [record.image_id for record in test]
    assert result["domains"]["sketch"]["images"] == 4
    import preimage

    network = preimage.load_network(study / "run-1")
    for record in test:
        expected = preimage.classify_images(network, record.path, top=1).labels[0][0].name
        assert result["predictions"][record.image_id]["predicted"][1] == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--split", "train"], "was trained on"),
        (["--split", "all"], "was trained on"),
        (["--split", "tset"], "no image is in split 'tset'"),
    ],
)
def test_pictures_of_training_are_refused(study, tmp_path, capsys, words, reason):
    line = ["classification", "--model", str(study / "run-0"), "--out", str(tmp_path / "out"), *words]
    assert main(line) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*.json"))


def test_other_classes_and_kinds_are_refused(study, tmp_path, capsys, tiny_ranker):
    (tmp_path / "photo" / "dog").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "photo" / "dog" / f"{number}.png").touch()
    line = ["classification", "--model", str(study / "run-0"), "--out", str(tmp_path / "out")]
    assert main([*line, "--data", str(tmp_path)]) == 2
    assert "has the classes lake, rose" in capsys.readouterr().err
    assert main(["classification", "--model", str(tiny_ranker), "--out", str(tmp_path / "out")]) == 2
    assert "expected 'classifier'; evaluate this one with: python -m eval.run retrieval" in capsys.readouterr().err
