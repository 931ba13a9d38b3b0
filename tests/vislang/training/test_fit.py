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
from vislang.training.fit import Report, Stage, TrainingData, TrainingSpec, fit, run_training
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


def make_task(run, updates):
    task = run.model
    settings = OptimizerConfig("sgd", run.config.learning_rate)
    compile_task(task, make_optimizer(settings, updates), "mean_squared_error")
    return task


def stages(run):
    found = []
    if run.config.second_epochs:
        found.append(Stage(lambda run: Ones(0), make_task, run.config.epochs, folder="first"))
        found.append(Stage(lambda run: Ones(0), make_task, run.config.second_epochs))
    elif run.config.epochs:
        found.append(Stage(lambda run: Ones(0), make_task, run.config.epochs))
    return found


def spec_of(config, skipped=(), **changes):
    parts = {
        "kind": "toy",
        "configs": {"best": config},
        "read_data": lambda args, config: TrainingData(config=config),
        "make_model": lambda data: Scale(),
        "describe": lambda args, data, model: {"data": {"fingerprint": "0" * 8}},
        "stages": stages,
        "validate": lambda run: {"score": float(np.asarray(run.model.scale)[0, 0])},
        "score": "score",
        "report": lambda run, rows: Report({"epochs": len(rows)}, f"{len(rows)} epochs", dict(skipped)),
    }
    return TrainingSpec(**{**parts, **changes})


def arguments(out, **changes):
    return argparse.Namespace(**{"preset": "best", "set": [], "seed": 0, "out": out, "json": True, **changes})


def saved_scale(folder):
    model = Scale()
    checkpoints.load_weights(model, folder)
    return float(np.asarray(model.scale)[0, 0])


def test_a_second_stage_starts_from_the_best_of_the_first_and_counts_on(tmp_path):
    whole = tmp_path / "whole"
    run, rows = fit(arguments(whole), spec_of(ToyConfig(second_epochs=3)))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows == json.loads((whole / "history.json").read_text())
    assert rows[:2] == json.loads((whole / "first" / "history.json").read_text())
    assert rows[2]["score"] > rows[1]["score"] == pytest.approx(saved_scale(whole / "first"))
    assert saved_scale(whole) == rows[-1]["best"] == rows[-1]["score"]
    assert run.description["config"]["second_epochs"] == 3


def test_weights_that_never_get_better_are_those_of_the_first_stage(tmp_path):
    def validate(run):
        return {"score": -float(np.asarray(run.model.scale)[0, 0])}

    _, rows = fit(arguments(tmp_path), spec_of(ToyConfig(second_epochs=1), validate=validate))
    assert saved_scale(tmp_path) == saved_scale(tmp_path / "first") == -rows[0]["score"]
    assert {row["best"] for row in rows} == {rows[0]["score"]}


def test_without_a_score_the_latest_weights_are_kept(tmp_path):
    def validate(run):
        return {"dev_loss": float(np.asarray(run.model.scale)[0, 0])}

    _, rows = fit(arguments(tmp_path), spec_of(ToyConfig(epochs=3), validate=validate, score=None))
    assert saved_scale(tmp_path) == rows[-1]["dev_loss"]
    assert "best" not in rows[0]


def test_without_stages_the_weights_are_saved_as_they_were_initialized(tmp_path):
    spec = spec_of(ToyConfig(epochs=0), initialize=lambda run: run.model.scale.assign([[7.0]]))
    _, rows = fit(arguments(tmp_path), spec)
    assert rows == []
    assert saved_scale(tmp_path) == 7.0


def test_what_was_skipped_is_told_and_changes_the_exit_code(tmp_path, capsys):
    assert run_training(arguments(tmp_path / "whole"), spec_of(ToyConfig(epochs=1))) == 0
    assert json.loads(capsys.readouterr().out) == {"epochs": 1}
    skipped = {f"{index}.jpg": "is no image" for index in range(12)}
    words = arguments(tmp_path / "part", json=False)
    assert run_training(words, spec_of(ToyConfig(epochs=1), skipped=skipped)) == 3
    printed = capsys.readouterr()
    assert printed.out == "1 epochs\n"
    lines = [line for line in printed.err.splitlines() if line.startswith("skipped")]
    assert lines[0] == "skipped: 0.jpg: is no image"
    assert lines[10:] == ["skipped: 2 more"]


def test_another_run_in_the_folder_is_refused_before_statistics_are_computed(tmp_path):
    fit(arguments(tmp_path), spec_of(ToyConfig(epochs=1)))

    def initialize(run):
        raise AssertionError("computed statistics for a run that cannot start")

    with pytest.raises(CheckpointError, match="its seed differ"):
        fit(arguments(tmp_path, seed=1), spec_of(ToyConfig(epochs=1), initialize=initialize))
    other = spec_of(ToyConfig(epochs=1), describe=lambda args, data, model: {"data": {"fingerprint": "1"}})
    with pytest.raises(CheckpointError, match="its data differ"):
        fit(arguments(tmp_path), other)


def test_finish_adds_to_the_checkpoint_after_the_last_stage(tmp_path):
    def finish(run):
        (run.args.out / "extra.json").write_text(json.dumps(len(list(run.args.out.glob("history.json")))))

    fit(arguments(tmp_path), spec_of(ToyConfig(epochs=1), finish=finish))
    assert (tmp_path / "extra.json").read_text() == "1"
