"""How the pupil learns: its losses, its batches, and the two stages of a training that goes on where it was stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from app.bundle.config import PupilConfig
from app.bundle.targets import Lessons
from vislang.backbones.compact import StandardisedConv2D, build_compact
from vislang.core.seeds import seed_everything, stream
from vislang.images.augment import WHOLE, as_input, show
from vislang.training.callbacks import ResumableTraining, fit_resumably
from vislang.training.checkpoints import WEIGHTS
from vislang.training.epoch_batches import EpochBatches
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer

_PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_HINTED = {40: "stage1_end", 20: "stage2_end"}  # cells a side of a teacher's layer: the pupil's layer that matches it
_CELLS = "cells"
# Matrices by Muon (Jordan et al. 2024); gains, biases and the layers on top by Adam.
MUON = partial(
    keras.optimizers.Muon,
    weight_decay=0.0,
    adam_weight_decay=0.0,
    adam_lr_ratio=0.3,
    exclude_layers=["taught", "hint_"],
    clipnorm=5.0,
)


def build_pupil(config: PupilConfig, taught: int, hints: dict[str, tuple[int, ...]]) -> tuple[keras.Model, keras.Model]:
    """Build the network, and on top of it the layers that are thrown away after training.

    Args:
        config: the settings.
        taught: width of the targets of a cell.
        hints: {layer of the teacher: [h, w, C] of it}.

    Returns:
        The network of `StandardisedConv2D`; and a model that gives {"cells": [B, cells, taught], layer: [B, h, w, C]}.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_PRECISIONS[config.precision])
    try:
        network = build_compact(config.size, config.width, config.channels, StandardisedConv2D)
        cells = keras.layers.Reshape((-1, config.channels))(network.get_layer("grid").output)
        outputs = {_CELLS: keras.layers.Dense(taught, name="taught")(cells)}
        for hint, shape in hints.items():
            matching = network.get_layer(_HINTED[shape[0]]).output
            outputs[hint] = keras.layers.Dense(shape[-1], name=f"hint_{hint}")(matching)
    finally:
        keras.config.set_dtype_policy(policy)
    return network, keras.Model(network.input, outputs)


class Measure:
    """Shares of the targets' variance that are not explained.

    Args:
        targets: float [D, cells, K], to take variances from.
        meaning: float32 [K, M] of `meaning_directions`; M may be 0.
    """

    def __init__(self, targets: np.ndarray, meaning: np.ndarray):
        targets = targets.astype(np.float32)
        self.mean = targets.mean(axis=(0, 1))
        self.meaning = meaning
        self.variances = {name: float(np.mean(error)) for name, error in self._errors(targets - self.mean).items()}

    def _errors(self, error: Any) -> dict[str, Any]:
        """Give the squared error of each image, [B], for errors [B, cells, K]."""
        parts = {_CELLS: ops.mean(ops.sum(ops.square(error), axis=-1), axis=-1)}
        parts["pooled"] = ops.sum(ops.square(ops.mean(error, axis=1)), axis=-1)
        if self.meaning.shape[1]:
            told = ops.matmul(error, self.meaning)
            parts["meaning_cells"] = ops.mean(ops.sum(ops.square(told), axis=-1), axis=-1)
            parts["meaning"] = ops.sum(ops.square(ops.mean(told, axis=1)), axis=-1)
        return parts

    def unexplained(self, targets: Any, found: Any) -> dict[str, Any]:
        """Give each share, [B]; its mean over images is 1 for who always gives the mean."""
        errors = self._errors(ops.cast(targets, "float32") - ops.cast(found, "float32"))
        return {name: error / self.variances[name] for name, error in errors.items()}

    def explained(self, targets: np.ndarray, found: np.ndarray) -> dict[str, float]:
        """Give each share that is explained; 1 is all of it."""
        blocks = range(0, len(targets), 64)
        parts = [self.unexplained(targets[start : start + 64], found[start : start + 64]) for start in blocks]
        names = self.variances
        return {name: 1 - float(np.concatenate([np.asarray(part[name]) for part in parts]).mean()) for name in names}


def lesson_loss(measure: Measure, config: PupilConfig) -> Callable[[Any, Any], Any]:
    """Give the loss of cells, [B, cells, K]."""
    weights = {_CELLS: 1.0, "pooled": config.pooled_weight}
    weights |= {"meaning_cells": config.meaning_weight, "meaning": config.meaning_weight}

    def loss(targets: Any, found: Any) -> Any:
        shares = measure.unexplained(targets, found)
        return sum(weights[name] * share for name, share in shares.items())

    return loss


def hint_loss(variance: float) -> Callable[[Any, Any], Any]:
    """Give the loss of a hint, [B, h, w, C]: the share of its variance that is not explained."""

    def loss(targets: Any, found: Any) -> Any:
        error = ops.cast(targets, "float32") - ops.cast(found, "float32")
        return ops.mean(ops.sum(ops.square(error), axis=-1), axis=(1, 2)) / variance

    return loss


@dataclass(frozen=True)
class ViewBatch:
    """What a batch shows.

    Attributes:
        view: index of the view.
        rows: int [B], photographs, ascending.
        mirrored: bool [B], which are mirrored once more.
        others: int [B], the photograph of the batch that each is mixed with; None: not mixed.
        share: of the photograph itself where it is mixed, 0 to 1.
    """

    view: int
    rows: np.ndarray
    mirrored: np.ndarray
    others: np.ndarray | None
    share: np.float32


class Batches(EpochBatches):
    """Shuffled views with their targets; epoch e shows view e, modulo the views, of every photograph.

    Args:
        lessons: prepared.
        config: of the pupil.
        views: how many to go through; with hints, 1.
        hints: layers whose outputs are targets too.
    """

    def __init__(self, lessons: Lessons, config: PupilConfig, views: int, hints: Sequence[str] = ()):
        super().__init__(config.seed, first_epoch=1)
        self.lessons = lessons
        self.config = config
        self.views = views
        self.targets = [np.load(lessons.path(number), mmap_mode="r") for number in range(views)]
        self.hints = {layer: np.load(lessons.hint_path(layer), mmap_mode="r") for layer in hints}

    def plan(self, epoch: int) -> list[ViewBatch]:
        """Return what each full batch shows."""
        size = self.config.batch_size
        order = stream(self.seed, "order", epoch, *self.hints).permutation(len(self.lessons.images))
        batches = []
        for index in range(len(order) // size):
            random = stream(self.seed, "changes", epoch, index, *self.hints)
            mirrored = random.random(size) < self.config.mirrored
            others = None
            share = np.float32(1.0)
            if random.random() < self.config.mixing:
                others = random.permutation(size)
                share = np.float32(random.beta(1.0, 1.0))
            rows = np.sort(order[index * size : (index + 1) * size])
            batches.append(ViewBatch(epoch % self.views, rows, mirrored, others, share))
        return batches

    def batch(self, rows: ViewBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return pictures, float32 [B, S, S, 3], and float16 targets: of cells [B, cells, K], of hints [B, h, w, C]."""
        shown = []
        for row in rows.rows.tolist():
            shown.append(show(self.lessons.images[row], self.lessons.view(row, rows.view), self.config.size))
        pictures = as_input(np.stack(shown))
        cells = self.targets[rows.view][rows.rows]
        side = round(cells.shape[1] ** 0.5)
        targets = {_CELLS: cells.reshape(len(cells), side, side, -1)}
        for layer, kept in self.hints.items():
            targets[layer] = kept[rows.rows]
        for maps in (pictures, *targets.values()):
            maps[rows.mirrored] = maps[rows.mirrored][:, :, ::-1]
        if rows.others is not None:
            pictures = mixed(pictures, rows.others, rows.share)
            targets = {name: mixed(maps, rows.others, rows.share) for name, maps in targets.items()}
        targets[_CELLS] = targets[_CELLS].reshape(cells.shape)
        return pictures, targets


def mixed(maps: np.ndarray, other: np.ndarray, share: np.float32) -> np.ndarray:
    """Lay the maps of a batch over those of others."""
    return (share * maps + (1 - share) * maps[other]).astype(maps.dtype)


def train_pupil(
    config: PupilConfig,
    lessons: Lessons,
    meaning: np.ndarray,
    dev: Sequence[Any],
    dev_targets: np.ndarray,
    folder: Path,
) -> tuple[keras.Model, list[dict[str, Any]]]:
    """Train, or go on training: first with hints on the first view, then on all views.

    Args:
        config: of the pupil.
        lessons: prepared.
        meaning: float32 [K, M] of `meaning_directions`.
        dev: photographs to validate on, shown whole.
        dev_targets: float16 [D, cells, K] of these.
        folder: where the state is kept.

    Returns:
        The network of `StandardisedConv2D` with its best weights, and the history of the second stage.
    """
    seed_everything(config.seed)
    measure = Measure(dev_targets, meaning)
    pictures = as_input(np.stack([show(image, WHOLE, config.size) for image in dev]))
    primer = Batches(lessons, config, 1, lessons.hints)
    shapes = {layer: kept.shape[1:] for layer, kept in primer.hints.items()}
    network, pupil = build_pupil(config, dev_targets.shape[-1], shapes)
    pupil.get_layer("taught").bias.assign(measure.mean)
    losses = {_CELLS: lesson_loss(measure, config)}
    for layer, kept in primer.hints.items():
        sample = kept[:: max(1, len(kept) // 200)].astype(np.float32).reshape(-1, kept.shape[-1])
        pupil.get_layer(f"hint_{layer}").bias.assign(sample.mean(axis=0))
        losses[layer] = hint_loss(float(sample.var(axis=0).sum()))
    told = keras.Model(pupil.input, pupil.output[_CELLS])

    def validate() -> dict[str, float]:
        shares = measure.explained(dev_targets, told.predict(pictures, batch_size=config.batch_size, verbose=0))
        return {"score": sum(shares.values()) / len(shares), **shares}

    if lessons.hints and config.primer_passes:
        _stage(pupil, primer, losses, config.primer_passes, config, validate, folder / "primer")
        pupil.load_weights(folder / "primer" / WEIGHTS)
    every = keras.Model(pupil.input, {_CELLS: pupil.output[_CELLS]})
    batches = Batches(lessons, config, lessons.views)
    history = _stage(every, batches, losses, config.passes * lessons.views, config, validate, folder)
    every.load_weights(folder / WEIGHTS)
    return network, history


def _stage(
    pupil: keras.Model,
    batches: Batches,
    losses: dict[str, Callable],
    epochs: int,
    config: PupilConfig,
    validate: Callable[[], dict[str, float]],
    folder: Path,
) -> list[dict[str, Any]]:
    """Train for some epochs; killed, the same call goes on. The best weights lie in the folder."""
    updates = epochs * len(batches)
    compile_task(
        pupil,
        make_optimizer(optimizer_config(config), updates, {"muon": MUON}),
        {name: losses[name] for name in pupil.output},
        jit_compile=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    keeper = ResumableTraining(folder, validate, pupil, score="score")
    return fit_resumably(pupil, batches, keeper, epochs=epochs)


def optimizer_config(config: PupilConfig) -> OptimizerConfig:
    """Return the settings of the optimizer."""
    return OptimizerConfig(
        kind="muon",
        learning_rate=config.learning_rate,
        schedule="cosine",
        warmup_share=1 / 6,
        first_share=0.05,
        last_share=0.02,
    )
