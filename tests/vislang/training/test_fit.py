"""`fit` with a toy system: stages follow one another, what is skipped is told, other runs are refused."""

import argparse
import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from vislang.core.errors import CheckpointError
from vislang.training import checkpoints
from vislang.training.epoch_batches import EpochBatches
from vislang.training.fit import Report, Stage, Training, fit, run_training
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer


@dataclass(frozen=True)
class ToyConfig:
    epochs: int = 2
    second_epochs: int = 0
    learning_rate: float = 0.1


class Ones(EpochBatches):
    def plan(self, epoch):
        return [np.ones(3, np.float32)] * 4

    def batch(self, rows):
        return rows[:, None], rows[:, None]


class Scale(keras.Model):
    """Multiplies by a weight that ought to be 1."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(1, 1), initializer="zeros", name="scale")
        self.built = True

    def call(self, values):
        return values @ self.scale


class ToyTraining(Training):
    kind = "toy"
    score = "score"
    skipped = {}

    def read_data(self):
        pass

    def describe(self):
        return {"data": {"fingerprint": "0" * 8}}

    def make_model(self):
        return Scale()

    def make_task(self, updates):
        settings = OptimizerConfig("sgd", self.config.learning_rate)
        compile_task(self.model, make_optimizer(settings, updates), "mean_squared_error")
        return self.model

    def stages(self):
        found = []
        if self.config.second_epochs:
            found.append(Stage(lambda: Ones(0), self.make_task, self.config.epochs, folder="first"))
            found.append(Stage(lambda: Ones(0), self.make_task, self.config.second_epochs))
        elif self.config.epochs:
            found.append(Stage(lambda: Ones(0), self.make_task, self.config.epochs))
        return found

    def validate(self):
        return {"score": float(np.asarray(self.model.scale)[0, 0])}

    def report(self, rows):
        return Report({"epochs": len(rows)}, f"{len(rows)} epochs", self.skipped)


def training(config, args, **changes):
    """A training whose methods and attributes in `changes` replace those of `ToyTraining`."""
    return type("Changed", (ToyTraining,), {"configs": {"best": config}, **changes})(args)


def arguments(out, **changes):
    usual = {"preset": "best", "set": [], "seed": 0, "devices": 1, "out": out, "json": True}
    return argparse.Namespace(**{**usual, **changes})


def saved_scale(folder):
    model = Scale()
    checkpoints.load_weights(model, folder)
    return float(np.asarray(model.scale)[0, 0])


def test_a_second_stage_starts_from_the_best_of_the_first_and_counts_on(tmp_path):
    whole = tmp_path / "whole"
    toy = training(ToyConfig(second_epochs=3), arguments(whole))
    rows = fit(toy)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows == json.loads((whole / "history.json").read_text())
    assert rows[:2] == json.loads((whole / "first" / "history.json").read_text())
    assert rows[2]["score"] > rows[1]["score"] == pytest.approx(saved_scale(whole / "first"))
    assert saved_scale(whole) == rows[-1]["best"] == rows[-1]["score"]
    assert toy.description["config"]["second_epochs"] == 3


def test_weights_that_never_get_better_are_those_of_the_first_stage(tmp_path):
    def validate(run):
        return {"score": -float(np.asarray(run.model.scale)[0, 0])}

    rows = fit(training(ToyConfig(second_epochs=1), arguments(tmp_path), validate=validate))
    assert saved_scale(tmp_path) == saved_scale(tmp_path / "first") == -rows[0]["score"]
    assert {row["best"] for row in rows} == {rows[0]["score"]}


def test_without_a_score_the_latest_weights_are_kept(tmp_path):
    def validate(run):
        return {"dev_loss": float(np.asarray(run.model.scale)[0, 0])}

    rows = fit(training(ToyConfig(epochs=3), arguments(tmp_path), validate=validate, score=None))
    assert saved_scale(tmp_path) == rows[-1]["dev_loss"]
    assert "best" not in rows[0]


def test_without_stages_the_weights_are_saved_as_they_were_initialized(tmp_path):
    initialize = lambda run: run.model.scale.assign([[7.0]])  # noqa: E731
    assert fit(training(ToyConfig(epochs=0), arguments(tmp_path), initialize=initialize)) == []
    assert saved_scale(tmp_path) == 7.0


def test_what_was_skipped_is_told_and_changes_the_exit_code(tmp_path, capsys):
    assert run_training(training(ToyConfig(epochs=1), arguments(tmp_path / "whole"))) == 0
    assert json.loads(capsys.readouterr().out) == {"epochs": 1}
    skipped = {f"{index}.jpg": "is no image" for index in range(12)}
    words = arguments(tmp_path / "part", json=False)
    assert run_training(training(ToyConfig(epochs=1), words, skipped=skipped)) == 3
    printed = capsys.readouterr()
    assert printed.out == "1 epochs\n"
    lines = [line for line in printed.err.splitlines() if line.startswith("skipped")]
    assert lines[0] == "skipped 0.jpg: is no image"
    assert lines[10:] == ["skipped 2 more"]


def test_another_run_in_the_folder_is_refused_before_statistics_are_computed(tmp_path):
    fit(training(ToyConfig(epochs=1), arguments(tmp_path)))

    def initialize(run):
        raise AssertionError("computed statistics for a run that cannot start")

    with pytest.raises(CheckpointError, match="its seed differ"):
        fit(training(ToyConfig(epochs=1), arguments(tmp_path, seed=1), initialize=initialize))
    other = training(ToyConfig(epochs=1), arguments(tmp_path), describe=lambda run: {"data": {"fingerprint": "1"}})
    with pytest.raises(CheckpointError, match="its data differ"):
        fit(other)


def test_finish_adds_to_the_checkpoint_after_the_last_stage(tmp_path):
    def finish(run):
        (run.args.out / "extra.json").write_text(json.dumps(len(list(run.args.out.glob("history.json")))))

    fit(training(ToyConfig(epochs=1), arguments(tmp_path), finish=finish))
    assert (tmp_path / "extra.json").read_text() == "1"
