"""Training a visual language model: moments, least squares, and gradient descent for the LSTMs.

Letters: N images, B of a batch, h x w cells, C channels, K components.
"""

import argparse
import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from datasets import registry
from datasets.records import with_features
from naturalness.config import CONFIGS, NaturalnessConfig
from naturalness.feature_maps import FrozenLayers
from naturalness.inference import TrainedNaturalness
from naturalness.model import ExpertModel, VisualLanguageModel
from naturalness.predictors.linear import fit_directions
from naturalness.predictors.statistics import MapMoments
from naturalness.reference import Reference, error_values, fit_reference, write_reference
from naturalness.training_maps import Maps, TrainingImage, TrainingMaps
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream
from vislang.features.cache.reader import open_cache
from vislang.images.sources import list_images
from vislang.training.callbacks import Row
from vislang.training.epoch_batches import EpochBatches
from vislang.training.fit import Report, Stage, Training
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer
from vislang.training.task import Task

Tensor = Any
_FOR_LEVELS = 500  # images whose mean error is the unit of errors, and whose scores are the reference


class NaturalnessTraining(Training):
    """The training of a visual language model.

    Attributes:
        network: the CNN.
        maps: of the training images.
    """

    kind = TrainedNaturalness.kind
    configs = CONFIGS
    network: FrozenLayers
    maps: TrainingMaps

    def read_data(self) -> None:
        """List the training images and load the CNN.

        Raises:
            ToolkitError: options that contradict each other, or files that are missing or damaged.
        """
        args = self.args
        images = training_images(args)
        mirrored = self.config.mirror_padding
        self.network = FrozenLayers(args.backbone, self.config.layers, mirrored=mirrored, weights=args.weights)
        self.maps = TrainingMaps(self.network, images, cache=args.cache, backbone=args.backbone)

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the CNN and the images."""
        loaded = self.network.loaded
        names = "\n".join(image.name for image in self.maps.images)
        return {
            "channels": list(self.network.channels),
            "backbone": {
                "name": loaded.name,
                "preprocessing": loaded.preprocessing.name,
                "fingerprint": loaded.fingerprint,
            },
            "data": {
                "dataset": self.args.dataset if self.args.data else "images",
                "images": len(self.maps.images),
                "fingerprint": hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest(),
            },
        }

    def make_model(self) -> VisualLanguageModel:
        """Build the network."""
        return TrainedNaturalness.build_network(self.description, None)

    def initialize(self) -> None:
        """Fit everything that needs no gradients."""
        fit_statistics(self.model, self.maps, len(self.maps.images), self.args.seed)

    def stages(self) -> list[Stage]:
        """Return gradient descent for the LSTMs, where there are any."""
        config = self.config
        if not scanning_experts(self.model):
            return []
        reset = MomentumReset(config.drop_every // config.save_every)
        return [Stage(self.batches, self.make_task, config.updates // config.save_every, callbacks=(reset,))]

    def batches(self) -> "ProjectedMaps":
        """Return the components of the training images, in seeded batches."""
        return ProjectedMaps(scanning_experts(self.model), self.maps, self.config, self.args.seed)

    def make_task(self, updates: int) -> "PredictionTask":
        """Return the compiled model that trains the LSTMs for so many updates."""
        config = self.config
        drops = tuple(range(config.drop_every, updates, config.drop_every))
        settings = OptimizerConfig.of(config, optimizer="sgd", schedule="step", drops=drops)
        task = PredictionTask(self.model)
        compile_task(task, make_optimizer(settings, updates), lambda _, losses: ops.mean(losses))
        return task

    def validate(self) -> dict[str, float]:
        """Return the loss of the first training images."""
        experts = scanning_experts(self.model)
        losses = prediction_loss(experts, project(experts, self.maps.first))
        return {"loss_of_first_images": float(np.mean(losses))}

    def finish(self) -> None:
        """Write the scores of the first training images, which those of other images are compared with."""
        write_reference(self.args.out, measure_reference(self.model, self.maps))

    def report(self, rows: list[Row]) -> Report:
        """Return the number of images and the time."""
        skipped = self.maps.skipped
        count = len(self.maps.images) - len(skipped)
        seconds = round(time.monotonic() - self.started, 1)
        done = {"out": str(self.args.out), "images": count, "seconds": seconds}
        return Report(done, f"{self.args.out}: {count} images in {seconds} s", skipped)


def training_images(args: argparse.Namespace) -> list[TrainingImage]:
    """List the images that the command line names, in a fixed order."""
    if args.cache and not args.data:
        raise ConfigError("--cache holds the maps of a data set; name it with --data DIR")
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit got {args.limit}, expected 1 or more")
    if args.data:
        records = registry.read(args.dataset, args.data, split="train")
        if args.cache:
            with open_cache(args.cache) as cache:
                records = with_features(records, cache)
        images = [TrainingImage(record.image_id, record.path) for record in records]
    else:
        images = [TrainingImage(str(path), path) for path in list_images(args.images)]
    if args.limit is not None:
        chosen = stream(args.seed, "limit").permutation(len(images))[: args.limit]
        images = [images[row] for row in sorted(chosen)]
    return images


def fit_statistics(model: VisualLanguageModel, batches: Iterable[Maps], count: int, seed: int) -> None:
    """Fit all that needs no gradients: statistics, components, linear predictors, levels.

    Args:
        batches: maps of the training images; gone through twice.
        count: N.
        seed: chooses the cells that components are fitted to, where the settings ask for some only.

    Raises:
        DataError: no image can be read.
        ConfigError: the maps are too small for the settings.
    """
    config = model.config
    moments = empty_moments(model, count)
    random = stream(seed, "cells")
    for maps in batches:
        for layer, sums in moments.items():
            sums.add(maps[layer], random)
    for one in model.experts:
        one.set_statistics(moments[one.expert.layer])
        if one.expert.context == "neighbour":
            one.set_fits(fit_directions(moments[one.expert.layer], *one.affine(), config.ridge))
    if model.mutual_information is not None:
        model.mutual_information.fit(moments[config.information_layer], config.ridge)
    if not scanning_experts(model):
        fit_levels(model, batches)


def empty_moments(model: VisualLanguageModel, count: int) -> dict[str, MapMoments]:
    """Return for each layer the sums that the model's experts need, still empty; arguments as for `fit_statistics`."""
    config = model.config
    distances: dict[str, set[int]] = {layer: set() for layer in config.layers}
    for one in model.experts:
        if one.expert.context == "neighbour":
            distances[one.expert.layer].add(1)
    if config.information_layer:
        distances[config.information_layer].add(config.information_distance)
    per_image = 0
    if config.pca_cells:
        per_image = config.pca_cells // count + 1
    moments = {}
    for layer, channels in zip(config.layers, model.channels, strict=True):
        moments[layer] = MapMoments(channels, per_image=per_image, distances=distances[layer])
    return moments


def fit_levels(model: VisualLanguageModel, batches: Iterable[Maps]) -> None:
    """Set the unit of each expert's errors to its mean error over the first training images."""
    for one, level in zip(model.experts, first_errors(model, batches).mean(axis=0), strict=True):
        one.set_level(float(level))


def measure_reference(model: VisualLanguageModel, batches: Iterable[Maps]) -> Reference:
    """Return the reference of a trained model: what the first training images score."""
    return fit_reference(error_values(first_errors(model, batches)), model.config.score_experts)


def first_errors(model: VisualLanguageModel, batches: Iterable[Maps]) -> np.ndarray:
    """Compute the mean error of each of the first N training images by each of E experts, float64 [N, E]."""
    rows: list[np.ndarray] = []
    seen = 0
    for maps in batches:
        errors = [np.asarray(one(maps[one.expert.layer]), np.float64) for one in model.experts]
        rows.append(np.stack(errors, axis=1))
        seen += len(rows[-1])
        if seen >= _FOR_LEVELS:
            break
    return np.concatenate(rows)


def scanning_experts(model: VisualLanguageModel) -> list[ExpertModel]:
    """Return the experts with LSTMs, which gradient descent trains."""
    return [one for one in model.experts if one.expert.context == "scan"]


class ProjectedMaps(EpochBatches):
    """The components of all training images, in random batches with replacement, as in the original.

    An epoch is `config.save_every` updates.

    Args:
        experts: those with LSTMs.
        batches: maps of the training images.
        config: batch size and updates of an epoch.
    """

    def __init__(self, experts: Sequence[ExpertModel], batches: Iterable[Maps], config: NaturalnessConfig, seed: int):
        super().__init__(seed, first_epoch=1)
        self.config = config
        found: list[list[np.ndarray]] = [[] for _ in experts]
        for maps in batches:
            for parts, projected in zip(found, project(experts, maps), strict=True):
                parts.append(np.asarray(projected).astype(np.float16))
        self.maps = [np.concatenate(parts) for parts in found]  # of each expert [N, h, w, K]

    def plan(self, epoch: int) -> np.ndarray:
        """Return row indices, int [updates, B]."""
        shape = (self.config.save_every, self.config.batch_size)
        return stream(self.seed, "pictures", epoch).integers(len(self.maps[0]), size=shape)

    def batch(self, rows: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return the components of each expert, float32 [B, h, w, K], and zeros, float32 [B], as targets."""
        return tuple(maps[rows].astype(np.float32) for maps in self.maps), np.zeros(len(rows), np.float32)


class PredictionTask(Task):
    """What `model.fit` trains: the LSTMs of all experts that have them, on components."""

    def __init__(self, model: VisualLanguageModel):
        super().__init__()
        self.language_model = model
        self.experts = scanning_experts(model)
        self.built = True

    def call(self, projected: tuple[Tensor, ...]) -> Tensor:
        """Return the loss of each image, float32 [B], for each expert's components float32 [B, h, w, K]."""
        return prediction_loss(self.experts, projected)


def project(experts: Sequence[ExpertModel], maps: Maps) -> tuple[Tensor, ...]:
    """Return each expert's components of the maps of B images, float32 [B, h, w, K]."""
    return tuple(one.project(maps[one.expert.layer]) for one in experts)


def prediction_loss(experts: Sequence[ExpertModel], projected: Sequence[Tensor]) -> Tensor:
    """Compute the mean squared error of each image, float32 [B], over cells and directions, and over experts.

    Args:
        experts: with LSTMs.
        projected: their components, float32 [B, h, w, K] each.
    """
    losses = []
    for expert, maps in zip(experts, projected, strict=True):
        errors = expert.weighted_errors(expert.residuals(maps))
        losses.append(sum(ops.mean(one, axis=(1, 2)) for one in errors) / len(errors))
    return sum(losses) / len(losses)


class MomentumReset(keras.callbacks.Callback):
    """Set the momentum to 0 where the learning rate drops, as the original does.

    Args:
        every: epochs between drops.
    """

    def __init__(self, every: int):
        super().__init__()
        self.every = every

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Reset in the first epoch with a lower rate."""
        if epoch and epoch % self.every == 0:
            for momentum in self.model.optimizer.momentums:
                momentum.assign(ops.zeros(momentum.shape))
