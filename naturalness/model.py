"""The visual language model: how well each cell of a CNN's feature maps is foretold by other cells of the picture.

    z = (x - mean) / deviation, per channel
    y = z, or its principal components (z - centre) axes, not whitened
    e = (y^ - y)^2, or in deviations of what the training pictures left, or their excess (see `Expert`)

Letters: B pictures, H x W cells, C channels, K foretold numbers of each cell.

References: Kato and Harada 2015, arXiv:1511.02872.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from naturalness.config import Expert, NaturalnessConfig
from naturalness.predictors.linear import LinearPredictors
from naturalness.predictors.lstm import DirectionalPredictors
from naturalness.predictors.mutual_information import Belonging
from naturalness.predictors.statistics import Array, LinearFit, MapMoments

Tensor = Any


class ExpertModel(keras.layers.Layer):
    """Statistics, components and predictors of one expert.

    Args:
        expert: its settings.
        config: those of the whole model.
        channels: C of its tap.
    """

    def __init__(self, expert: Expert, config: NaturalnessConfig, channels: int, *, name: str | None = None):
        super().__init__(name=name)
        self.expert = expert
        self.config = config
        self.channels = channels
        self.width = width = expert.width(channels)

        def constant(shape: tuple[int, ...], called: str, value: str = "zeros") -> Tensor:
            return self.add_weight(shape=shape, initializer=value, trainable=False, name=called)

        self.mean = constant((channels,), "mean")
        self.deviation = constant((channels,), "deviation", "ones")
        self.centre: Any = None
        self.axes: Any = None
        if expert.space == "components":
            self.centre = constant((channels,), "centre")
            self.axes = constant((channels, width), "axes")
        self.level = constant((), "level", "ones")
        self.variance = None
        if expert.errors == "standardised":
            self.variance = constant((4, width), "variance", "ones")
        self.importance = None
        if expert.errors == "excess":
            self.importance = constant((width,), "importance", "ones")
        self.predictors: Any = None
        if expert.context == "scan":
            self.predictors = DirectionalPredictors(width, width, depth=config.depth)
        elif expert.context == "neighbour":
            self.predictors = LinearPredictors(width)
        self.built = True

    def take_statistics(self, moments: MapMoments) -> None:
        """Take mean, deviation, components and the importance of channels from sums over the training pictures."""
        mean, deviation = moments.mean_and_deviation()
        self.mean.assign(mean)
        self.deviation.assign(deviation)
        if self.axes is not None:
            centre, axes = moments.components(self.width)
            self.centre.assign(centre)
            self.axes.assign(axes)
        if self.importance is not None:
            weights = np.square(np.maximum(moments.skewness(), 0.0))
            self.importance.assign(weights / weights.sum())

    def take_level(self, level: float) -> None:
        """Take the mean error of training pictures, in which errors are then told; the original's stay as they are."""
        if self.expert.errors != "square":
            self.level.assign(level)

    def affine(self) -> tuple[Array, Array]:
        """Give float64 [C, K] and [K]: the foretold numbers of a cell x are x @ projection - offset."""
        deviation = np.asarray(self.deviation, np.float64)
        axes = np.eye(self.channels) if self.axes is None else np.asarray(self.axes, np.float64)
        projection = axes / deviation[:, None]
        offset = np.asarray(self.mean, np.float64) @ projection
        return projection, offset if self.centre is None else offset + np.asarray(self.centre, np.float64) @ axes

    def take_fits(self, fits: Sequence[LinearFit]) -> None:
        """Take linear predictors and the variance of what they leave."""
        self.predictors.assign(fits)
        if self.variance is not None:
            self.variance.assign([fit.variance for fit in fits])

    def project(self, maps: Tensor) -> Tensor:
        """Give what is foretold of cells, float32 [B, H, W, K] of [B, H, W, C]."""
        standard = (maps - self.mean) / self.deviation
        if self.axes is None:
            return standard
        return ops.matmul(standard - self.centre, self.axes)

    def differences(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Give what cells are above what was foretold of them, by each direction, where the cells are.

        Args:
            projected: float32 [B, H, W, K].

        Returns:
            of the scene, one [B, H, W, K]; else down and up [B, H-1, W, K], right and left [B, H, W-1, K].
        """
        if self.predictors is None:
            return (projected - ops.mean(projected, axis=(1, 2), keepdims=True),)
        foretold = self.predictors(projected)
        there = (projected[:, 1:], projected[:, :-1], projected[:, :, 1:], projected[:, :, :-1])
        return tuple(true - one for one, true in zip(foretold, there, strict=True))

    def cell_errors(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Give the error of each cell by each direction, [B, h, w], the ramp included; see `differences`.

        Args:
            maps: float32 [B, H, W, C].
        """
        return self.weighted_errors(self.differences(self.project(maps)))

    def weighted_errors(self, differences: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Give the mean error over what is foretold, [B, h, w] of each direction, the ramp included."""
        found = []
        for number, difference in enumerate(differences):
            if self.importance is not None:
                excess = ops.log1p(ops.square(ops.relu(difference)))
                errors = ops.sum(excess * self.importance, axis=-1)
            else:
                squares = ops.square(difference)
                scaled = squares if self.variance is None else squares / self.variance[number]
                errors = ops.mean(scaled, axis=-1)
            found.append(errors * ramp(errors, number) if self.config.ramp else errors)
        return tuple(found)

    def call(self, maps: Tensor) -> Tensor:
        """Give the loss of each picture, float32 [B]: the mean over cells and directions, 1 for training pictures."""
        errors = self.cell_errors(maps)
        return sum(ops.mean(one, axis=(1, 2)) for one in errors) / (len(errors) * self.level)


def ramp(errors: Tensor, direction: int) -> Tensor:
    """Give the weights of a scan's errors, w_t = t / n for t = 0 .. n-1 of n predictions, to multiply [B, h, w] with.

    Args:
        errors: of one direction.
        direction: its number in `naturalness.predictors.lstm.DIRECTIONS`.
    """
    axis = 2
    if direction < 2:
        axis = 1
    count = errors.shape[axis] or ops.shape(errors)[axis]
    weights = ops.cast(ops.arange(count), "float32") / ops.cast(count, "float32")
    weights = ops.flip(weights) if direction % 2 else weights
    return ops.reshape(weights, (1, -1, 1) if axis == 1 else (1, 1, -1))


class VisualLanguageModel(keras.Model):
    """All experts of a model.

    Args:
        config: every setting.
        channels: C of each of `config.layers`.
    """

    def __init__(self, config: NaturalnessConfig, channels: Sequence[int]):
        super().__init__(name="visual_language_model")
        self.config = config
        self.channels = tuple(channels)
        wide = dict(zip(config.layers, channels, strict=True))
        self.experts = [
            ExpertModel(expert, config, wide[expert.layer], name=f"expert_{number}")
            for number, expert in enumerate(config.experts)
        ]
        self.belonging = None
        if config.information_layer:
            self.belonging = Belonging(wide[config.information_layer], config.information_distance)
        self.built = True

    def call(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Give the loss of each picture, float32 [B]: the mean over the experts that judge.

        Args:
            maps: {tap: float32 [B, H, W, C]}.
        """
        judges = [self.experts[number] for number in self.config.score_experts]
        return sum(one(maps[one.expert.layer]) for one in judges) / len(judges)
