"""Fitting a visual language model: sums over the training pictures, least squares, and gradient descent for LSTMs.

Letters: N pictures, h x w cells, C channels, K components.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from naturalness.config import NaturalnessConfig
from naturalness.model import ExpertModel, VisualLanguageModel
from naturalness.predictors.linear import fit_directions
from naturalness.predictors.statistics import MapMoments
from vislang.core.seeds import stream
from vislang.training.epoch_batches import EpochBatches

Maps = Mapping[str, np.ndarray]  # {tap: float [B, h, w, C]} of some pictures
Source = Callable[[], Iterable[Maps]]  # each call begins anew
_FOR_LEVELS = 500  # pictures whose mean error is the unit of errors


def fit_statistics(model: VisualLanguageModel, source: Source, count: int, seed: int) -> None:
    """Fit all that needs no gradient: statistics, components, linear predictors, levels.

    Args:
        model: takes what is found.
        source: the training pictures.
        count: how many they are.
        seed: chooses cells where the settings ask for some only.
    """
    config = model.config
    random = stream(seed, "cells")
    distances: dict[str, set[int]] = {tap: set() for tap in config.layers}
    for one in model.experts:
        if one.expert.context == "neighbour":
            distances[one.expert.layer].add(1)
    if model.belonging is not None:
        distances[config.information_layer].add(config.information_distance)
    per_picture = 0
    if config.pca_cells:
        per_picture = config.pca_cells // count + 1
    moments = {
        tap: MapMoments(channels, per_picture=per_picture, distances=distances[tap])
        for tap, channels in zip(config.layers, model.channels, strict=True)
    }
    for maps in source():
        for tap, statistics in moments.items():
            statistics.add(maps[tap], random)
    for one in model.experts:
        one.take_statistics(moments[one.expert.layer])
        if one.expert.context == "neighbour":
            one.take_fits(fit_directions(moments[one.expert.layer], *one.affine(), config.ridge))
    if model.belonging is not None:
        model.belonging.fit(moments[config.information_layer], config.ridge)
    if all(one.expert.context != "scan" for one in model.experts):
        _fit_levels(model, source())


def _fit_levels(model: VisualLanguageModel, batches: Iterable[Maps]) -> None:
    sums = np.zeros(len(model.experts))
    seen = 0
    for maps in batches:
        seen += len(next(iter(maps.values())))
        sums += [float(ops.sum(one(maps[one.expert.layer]))) for one in model.experts]
        if seen >= _FOR_LEVELS:
            break
    for one, total in zip(model.experts, sums, strict=True):
        one.take_level(total / seen)


class ProjectedMaps(EpochBatches):
    """The components of all training images, in random batches with replacement, as in the original.

    An epoch is `config.save_every` updates.

    Args:
        experts: those with LSTMs.
        source: the training pictures.
        config: batch size and updates of an epoch.
        seed: of the run.
    """

    def __init__(self, experts: Iterable[ExpertModel], source: Source, config: NaturalnessConfig, seed: int):
        super().__init__(seed, first_epoch=1)
        self.config = config
        experts = list(experts)
        found: list[list[np.ndarray]] = [[] for _ in experts]
        for maps in source():
            for rows, expert in zip(found, experts, strict=True):
                rows.append(np.asarray(expert.project(maps[expert.expert.layer])).astype(np.float16))
        self.maps = list(map(np.concatenate, found))  # of each expert [N, h, w, K]

    def plan(self, epoch: int) -> Any:
        """Return row indices, int [updates, B]."""
        shape = (self.config.save_every, self.config.batch_size)
        return stream(self.seed, "pictures", epoch).integers(len(self.maps[0]), size=shape)

    def batch(self, rows: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return the components of each expert, float32 [B, h, w, K], and zeros, float32 [B], as targets."""
        return tuple(maps[rows].astype(np.float32) for maps in self.maps), np.zeros(len(rows), np.float32)


class PredictionTask(keras.Model):
    """What `model.fit` trains: the LSTMs of all experts that have them, on components."""

    def __init__(self, model: VisualLanguageModel):
        super().__init__()
        self.language_model = model
        self.experts = [one for one in model.experts if one.expert.context == "scan"]
        self.built = True

    def call(self, projected: tuple[Any, ...]) -> Any:
        """Give the loss of each picture, float32 [B], the mean over experts."""
        losses = []
        for expert, maps in zip(self.experts, projected, strict=True):
            errors = expert.weighted_errors(expert.differences(maps))
            losses.append(sum(ops.mean(one, axis=(1, 2)) for one in errors) / len(errors))
        return sum(losses) / len(losses)

    def prepare(self, config: NaturalnessConfig) -> None:
        """Choose the optimiser, with all state built, so that an earlier run can be taken up."""
        ends = list(range(config.drop_every, config.updates, config.drop_every))
        rates = [config.learning_rate * 0.1**number for number in range(len(ends) + 1)]
        rate: Any = keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates) if ends else rates[0]
        optimizer = keras.optimizers.SGD(rate, momentum=config.momentum)
        optimizer.build(self.trainable_variables)
        self.compile(optimizer=optimizer, loss=lambda _, losses: ops.mean(losses))


class MomentumForgotten(keras.callbacks.Callback):
    """Sets the momentum to 0 where the rate drops, as the original does.

    Args:
        every: epochs between drops.
    """

    def __init__(self, every: int):
        super().__init__()
        self.every = every

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Forget, where an epoch is the first with a lower rate."""
        if epoch and epoch % self.every == 0:
            for momentum in self.model.optimizer.momentums:
                momentum.assign(ops.zeros_like(momentum))


def batches_of(rows: Iterator[Maps] | Iterable[Maps], trimmed: int) -> Iterator[Maps]:
    """Take the outer cells off maps, which see the edge of the picture: those of a cache were made without a mirror."""
    inner = slice(trimmed, -trimmed) if trimmed else slice(None)
    for maps in rows:
        yield {tap: one[:, inner, inner] for tap, one in maps.items()}
