"""Runs of the training commands on the toy data, and gradients of training tasks."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, sys, importlib
from vislang.training.callbacks import ResumableTraining

module, moment, count, *words = sys.argv[1:]
before = getattr(ResumableTraining, moment)

def die(self):
    if (self.updates if moment == "on_train_batch_end" else self.epochs_done) == int(count):
        os.kill(os.getpid(), 9)

def instead(self, *arguments, **options):
    if moment == "_save":
        die(self)
    before(self, *arguments, **options)
    die(self)

setattr(ResumableTraining, moment, instead)
importlib.import_module(module).main(words)
"""


def arguments(toy_data, out, *settings, preset, seed=1, cache=None):
    """The command line of a training on the toy data."""
    words = ["--dataset", "karpathy", "--data", str(toy_data), "--cache", str(cache or toy_data / "features.h5")]
    words += ["--backbone", "toy", "--preset", preset, "--seed", str(seed), "--out", str(out)]
    for setting in settings:
        words += ["--set", setting]
    return words


def killed_run(module, moment, count, words):
    """Run a training command that kills itself at a moment of `ResumableTraining`.

    Args:
        module: the command.
        moment: "on_train_batch_end" or "on_epoch_end", after it; "_save", before it.
        count: of updates or, but for "on_train_batch_end", epochs.
        words: the command line.
    """
    command = [sys.executable, "-c", KILLED, module, moment, str(count), *words]
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    assert subprocess.run(command, cwd=ROOT, **quiet).returncode == -signal.SIGKILL


def history(folder: Path) -> list[dict]:
    """The rows of a run, without what a clock measured."""
    rows = json.loads((folder / "history.json").read_text())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def variables(folder: Path) -> dict[str, np.ndarray]:
    """The variables of a training's last state."""
    with np.load(folder / "training_state.npz", allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files if name != "progress"}


def assert_equal_runs(first: Path, second: Path) -> None:
    """Check that the last states and histories of two runs are equal, bit for bit."""
    one, other = variables(first), variables(second)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert history(first) == history(second)


def gradients_of(task, loss_of) -> list[np.ndarray]:
    """The gradients of `loss_of(task)` with respect to the task's trainable variables."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = loss_of(task)
    found = tape.gradient(loss, [variable.value for variable in task.trainable_variables])
    return [np.asarray(tf.convert_to_tensor(gradient)) for gradient in found]


def assert_gradients_equal_finite_differences(task, loss_of, *, places, rel, abs_, most_kinks=0.0, step=1e-6) -> None:
    """Compare the gradient of every weight with finite differences at some random places, in float64.

    Where a ReLU or maximum bends within the step there is no gradient; at most a share `most_kinks` is skipped.
    """
    import tensorflow as tf

    loss = tf.function(lambda: loss_of(task))
    random, here, kinks, tried = np.random.default_rng(0), float(loss_of(task)), 0, 0
    for variable, gradient in zip(task.trainable_variables, gradients_of(task, loss_of), strict=True):
        value = np.array(variable)
        assert value.dtype == gradient.dtype == np.float64
        for place in random.permutation(value.size)[:places]:
            index = np.unravel_index(place, value.shape)
            ends = []
            for change in (step, -step):
                moved = value.copy()
                moved[index] += change
                variable.assign(moved)
                ends.append(float(loss()))
            variable.assign(value)
            tried += 1
            if most_kinks and abs(ends[0] + ends[1] - 2 * here) > 1e-4 * step:
                kinks += 1
                continue
            numeric = (ends[0] - ends[1]) / (2 * step)
            assert gradient[index] == pytest.approx(numeric, rel=rel, abs=abs_), f"{variable.path}{index}"
    assert kinks <= most_kinks * tried
