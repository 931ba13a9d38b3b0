"""Distillation of the small CNN: the student's losses, its batches, and the two stages of its training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from app.bundle.config import StudentConfig
from app.bundle.targets import TeacherTargets
from vislang.backbones.compact import StandardisedConv2D, build_compact
from vislang.core.seeds import seed_everything, stream
from vislang.images.augment import WHOLE, as_input, show
from vislang.training.callbacks import ResumableTraining, Row, fit_resumably
from vislang.training.checkpoints import WEIGHTS
from vislang.training.epoch_batches import EpochBatches
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer

WARMUP = "warmup"  # folder of the first stage
_PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_HINTED = {40: "stage1_end", 20: "stage2_end"}  # side of a teacher's layer: the student's layer of the same side
_CELLS = "cells"
_BLOCK = 64  # images whose errors are computed at once
# Matrices by Muon (Jordan et al. 2024); gains, biases and the layers on top by Adam.
MUON = partial(
    keras.optimizers.Muon,
    weight_decay=0.0,
    adam_weight_decay=0.0,
    adam_lr_ratio=0.3,
    exclude_layers=["targets", "hint_"],
    clipnorm=5.0,
)


def build_student(
    config: StudentConfig, num_targets: int, hints: Mapping[str, tuple[int, ...]]
) -> tuple[keras.Model, keras.Model]:
    """Build the network, and on top of it the layers that are thrown away after training.

    Args:
        config: the settings.
        num_targets: width K of the targets of a cell.
        hints: shape [h, w, C] of each hint layer of the teacher.

    Returns:
        the network of `StandardisedConv2D`; and a model that returns {"cells": [B, cells, K], layer: [B, h, w, C]}.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_PRECISIONS[config.precision])
    try:
        network = build_compact(config.size, config.width, config.channels, StandardisedConv2D)
        cells = keras.layers.Reshape((-1, config.channels))(network.get_layer("grid").output)
        outputs = {_CELLS: keras.layers.Dense(num_targets, name="targets")(cells)}
        for hint, shape in hints.items():
            matching = network.get_layer(_HINTED[shape[0]]).output
            outputs[hint] = keras.layers.Dense(shape[-1], name=f"hint_{hint}")(matching)
    finally:
        keras.config.set_dtype_policy(policy)
    return network, keras.Model(network.input, outputs)


class UnexplainedVariance:
    """Shares of the targets' variance that are not explained: of cells, of their mean, of caption directions.

    Args:
        targets: float [D, cells, K], whose variances are the denominators.
        directions: float32 [K, M] of `caption_directions`; M may be 0.
    """

    def __init__(self, targets: np.ndarray, directions: np.ndarray):
        targets = targets.astype(np.float32)
        self.mean = targets.mean(axis=(0, 1))
        self.directions = directions
        self.variances: dict[str, float] = {}
        for name, error in self._errors(targets - self.mean).items():
            self.variances[name] = float(np.mean(error))

    def _errors(self, error: Any) -> dict[str, Any]:
        """Return the squared errors of each image, [B], for errors [B, cells, K]."""
        errors = {_CELLS: ops.mean(ops.sum(ops.square(error), axis=-1), axis=-1)}
        errors["pooled"] = ops.sum(ops.square(ops.mean(error, axis=1)), axis=-1)
        if self.directions.shape[1]:
            projected = ops.matmul(error, self.directions)
            errors["caption_cells"] = ops.mean(ops.sum(ops.square(projected), axis=-1), axis=-1)
            errors["captions"] = ops.sum(ops.square(ops.mean(projected, axis=1)), axis=-1)
        return errors

    def shares(self, targets: Any, predictions: Any) -> dict[str, Any]:
        """Return each share, [B]; predicting the mean gives 1 on average.

        Args:
            targets: [B, cells, K].
            predictions: [B, cells, K].
        """
        errors = self._errors(ops.cast(targets, "float32") - ops.cast(predictions, "float32"))
        return {name: error / self.variances[name] for name, error in errors.items()}

    def explained(self, targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
        """Return the explained share of each variance, at most 1, over all images.

        Args:
            targets: float [D, cells, K].
            predictions: float [D, cells, K].
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.variances}
        for start in range(0, len(targets), _BLOCK):
            shares = self.shares(targets[start : start + _BLOCK], predictions[start : start + _BLOCK])
            for name, share in shares.items():
                parts[name].append(np.asarray(share))
        return {name: 1 - float(np.concatenate(shares).mean()) for name, shares in parts.items()}


def target_loss(variance: UnexplainedVariance, config: StudentConfig) -> Callable[[Any, Any], Any]:
    """Return the loss of the cells: of targets and predictions [B, cells, K], the weighted sum of the shares, [B]."""
    weights = {
        _CELLS: 1.0,
        "pooled": config.pooled_weight,
        "caption_cells": config.caption_weight,
        "captions": config.caption_weight,
    }

    def loss(targets: Any, predictions: Any) -> Any:
        shares = variance.shares(targets, predictions)
        return sum(weights[name] * share for name, share in shares.items())

    return loss


def hint_loss(variance: float) -> Callable[[Any, Any], Any]:
    """Return the loss of a hint: of activations [B, h, w, C], the share of variance that is not explained, [B].

    References: hints, Romero et al. 2015, arXiv:1412.6550.
    """

    def loss(targets: Any, predictions: Any) -> Any:
        error = ops.cast(targets, "float32") - ops.cast(predictions, "float32")
        return ops.mean(ops.sum(ops.square(error), axis=-1), axis=(1, 2)) / variance

    return loss


@dataclass(frozen=True)
class ViewBatch:
    """What a batch shows.

    Attributes:
        view: index of the view.
        rows: int [B], images, ascending.
        mirrored: bool [B], which are mirrored once more.
        others: int [B], the image of the batch that each is mixed with; None: not mixed.
        share: of the image itself where it is mixed, 0 to 1.
    """

    view: int
    rows: np.ndarray
    mirrored: np.ndarray
    others: np.ndarray | None
    share: np.float32


class StudentBatches(EpochBatches):
    """Shuffled views with their targets; epoch e shows view e, modulo the views, of every image.

    Args:
        teacher: prepared targets.
        config: of the student.
        views: how many to go through; with hints, 1.
        hints: layers whose activations are targets too.
    """

    def __init__(self, teacher: TeacherTargets, config: StudentConfig, views: int, hints: Sequence[str] = ()):
        super().__init__(config.seed, first_epoch=1)
        self.teacher = teacher
        self.config = config
        self.views = views
        self.targets = [np.load(teacher.path(index), mmap_mode="r") for index in range(views)]
        self.hints = {layer: np.load(teacher.hint_path(layer), mmap_mode="r") for layer in hints}

    def plan(self, epoch: int) -> list[ViewBatch]:
        """Return what each full batch shows."""
        size = self.config.batch_size
        order = stream(self.seed, "order", epoch, *self.hints).permutation(len(self.teacher.images))
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
        """Return images, float32 [B, S, S, 3], and float16 targets: of cells [B, cells, K], of hints [B, h, w, C]."""
        shown = []
        for row in rows.rows.tolist():
            shown.append(show(self.teacher.images[row], self.teacher.view(row, rows.view), self.config.size))
        images = as_input(np.stack(shown))
        cells = self.targets[rows.view][rows.rows]
        side = round(cells.shape[1] ** 0.5)
        targets = {_CELLS: cells.reshape(len(cells), side, side, -1)}
        for layer, activations in self.hints.items():
            targets[layer] = activations[rows.rows]
        for maps in (images, *targets.values()):
            maps[rows.mirrored] = maps[rows.mirrored][:, :, ::-1]
        if rows.others is not None:
            images = mixed(images, rows.others, rows.share)
            targets = {name: mixed(maps, rows.others, rows.share) for name, maps in targets.items()}
        targets[_CELLS] = targets[_CELLS].reshape(cells.shape)
        return images, targets


def mixed(maps: np.ndarray, others: np.ndarray, share: np.float32) -> np.ndarray:
    """Mix the maps of a batch with those of others (mixup, Zhang et al. 2018, arXiv:1710.09412).

    Args:
        maps: float [B, ...].
        others: int [B], rows of `maps`.
        share: weight of the maps themselves.

    Returns:
        [B, ...] of the dtype of `maps`.
    """
    return (share * maps + (1 - share) * maps[others]).astype(maps.dtype)


def train_student(
    config: StudentConfig,
    teacher: TeacherTargets,
    directions: np.ndarray,
    dev: Sequence[Any],
    dev_targets: np.ndarray,
    folder: Path,
) -> tuple[keras.Model, list[Row]]:
    """Train, or resume training: first with hints on the first view, then on all views.

    Args:
        config: of the student.
        teacher: prepared targets.
        directions: float32 [K, M] of `caption_directions`.
        dev: images to validate on, not cropped.
        dev_targets: float16 [D, cells, K] of these.
        folder: where the state is kept.

    Returns:
        the network of `StandardisedConv2D` with its best weights, and the history of the second stage.
    """
    seed_everything(config.seed)
    variance = UnexplainedVariance(dev_targets, directions)
    dev_images = as_input(np.stack([show(image, WHOLE, config.size) for image in dev]))
    warmup = StudentBatches(teacher, config, 1, teacher.hints)
    shapes = {layer: activations.shape[1:] for layer, activations in warmup.hints.items()}
    network, student = build_student(config, dev_targets.shape[-1], shapes)
    losses = {_CELLS: target_loss(variance, config)}
    student.get_layer("targets").bias.assign(variance.mean)
    for layer, activations in warmup.hints.items():
        sample = activations[:: max(1, len(activations) // 200)].astype(np.float32).reshape(-1, activations.shape[-1])
        student.get_layer(f"hint_{layer}").bias.assign(sample.mean(axis=0))
        losses[layer] = hint_loss(float(sample.var(axis=0).sum()))
    predictor = keras.Model(student.input, student.output[_CELLS])

    def validate() -> dict[str, float]:
        predictions = predictor.predict(dev_images, batch_size=config.batch_size, verbose=0)
        shares = variance.explained(dev_targets, predictions)
        return {"score": sum(shares.values()) / len(shares), **shares}

    if teacher.hints and config.warmup_passes:
        keeper = ResumableTraining(folder / WARMUP, validate, student, score="score")
        _train_stage(student, warmup, losses, keeper, config, config.warmup_passes)
        student.load_weights(folder / WARMUP / WEIGHTS)
    without_hints = keras.Model(student.input, {_CELLS: student.output[_CELLS]})
    batches = StudentBatches(teacher, config, teacher.views)
    keeper = ResumableTraining(folder, validate, without_hints, score="score")
    history = _train_stage(without_hints, batches, losses, keeper, config, config.passes * teacher.views)
    without_hints.load_weights(folder / WEIGHTS)
    return network, history


def _train_stage(
    student: keras.Model,
    batches: StudentBatches,
    losses: Mapping[str, Callable[[Any, Any], Any]],
    keeper: ResumableTraining,
    config: StudentConfig,
    epochs: int,
) -> list[Row]:
    """Train for some epochs, or resume; the best weights lie in the folder of `keeper`."""
    optimizer = make_optimizer(optimizer_config(config), epochs * len(batches), {"muon": MUON})
    compile_task(student, optimizer, {name: losses[name] for name in student.output}, jit_compile=False)
    keeper.folder.mkdir(parents=True, exist_ok=True)
    return fit_resumably(student, batches, keeper, epochs=epochs)


def optimizer_config(config: StudentConfig) -> OptimizerConfig:
    """Return the settings of the optimizer."""
    return OptimizerConfig(
        optimizer="muon",
        learning_rate=config.learning_rate,
        schedule="cosine",
        warmup_share=1 / 6,
        first_share=0.05,
        last_share=0.02,
    )
