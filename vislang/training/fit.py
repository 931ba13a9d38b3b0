"""One training for every system: a subclass of `Training` says what is trained on what, `fit` does the rest.

    settings -> data -> config.json -> model -> statistics without gradients -> stages of gradient descent -> report

A run that is killed at any moment resumes exactly when the same command is given again.
"""

import argparse
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras

from vislang.core.bundled_models import refuse_bundled
from vislang.core.cli import DONE, SKIPPED_SOME, print_skipped
from vislang.core.config import to_json
from vislang.core.config_options import chosen_config
from vislang.core.files import only_writer, require_writable_folder
from vislang.core.seeds import seed_everything
from vislang.text.vocabulary import Vocabulary
from vislang.training import checkpoints
from vislang.training.callbacks import ResumableTraining, Row, fit_resumably
from vislang.training.devices import several_devices
from vislang.training.epoch_batches import EpochBatches

_SHOWN = 10  # skipped images that are named


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own task, batches and number of epochs.

    Attributes:
        make_batches: returns what the task trains on.
        make_task: returns the compiled model that trains, given the number of updates of the stage.
        epochs: how many.
        folder: name of the stage's checkpoint inside --out; "": --out itself. The last stage has "".
        validate_updates: validate every so many updates; 0: once per epoch.
        num_kept: so many of the best weights are kept.
        validates: whether the weights with the best score are kept; False: the last ones.
        callbacks: of this stage alone.
    """

    make_batches: Callable[[], EpochBatches]
    make_task: Callable[[int], keras.Model]
    epochs: int
    folder: str = ""
    validate_updates: int = 0
    num_kept: int = 1
    validates: bool = True
    callbacks: tuple[keras.callbacks.Callback, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a training command prints at the end.

    Attributes:
        values: for `--json`.
        text: one line, without it.
        skipped: name of each image that could not be used, and the reason.
    """

    values: dict[str, Any]
    text: str
    skipped: Mapping[str, str]


class Training(ABC):
    """The training of one system, as a command line describes it.

    Args:
        args: with preset, set, seed, devices, out, json and what `read_data` reads.

    Attributes:
        kind: of the checkpoint.
        configs: settings by name of the preset.
        score: the metric, higher is better, that selects the best weights; None: the latest weights are kept.
        config: the settings; final after `read_data`.
        vocabulary: the words of the model; None: it reads none.
        description: the checkpoint's config.json.
        model: the network whose weights are the checkpoint.

    Raises:
        ConfigError: an unknown preset or setting.
    """

    kind: ClassVar[str]
    configs: ClassVar[Mapping[str, Any]]
    score: ClassVar[str | None] = None
    description: dict[str, Any]
    model: Any

    def __init__(self, args: argparse.Namespace):
        self.started = time.monotonic()
        self.args = args
        self.config: Any = chosen_config(args, self.configs)
        self.vocabulary: Vocabulary | None = None

    @abstractmethod
    def read_data(self) -> None:
        """Read what the command line names into attributes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what config.json holds beside kind, preset, config and seed; "data" has a "fingerprint"."""

    @abstractmethod
    def make_model(self) -> keras.Model:
        """Build the network of `description`."""

    def initialize(self) -> None:  # noqa: B027
        """Set what is computed from the data without gradients."""

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """Return the stages; none where nothing is trained by gradients."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return the metrics of the current weights."""

    def finish(self) -> None:  # noqa: B027
        """Add to the checkpoint when all stages are done."""

    @abstractmethod
    def report(self, rows: list[Row]) -> Report:
        """Return what is printed at the end, given the history."""


def run_training(training: Training) -> int:
    """Train, print the report and return the exit code of the command.

    Raises:
        ToolkitError: as for `fit`.
    """
    report = training.report(fit(training))
    print(json.dumps(report.values) if training.args.json else report.text)
    for name, reason in list(report.skipped.items())[:_SHOWN]:
        print_skipped(f"{name}: {reason}")
    if len(report.skipped) > _SHOWN:
        print_skipped(f"{len(report.skipped) - _SHOWN} more")
    if report.skipped:
        return SKIPPED_SOME
    return DONE


def fit(training: Training) -> list[Row]:
    """Build everything, resume an earlier run if any, train to the last epoch and return the history, a row per epoch.

    Raises:
        ToolkitError: an unknown name, files that are missing, damaged or cannot be written, devices that there are
            not, or another process that trains into the same folder.
    """
    out = training.args.out
    refuse_bundled(out)
    with several_devices(training.args.devices), only_writer(out, require_writable_folder(out) / checkpoints.LOCK):
        return _fit(training)


def _fit(training: Training) -> list[Row]:
    args = training.args
    seed_everything(args.seed)
    training.read_data()
    description = {"kind": training.kind, "preset": args.preset, "config": to_json(training.config), "seed": args.seed}
    training.description = {**description, **training.describe()}
    training.model = training.make_model()
    checkpoints.start_or_continue(args.out, training.description, training.vocabulary)
    training.initialize()
    stages = training.stages()
    if not stages:
        checkpoints.save_weights(training.model, args.out)
    rows: list[Row] = []
    previous: Path | None = None
    for stage in stages:
        rows = _train_stage(training, stage, rows, previous)
        previous = args.out / stage.folder
    training.finish()
    return rows


def _train_stage(training: Training, stage: Stage, rows: list[Row], previous: Path | None) -> list[Row]:
    """Train one stage, from the best weights of the previous one, and return the history of both."""
    folder = training.args.out / stage.folder
    checkpoints.start_or_continue(folder, training.description, training.vocabulary)
    validate, score = training.validate, training.score
    if not stage.validates:
        validate, score = dict, None
    keeper = ResumableTraining(
        folder,
        validate,
        training.model,
        score=score,
        validate_updates=stage.validate_updates,
        num_kept=stage.num_kept,
    )
    if previous is not None:
        checkpoints.load_weights(training.model, previous)
        if not (folder / checkpoints.STATE).is_file():
            checkpoints.save_weights(training.model, folder)  # those that this stage has to beat, if they have a score
        keeper.continue_from(rows)
    batches = stage.make_batches()
    task = stage.make_task(stage.epochs * len(batches))
    tensorboard = vars(training.args).get("tensorboard")  # not every training has the option
    return fit_resumably(task, batches, keeper, epochs=stage.epochs, tensorboard=tensorboard, callbacks=stage.callbacks)
