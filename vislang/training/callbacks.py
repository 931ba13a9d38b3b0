"""Callbacks every training shares: keep the best weights, and stop and go on as if nothing had happened."""

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


class ResumableTraining(keras.callbacks.Callback):
    """Validate, keep the best weights, and save everything after each epoch.

    A run that is killed and started again repeats the epoch it was in and then equals, bit for bit on a CPU, the
    run that was never killed: variables, optimiser, random states, best score and history come from one file.

    Args:
        folder: the checkpoint folder.
        validate: gives the metrics of the current weights; higher `score` is better.
        score: the name of the metric that selects the best weights.
        saved_model: the model whose weights are the checkpoint, built; often a part of the one that trains.
        every_updates: validate every so many updates; 0 means at the end of each epoch.
        kept: so many of the best weights are kept, each in a file of its own; 1: the best alone.
    """

    def __init__(
        self,
        folder: Path,
        validate: Callable[[], dict[str, float]],
        *,
        score: str,
        saved_model: keras.Model,
        every_updates: int = 0,
        kept: int = 1,
    ):
        super().__init__()
        self.folder, self.validate, self.score = folder, validate, score
        self.saved_model, self.every_updates, self.kept = saved_model, every_updates, kept
        self.best, self.epochs_done, self.updates = -np.inf, 0, 0
        self.rows: list[dict[str, Any]] = []
        self._standing: list[list[float]] = []  # [score, updates] of the weights that are kept
        self._latest: dict[str, float] = {}

    def resume(self, task: keras.Model) -> bool:
        """Take up the state of an earlier run in the folder.

        Args:
            task: the model that trains, with its optimiser, all variables made.

        Returns:
            whether there was one.
        """
        path = self.folder / checkpoints.STATE
        if not path.is_file():
            return False
        variables = _variables(task)
        arrays, progress = checkpoints.load_state(path, [np.asarray(variable) for variable in variables])
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.best, self.epochs_done, self.updates = progress["best"], progress["epochs_done"], progress["updates"]
        self.rows, self._latest = progress["history"], progress.get("latest", {})
        self._standing = progress.get("standing", [])
        return True

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Validate in mid-epoch where the settings ask for it, and stop on a loss that is no number."""
        self.updates += 1
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise CheckpointError(
                f"the loss became {loss} at update {self.updates}; lower the rate, such as --set learning_rate=0.0001"
            )
        if self.every_updates and self.updates % self.every_updates == 0:
            self._validate_and_keep()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Validate, add a row to the history and save the state."""
        if not (self.every_updates and self._latest):
            self._validate_and_keep()
        seconds = time.monotonic() - self._started
        self.epochs_done = epoch + 1
        measured = {name: float(value) for name, value in (logs or {}).items()}
        row = {"epoch": self.epochs_done, "loss": np.nan, **measured, **self._latest}
        self.rows.append({**row, "best": self.best, "seconds": round(seconds, 2)})
        if logs is not None:
            logs.update(self._latest)
        write_json(self.folder / checkpoints.HISTORY, self.rows)
        self._save()

    def _validate_and_keep(self) -> None:
        self._latest = self.validate()
        if self._latest[self.score] > self.best:
            self.best = self._latest[self.score]
            checkpoints.save_weights(self.saved_model, self.folder)
        if self.kept > 1:
            self._keep_several()

    def _keep_several(self) -> None:
        """Keep these weights if they are among the best, and let the worst go."""
        score = self._latest[self.score]
        if len(self._standing) == self.kept and score <= min(self._standing)[0]:
            return
        checkpoints.save_weights(self.saved_model, self.folder, checkpoints.kept_name(self.updates))
        self._standing = sorted([*self._standing, [score, self.updates]])
        if len(self._standing) > self.kept:
            _, updates = self._standing.pop(0)
            (self.folder / checkpoints.kept_name(int(updates))).unlink(missing_ok=True)

    def _save(self) -> None:
        progress = {"best": self.best, "epochs_done": self.epochs_done, "updates": self.updates, "history": self.rows}
        progress |= {"latest": self._latest, "standing": self._standing}
        arrays = [np.asarray(variable) for variable in _variables(self.model)]
        checkpoints.save_state(self.folder / checkpoints.STATE, arrays, progress)


def _variables(task: keras.Model) -> list[Any]:
    """Everything that changes while a task trains, random states included."""
    return [*task.variables, *task.optimizer.variables]


def fit_resumably(
    task: keras.Model,
    batches: Any,
    keeper: ResumableTraining,
    *,
    first: int = 0,
    epochs: int,
    tensorboard: Any = None,
    more: Sequence[keras.callbacks.Callback] = (),
) -> list[dict[str, Any]]:
    """Train from where the folder stands to the last epoch.

    Args:
        task: the model that trains, with its optimiser, all variables made.
        batches: a `keras.utils.PyDataset` that can `start_at` an epoch.
        keeper: validates and saves.
        first: epochs of an earlier phase, which `batches` does not count.
        epochs: the last one, those of the earlier phase counted.
        tensorboard: folder for its logs, or None.
        more: callbacks of this training alone.

    Returns:
        the history, one row per epoch.
    """
    if keeper.resume(task):
        print(f"{keeper.folder}: going on after epoch {keeper.epochs_done} of {epochs}", file=sys.stderr)
    batches.start_at(keeper.epochs_done - first)
    callbacks = [*more, keeper, ProgressLines(epochs, len(batches))]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(tensorboard))
    # Keras would shuffle the batches once more, by a random state that no checkpoint holds.
    task.fit(batches, initial_epoch=keeper.epochs_done, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)
    return keeper.rows


class ProgressLines(keras.callbacks.Callback):
    """A bar while an epoch runs, for a person at a terminal, and one line per epoch on stderr for everyone.

    Args:
        epochs: how many there will be in all.
        updates: in each of them.
    """

    def __init__(self, epochs: int, updates: int):
        super().__init__()
        self.epochs, self.updates = epochs, updates
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the bar."""
        label = f"epoch {epoch + 1}/{self.epochs}"
        self._bar = tqdm(total=self.updates, desc=label, leave=False, disable=not progress_is_shown(), unit="update")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line."""
        self._bar.close()
        numbers = " ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1}/{self.epochs} {numbers}", file=sys.stderr, flush=True)
