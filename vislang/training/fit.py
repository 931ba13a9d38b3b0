"""One training for every system: a `TrainingSpec` says what is trained on what, `fit` does the rest.

    settings -> data -> model -> config.json -> statistics without gradients -> stages of gradient descent -> report

A run that is killed at any moment resumes exactly when the same command is given again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from vislang.core.cli import DONE, SKIPPED_SOME, chosen_config, import_backend_quietly
from vislang.core.config import to_json
from vislang.core.files import require_writable_folder
from vislang.core.seeds import seed_everything
from vislang.text.vocabulary import Vocabulary
from vislang.training import checkpoints
from vislang.training.callbacks import ResumableTraining, Row, fit_resumably
from vislang.training.epoch_batches import EpochBatches

_SHOWN = 10  # skipped images that are named


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a training learns from; systems add fields of their own.

    Attributes:
        config: the final settings.
        vocabulary: the words of the model; None: it reads none.
    """

    config: Any
    vocabulary: Vocabulary | None = None


@dataclass(frozen=True)
class Run:
    """A training that `fit` has started.

    Attributes:
        args: the command line; see `vislang.core.cli`.
        data: what it learns from.
        model: the network whose weights are the checkpoint.
        description: the checkpoint's config.json.
        started: `time.monotonic` at the start, in seconds.
    """

    args: argparse.Namespace
    data: Any
    model: keras.Model
    description: dict[str, Any]
    started: float

    @property
    def config(self) -> Any:
        """The settings."""
        return self.data.config

    @property
    def seconds(self) -> float:
        """Seconds since the start, to a tenth."""
        return round(time.monotonic() - self.started, 1)


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own task, batches and number of epochs.

    Attributes:
        make_batches: returns what the task trains on.
        make_task: returns the compiled model that trains, given the run and the number of updates of the stage.
        epochs: how many.
        folder: name of the stage's checkpoint inside --out; "": --out itself. The last stage has "".
        validate_updates: validate every so many updates; 0: once per epoch.
        num_kept: so many of the best weights are kept.
        callbacks: of this stage alone.
    """

    make_batches: Callable[[Run], EpochBatches]
    make_task: Callable[[Run, int], keras.Model]
    epochs: int
    folder: str = ""
    validate_updates: int = 0
    num_kept: int = 1
    callbacks: tuple[keras.callbacks.Callback, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a training command says when it has finished.

    Attributes:
        values: for `--json`.
        text: one line, without it.
        skipped: name of each image that could not be used, and the reason.
    """

    values: dict[str, Any]
    text: str
    skipped: Mapping[str, str]


@dataclass(frozen=True)
class TrainingSpec:
    """What a system's training consists of.

    Attributes:
        kind: of the checkpoint.
        configs: settings by name of the preset.
        read_data: reads what the command line names, given it and the settings of the preset.
        make_model: builds the network.
        describe: returns what config.json says beside kind, preset, config and seed; "data" has a "fingerprint".
        stages: of the training; none where nothing is trained by gradients.
        validate: returns the metrics of the current weights.
        report: returns what is printed at the end, given the history.
        score: the metric, higher is better, that selects the best weights; None: the latest weights are kept.
        initialize: sets what is computed from the data without gradients.
        finish: adds to the checkpoint when all stages are done.
    """

    kind: str
    configs: Mapping[str, Any]
    read_data: Callable[[argparse.Namespace, Any], Any]
    make_model: Callable[[Any], keras.Model]
    describe: Callable[[argparse.Namespace, Any, keras.Model], dict[str, Any]]
    stages: Callable[[Run], Sequence[Stage]]
    validate: Callable[[Run], dict[str, float]]
    report: Callable[[Run, list[Row]], Report]
    score: str | None = None
    initialize: Callable[[Run], None] | None = None
    finish: Callable[[Run], None] | None = None


def run_training(args: argparse.Namespace, spec: TrainingSpec) -> int:
    """Train, print the report and return the exit code of the command.

    Args:
        args: with preset, set, seed, out, json and what `spec` reads.
        spec: of the system.

    Raises:
        ToolkitError: an unknown name or setting, or files that are missing, damaged or cannot be written.
    """
    run, rows = fit(args, spec)
    report = spec.report(run, rows)
    print(json.dumps(report.values) if args.json else report.text)
    for name, reason in list(report.skipped.items())[:_SHOWN]:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    if len(report.skipped) > _SHOWN:
        print(f"skipped: {len(report.skipped) - _SHOWN} more", file=sys.stderr)
    if report.skipped:
        return SKIPPED_SOME
    return DONE


def fit(args: argparse.Namespace, spec: TrainingSpec) -> tuple[Run, list[Row]]:
    """Build everything, resume an earlier run if there is one, and train to the last epoch.

    Args:
        args: as for `run_training`.
        spec: of the system.

    Returns:
        the run and its history, one row per epoch.

    Raises:
        ToolkitError: as for `run_training`.
    """
    started = time.monotonic()
    config = chosen_config(args, spec.configs)
    require_writable_folder(args.out)
    import_backend_quietly()
    seed_everything(args.seed)
    data = spec.read_data(args, config)
    model = spec.make_model(data)
    description = {"kind": spec.kind, "preset": args.preset, "config": to_json(data.config), "seed": args.seed}
    description |= spec.describe(args, data, model)
    checkpoints.start_or_continue(args.out, description, data.vocabulary)
    run = Run(args, data, model, description, started)
    if spec.initialize is not None:
        spec.initialize(run)
    stages = spec.stages(run)
    if not stages:
        checkpoints.save_weights(model, args.out)
    rows: list[Row] = []
    previous: Path | None = None
    for stage in stages:
        rows = _train_stage(run, spec, stage, rows, previous)
        previous = args.out / stage.folder
    if spec.finish is not None:
        spec.finish(run)
    return run, rows


def _train_stage(run: Run, spec: TrainingSpec, stage: Stage, rows: list[Row], previous: Path | None) -> list[Row]:
    """Train one stage, from the best weights of the previous one, and return the history of both."""
    folder = run.args.out / stage.folder
    checkpoints.start_or_continue(folder, run.description, run.data.vocabulary)
    keeper = ResumableTraining(
        folder,
        lambda: spec.validate(run),
        run.model,
        score=spec.score,
        validate_updates=stage.validate_updates,
        num_kept=stage.num_kept,
    )
    if previous is not None:
        checkpoints.load_weights(run.model, previous)
        if not (folder / checkpoints.STATE).is_file():
            checkpoints.save_weights(run.model, folder)  # the weights that this stage has to beat
        keeper.continue_from(rows)
    batches = stage.make_batches(run)
    task = stage.make_task(run, stage.epochs * len(batches))
    tensorboard = vars(run.args).get("tensorboard")  # not every training has the option
    return fit_resumably(task, batches, keeper, epochs=stage.epochs, tensorboard=tensorboard, callbacks=stage.callbacks)
