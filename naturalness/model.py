"""The visual language model: how well each cell of a CNN's feature maps is predicted by other cells of the image.

    z = (x - mean) / std, per channel
    y = z, or its principal components (z - centre) axes, not whitened
    e = (y^ - y)^2, or standardised by what the training images left, or their excess (see `Expert`)

Letters: B images, H x W cells, C channels, K predicted values of each cell.

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
from naturalness.predictors.mutual_information import MutualInformation
from naturalness.predictors.statistics import Array, LinearFit, MapMoments
from vislang.core.compile import Spec, compiled

Tensor = Any


class ExpertModel(keras.layers.Layer):
    """Statistics, components and predictors of one expert.

    Args:
        config: those of the whole model.
        channels: C of its layer.
    """

    def __init__(self, expert: Expert, config: NaturalnessConfig, channels: int, *, name: str | None = None):
        super().__init__(name=name)
        self.expert = expert
        self.config = config
        self.channels = channels
        self.width = expert.width(channels)
        # The order of weights is that of the checkpoint.
        self.mean = self._constant((channels,), "mean", "zeros")
        self.std = self._constant((channels,), "std", "ones")
        self.centre: Any = None
        self.axes: Any = None
        if expert.space == "components":
            self.centre = self._constant((channels,), "centre", "zeros")
            self.axes = self._constant((channels, self.width), "axes", "zeros")
        self.level = self._constant((), "level", "ones")
        self.variance: Any = None
        if expert.errors == "standardised":
            self.variance = self._constant((4, self.width), "variance", "ones")
        self.importance: Any = None
        if expert.errors == "excess":
            self.importance = self._constant((self.width,), "importance", "ones")
        self.predictors: Any = None
        if expert.context == "scan":
            self.predictors = DirectionalPredictors(self.width, self.width, depth=config.depth)
        elif expert.context == "neighbour":
            self.predictors = LinearPredictors(self.width)
        self.built = True

    def _constant(self, shape: tuple[int, ...], name: str, initializer: str) -> keras.Variable:
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

    def set_statistics(self, moments: MapMoments) -> None:
        """Set mean, std, components and the importance of channels from sums over the training images."""
        mean, std = moments.mean_and_std()
        self.mean.assign(mean)
        self.std.assign(std)
        if self.axes is not None:
            centre, axes = moments.components(self.width)
            self.centre.assign(centre)
            self.axes.assign(axes)
        if self.importance is not None:
            weights = np.square(np.maximum(moments.skewness(), 0.0))
            self.importance.assign(weights / weights.sum())

    def set_level(self, level: float) -> None:
        """Set the mean error of training images, the unit of errors; squared ones, the original's, have none."""
        if self.expert.errors != "square":
            self.level.assign(level)

    def set_fits(self, fits: Sequence[LinearFit]) -> None:
        """Set the linear predictors of the four directions, and the variance of their residuals."""
        self.predictors.assign(fits)
        if self.variance is not None:
            self.variance.assign([fit.variance for fit in fits])

    def affine(self) -> tuple[Array, Array]:
        """Return the map from a cell x to its predicted values, x @ projection - offset: float64 [C, K] and [K]."""
        std = np.asarray(self.std, np.float64)
        axes = np.eye(self.channels)
        if self.axes is not None:
            axes = np.asarray(self.axes, np.float64)
        projection = axes / std[:, None]
        offset = np.asarray(self.mean, np.float64) @ projection
        if self.centre is not None:
            offset = offset + np.asarray(self.centre, np.float64) @ axes
        return projection, offset

    def project(self, maps: Tensor) -> Tensor:
        """Return the values of cells that are predicted, float32 [B, H, W, K], for maps float32 [B, H, W, C]."""
        standard = (maps - self.mean) / self.std
        if self.axes is None:
            return standard
        return ops.matmul(standard - self.centre, self.axes)

    def residuals(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Return the values of cells less their prediction, for each direction, at the places of the cells.

        Args:
            projected: float32 [B, H, W, K].

        Returns:
            with context "scene", one [B, H, W, K]; else down and up [B, H-1, W, K], right and left [B, H, W-1, K].
        """
        if self.predictors is None:
            return (projected - ops.mean(projected, axis=(1, 2), keepdims=True),)
        targets = (projected[:, 1:], projected[:, :-1], projected[:, :, 1:], projected[:, :, :-1])
        predictions = self.predictors(projected)
        return tuple(target - prediction for target, prediction in zip(targets, predictions, strict=True))

    def cell_errors(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return the error of each cell, [B, h, w] of each direction of `residuals`, for maps float32 [B, H, W, C]."""
        return self.weighted_errors(self.residuals(self.project(maps)))

    def relative_errors(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return what `cell_errors` does, divided by the mean error of training images."""
        return tuple(one / self.level for one in self.cell_errors(maps))

    def weighted_errors(self, residuals: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the mean error over the K values, [B, h, w] of each direction, the ramp included."""
        found = []
        for direction, residual in enumerate(residuals):
            if self.importance is not None:
                excess = ops.log1p(ops.square(ops.relu(residual)))
                errors = ops.sum(excess * self.importance, axis=-1)
            elif self.variance is not None:
                errors = ops.mean(ops.square(residual) / self.variance[direction], axis=-1)
            else:
                errors = ops.mean(ops.square(residual), axis=-1)
            if self.config.ramp:
                errors = errors * ramp(errors, direction)
            found.append(errors)
        return tuple(found)

    def call(self, maps: Tensor) -> Tensor:
        """Compute the loss of each image, float32 [B], the mean over cells and directions, about 1 for training images.

        Args:
            maps: float32 [B, H, W, C].
        """
        errors = self.cell_errors(maps)
        return sum(ops.mean(one, axis=(1, 2)) for one in errors) / (len(errors) * self.level)


def ramp(errors: Tensor, direction: int) -> Tensor:
    """Return the weights of a scan's errors, w_t = t / n for t = 0 .. n-1, float32 [1, h, 1] or [1, 1, w].

    Args:
        errors: float32 [B, h, w] of one direction.
        direction: index in `naturalness.predictors.lstm.DIRECTIONS`.
    """
    axis = 1 if direction < 2 else 2
    count = errors.shape[axis] or ops.shape(errors)[axis]
    weights = ops.cast(ops.arange(count), "float32") / ops.cast(count, "float32")
    if direction % 2:
        weights = ops.flip(weights)
    if axis == 1:
        return ops.reshape(weights, (1, -1, 1))
    return ops.reshape(weights, (1, 1, -1))


class VisualLanguageModel(keras.Model):
    """All experts of a model.

    Args:
        config: every setting.
        channels: C of each of `config.layers`.

    Attributes:
        predict_errors_N: compiled, of each expert; see `ExpertModel.relative_errors`.
        predict_information: compiled, of a model with mutual information; see `MutualInformation.call`.
    """

    def __init__(self, config: NaturalnessConfig, channels: Sequence[int]):
        super().__init__(name="visual_language_model")
        self.config = config
        self.channels = tuple(channels)
        channels_of = dict(zip(config.layers, channels, strict=True))
        self.experts = []
        for index, expert in enumerate(config.experts):
            self.experts.append(ExpertModel(expert, config, channels_of[expert.layer], name=f"expert_{index}"))
        self.mutual_information: MutualInformation | None = None
        if config.information_layer:
            channels_of_layer = channels_of[config.information_layer]
            self.mutual_information = MutualInformation(channels_of_layer, config.information_distance)
            self.predict_information = compiled(self.mutual_information, _maps_of(channels_of_layer))
        for index, one in enumerate(self.experts):
            setattr(self, f"predict_errors_{index}", compiled(one.relative_errors, _maps_of(one.channels)))
        self.built = True

    @property
    def GRAPHS(self) -> tuple[str, ...]:  # noqa: N802, a constant of other networks
        """The names of the compiled graphs."""
        names = [f"predict_errors_{index}" for index in range(len(self.experts))]
        if self.mutual_information is not None:
            names.append("predict_information")
        return tuple(names)

    def call(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of each image, float32 [B].

        It is the sum over all experts with their weights gamma, or else the mean over the experts that score
        naturalness.

        Args:
            maps: {layer: float32 [B, H, W, C]}.
        """
        weighted = [one for one in self.experts if one.expert.gamma]
        if weighted:
            return sum(one.expert.gamma * one(maps[one.expert.layer]) for one in weighted)
        scoring = [self.experts[index] for index in self.config.score_experts]
        return sum(one(maps[one.expert.layer]) for one in scoring) / len(scoring)


def _maps_of(channels: int) -> Spec:
    return (None, None, None, channels), "float32"
