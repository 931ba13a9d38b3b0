"""Callbacks of every training: keep the best weights, resume exactly after a stop, report progress."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from vislang.core.cli import progress_is_shown
from vislang.core.errors import CheckpointError
from vislang.core.files import write_json
from vislang.training import checkpoints
from vislang.training.epoch_batches import EpochBatches

Row = dict[str, Any]  # of the history


class ResumableTraining(keras.callbacks.Callback):
    """Validate, keep the best weights, and save the whole state after each epoch.

    A run that is killed and started again repeats the epoch it was in and then equals, bit for bit on a CPU, the
    run that was never killed: variables, optimizer, random states, best score and history come from one file.

    Args:
        validate: returns the metrics of the current weights.
        saved_model: the model whose weights are the checkpoint, built; often a part of the one that trains.
        score: the metric, higher is better, that selects the weights; None: the latest weights are kept.
        validate_updates: validate every so many updates; 0: at the end of each epoch.
        num_kept: keep so many of the best weights, each in a file of its own; 1: the best alone.
    """

    def __init__(
        self,
        folder: Path,
        validate: Callable[[], dict[str, float]],
        saved_model: keras.Model,
        *,
        score: str | None = None,
        validate_updates: int = 0,
        num_kept: int = 1,
    ):
        super().__init__()
        self.folder = folder
        self.validate = validate
        self.saved_model = saved_model
        self.score = score
        self.validate_updates = validate_updates
        self.num_kept = num_kept
        self.best = -np.inf
        self.epochs_done = 0
        self.updates = 0
        self.rows: list[Row] = []
        self._kept: list[list[float]] = []  # [score, updates] of the weights in files of their own, worst first
        self._latest: dict[str, float] = {}

    def resume(self, task: keras.Model) -> bool:
        """Load the state of an earlier run in the folder; return whether there was one.

        Args:
            task: the model that trains, with its optimizer, all variables made.
        """
        path = self.folder / checkpoints.STATE
        if not path.is_file():
            return False
        variables = _variables(task)
        arrays, progress = checkpoints.load_state(path, list(map(np.asarray, variables)))
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.best = progress["best"]
        self.epochs_done = progress["epochs_done"]
        self.updates = progress["updates"]
        self.rows = progress["history"]
        self._latest = progress["latest"]
        self._kept = progress["kept"]
        return True

    def continue_from(self, rows: list[Row]) -> None:
        """Count epochs on from an earlier stage, whose best weights, where it had a score, are those to beat.

        Args:
            rows: the history of that stage.
        """
        self.rows = list(rows)
        self.epochs_done = len(rows)
        self.best = rows[-1].get("best", self.best)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Validate within the epoch where the settings ask for it.

        Raises:
            CheckpointError: the loss is not finite.
        """
        self.updates += 1
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise CheckpointError(
                f"the loss became {loss} at update {self.updates}, expected a finite number; lower the learning rate,"
                " such as --set learning_rate=0.0001"
            )
        if self.validate_updates and self.updates % self.validate_updates == 0:
            self._validate_and_keep()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Validate, add a row to the history and save the state."""
        if not (self.validate_updates and self._latest):
            self._validate_and_keep()
        self.epochs_done = epoch + 1
        measured = {name: float(value) for name, value in (logs or {}).items()}
        row = {"epoch": self.epochs_done, "loss": np.nan, **measured, **self._latest}
        if self.score is not None:
            row["best"] = self.best
        row["seconds"] = round(time.monotonic() - self._started, 2)
        self.rows.append(row)
        if logs is not None:
            logs.update(self._latest)
        write_json(self.folder / checkpoints.HISTORY, self.rows)
        self._save()

    def _validate_and_keep(self) -> None:
        _ = self.model  # on JAX, asking for it brings the variables up to date, which otherwise are so after an epoch
        self._latest = self.validate()
        if self.score is None:
            checkpoints.save_weights(self.saved_model, self.folder)
            return
        if self._latest[self.score] > self.best:
            self.best = self._latest[self.score]
            checkpoints.save_weights(self.saved_model, self.folder)
        if self.num_kept > 1:
            self._keep_several(self._latest[self.score])

    def _keep_several(self, score: float) -> None:
        """Keep these weights if they are among the best, and delete the worst."""
        if len(self._kept) == self.num_kept and score <= self._kept[0][0]:
            return
        checkpoints.save_weights(self.saved_model, self.folder, checkpoints.kept_name(self.updates))
        self._kept = sorted([*self._kept, [score, self.updates]])
        if len(self._kept) > self.num_kept:
            _, updates = self._kept.pop(0)
            (self.folder / checkpoints.kept_name(int(updates))).unlink(missing_ok=True)

    def _save(self) -> None:
        progress = {
            "best": self.best,
            "epochs_done": self.epochs_done,
            "updates": self.updates,
            "history": self.rows,
            "latest": self._latest,
            "kept": self._kept,
        }
        arrays = list(map(np.asarray, _variables(self.model)))
        checkpoints.save_state(self.folder / checkpoints.STATE, arrays, progress)


def _variables(task: keras.Model) -> list[Any]:
    """Return everything that changes while a task trains, random states included."""
    return [*task.variables, *task.optimizer.variables]


def fit_resumably(
    task: keras.Model,
    batches: EpochBatches,
    keeper: ResumableTraining,
    *,
    epochs: int,
    tensorboard: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Row]:
    """Train from where the folder stands to the last epoch, and return the history, one row per epoch.

    Args:
        task: the model that trains, with its optimizer, all variables made.
        batches: what it trains on.
        keeper: validates and saves; it may already count the epochs of an earlier stage.
        epochs: of this stage.
        tensorboard: folder for TensorBoard's logs, or None.
        callbacks: of this training alone.
    """
    earlier = keeper.epochs_done
    last = earlier + epochs
    if keeper.resume(task):
        print(f"{keeper.folder}: resuming after epoch {keeper.epochs_done} of {last}", file=sys.stderr)
    starter = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start_at(epoch - earlier))
    callbacks = [starter, *callbacks, keeper, ProgressLines(last, len(batches))]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(tensorboard))
    # Keras would shuffle the batches once more, by a random state that no checkpoint holds.
    task.fit(batches, initial_epoch=keeper.epochs_done, epochs=last, callbacks=callbacks, shuffle=False, verbose=0)
    return keeper.rows


class ProgressLines(keras.callbacks.Callback):
    """Show a progress bar during an epoch, at a terminal only, and print one line per epoch to stderr.

    Args:
        epochs: how many there will be in all.
        updates: in each of them.
    """

    def __init__(self, epochs: int, updates: int):
        super().__init__()
        self.epochs = epochs
        self.updates = updates
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the bar."""
        label = f"epoch {epoch + 1}/{self.epochs}"
        self._bar = tqdm(total=self.updates, desc=label, leave=False, disable=not progress_is_shown(), unit="update")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advance the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line."""
        self._bar.close()
        values = " ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1}/{self.epochs} {values}", file=sys.stderr, flush=True)
