"""The one optimiser: moves a batch of pictures until the sum of terms is small, each picture on its own.

Norms, updates, starts and jitter are per picture and every picture has a seed, so that a batch of B pictures gives what
B runs of one give. Letters: B pictures, H x H pixels of the canvas, S x S pixels of what the network sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from preimage.config import B, PreimageConfig
from preimage.networks.network import Network
from preimage.optimization.parameterization import PARAMETERS
from preimage.optimization.priors import sigma, within_bound
from preimage.optimization.terms import Seen, Tensor, Term
from preimage.optimization.update_rules import RULES
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream
from vislang.training.compile import compiled, compiled_gradient

TRAINING_DEVIATION = np.array([58.393, 57.12, 57.375], np.float32)  # of ImageNet's pixels, RGB 0..255
_LARGEST_JITTER = 32
_CHECK_EVERY = 25  # iterations between looks at the loss, which have to wait for the device

Watch = Callable[[int, np.ndarray], None]  # iteration counted from 1, pictures as in `Preimages`


@dataclass(frozen=True)
class Preimages:
    """What a search has found.

    Attributes:
        pictures: float32 [B, S, S, 3], RGB 0..255.
        losses: float32 [iterations, B], the sum of terms before each update.
        measures: what the last pictures reach, by name, float [B] each.
    """

    pictures: np.ndarray
    losses: np.ndarray
    measures: dict[str, np.ndarray] = field(default_factory=dict)


class ImageOptimizer:
    """A compiled search; it can be run again and again, with other targets of the same kind.

    Args:
        network: whose features the terms read.
        term: what is minimised: objective and priors, added.
        config: the settings of the search; those of the sum are not read here.
    """

    def __init__(self, network: Network, term: Term, config: PreimageConfig):
        self.network, self.term, self.config = network, term, config
        network.prepare(term.taps)
        self.jitter = _jitter(network, term, config)
        self.side = network.size + self.jitter
        self._parameters = PARAMETERS[config.parameters](network.mean)
        self._rule, self._memories = RULES[config.rule]
        self._steps: dict[tuple[tuple[int, ...], ...], Callable] = {}

    @property
    def iterations(self) -> int:
        """How many a run takes."""
        return sum(self.config.iterations)

    def run(
        self,
        pictures: np.ndarray | None = None,
        *,
        seeds: Sequence[int] = (0,),
        term: Term | None = None,
        watch: Watch | None = None,
        watch_every: int = 10,
        progress: Callable[[int], Any] | None = None,
    ) -> Preimages:
        """Search.

        Args:
            pictures: float32 [B, S, S, 3], RGB 0..255, to start from; None: noise.
            seeds: of each picture's noise and jitter.
            term: of the same structure as the optimiser's own, with other arrays; None: the optimiser's own.
            watch: called with the pictures every `watch_every` iterations and at the end.
            watch_every: see there.
            progress: called with 1 after each iteration.

        Raises:
            ConfigError: arrays, pictures and seeds for different numbers of pictures, or a search that diverges.
        """
        arrays = [np.asarray(array, np.float32) for array in (term or self.term).arrays]
        _check_counts(arrays, pictures, len(seeds))
        canvas = ops.convert_to_tensor(self._start(pictures, seeds))
        step = self._step(tuple(canvas.shape), [array.shape for array in arrays])
        tensors = [ops.convert_to_tensor(array) for array in arrays]
        losses, done = [], 0
        for stage, (count, share) in enumerate(zip(self.config.iterations, self.config.rates, strict=True)):
            memory = ops.zeros((self._memories, *canvas.shape), "float32")
            rate = np.float32(self._rate() * share)
            views = self._views(stage, count, seeds)
            for number in range(count):
                view, turn = np.ascontiguousarray(views[:, number]), np.float32(number + 1)
                canvas, memory, loss = step(canvas, memory, rate, turn, view, *tensors)
                losses.append(loss)
                done += 1
                if done % _CHECK_EVERY == 0:
                    _check_finite(loss, done)
                if watch is not None and (done % watch_every == 0 or done == self.iterations):
                    watch(done, self._shown(canvas))
                if progress is not None:
                    progress(1)
        _check_finite(losses[-1], done)
        return Preimages(self._shown(canvas), np.stack([ops.convert_to_numpy(loss) for loss in losses]))

    def _step(self, shape: tuple[int, ...], arrays: Sequence[tuple[int, ...]]) -> Callable:
        """Compile one update for batches of one shape."""
        key = (shape, *arrays)
        if key not in self._steps:
            specs = [((shape[0], 3), "float32"), *((array, "float32") for array in arrays)]
            slope_of = compiled_gradient(self._loss, (shape, "float32"), *specs)
            bound = self.config.bound if self.config.parameters == "pixels" else 0.0

            def step(
                canvas: Tensor, memory: Tensor, rate: Tensor, turn: Tensor, views: Tensor, *arrays: Tensor
            ) -> tuple[Tensor, Tensor, Tensor]:
                losses, slope = slope_of(canvas, views, *arrays)
                canvas, memory = self._rule(canvas, slope, memory, rate, turn, self.config.momentum)
                return within_bound(canvas, bound) if bound else canvas, memory, losses

            memory = ((self._memories, *shape), "float32")
            scalars = [((), "float32"), ((), "float32")]
            self._steps[key] = compiled(step, (shape, "float32"), memory, *scalars, *specs)
        return self._steps[key]

    def _loss(self, parameters: Tensor, views: Tensor, *arrays: Tensor) -> Tensor:
        """Give the sum of terms, float32 [B]."""
        centred = self._parameters.centred(parameters)
        pictures = self._cropped(centred, views) + self.network.mean
        seen = Seen(centred, pictures, self.network.features(pictures, self.term.taps))
        return self.term(seen, arrays)

    def _cropped(self, canvas: Tensor, views: Tensor) -> Tensor:
        """Give what the network sees, float32 [B, S, S, 3]."""
        size = self.network.size
        if self.config.zoom:
            rows, columns = (_bilinear(views[:, axis], views[:, 2], size, self.side) for axis in (0, 1))
            return ops.einsum("bsh,bhwc,btw->bstc", rows, canvas, columns)
        if not self.jitter:
            return canvas
        places = ops.cast(views, "int32")
        parts = [
            ops.slice(canvas[row], (places[row, 0], places[row, 1], 0), (size, size, 3))
            for row in range(canvas.shape[0])
        ]
        return ops.stack(parts)

    def _rate(self) -> float:
        units = {"one": 1.0, "sigma_squared": sigma(self.side) ** 2, "pixels": float(self.side**2)}
        return self.config.rate * units[self.config.rate_unit]

    def _start(self, pictures: np.ndarray | None, seeds: Sequence[int]) -> np.ndarray:
        """Give the first parameters, float32 [B, H, H, 3]."""
        shape = (self.side, self.side, 3)
        if pictures is not None:
            low = self.jitter // 2
            edges = ((0, 0), (low, self.jitter - low), (low, self.jitter - low), (0, 0))
            padded = np.pad(np.asarray(pictures, np.float32), edges, "edge")
            return self._parameters.encoded(padded - self.network.mean)
        if self.config.start == "image":
            raise ConfigError("this preset starts from given pictures, got none; give them or --set start=uniform")
        draws = [stream(seed, "preimage", "start") for seed in seeds]
        if self.config.parameters == "fourier":
            return np.stack([self._parameters.noise(shape, random) for random in draws])
        return np.stack([_noise(self.config.start, shape, random) for random in draws])

    def _views(self, stage: int, count: int, seeds: Sequence[int]) -> np.ndarray:
        """Give float32 [B, count, 3], top, left and scale of what is seen; the last stages keep to the middle."""
        middle, zoom = self.jitter // 2, self.config.zoom
        views = np.tile(np.array([middle, middle, 1.0], np.float32), (len(seeds), count, 1))
        if stage >= len(self.config.iterations) - self.config.still:
            return views
        for row, seed in zip(views, seeds, strict=True):
            random = stream(seed, "preimage", "jitter", stage)
            if not zoom:
                row[:, :2] = random.integers(0, self.jitter + 1, (count, 2))
                continue
            row[:, 2] = random.uniform(1 - zoom, 1 + zoom, count)
            room = self.side - self.network.size * row[:, 2:]  # below 0, edges are repeated
            row[:, :2] = random.uniform(0, 1, (count, 2)) * room
        return views

    def _shown(self, parameters: Tensor) -> np.ndarray:
        """Give the middle of the canvas, float32 [B, S, S, 3], RGB 0..255."""
        low, size = self.jitter // 2, self.network.size
        centred = ops.convert_to_numpy(self._parameters.centred(parameters))
        return np.clip(centred[:, low : low + size, low : low + size] + self.network.mean, 0.0, 255.0)


def _bilinear(first: Tensor, scale: Tensor, size: int, side: int) -> Tensor:
    """Give float32 [B, size, side], the share of each row of the canvas in each row that is seen."""
    steps = (np.arange(size, dtype=np.float32) + 0.5)[None]
    places = ops.clip(first[:, None] + steps * scale[:, None] - 0.5, 0.0, side - 1.0)
    return ops.relu(1.0 - ops.abs(places[:, :, None] - np.arange(side, dtype=np.float32)))


def _jitter(network: Network, term: Term, config: PreimageConfig) -> int:
    if config.jitter >= 0:
        return config.jitter
    stride = max((network.field(tap).stride for tap in term.taps), default=1)
    return min(max(round(stride / 4), 1), _LARGEST_JITTER)


def _noise(start: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if start == "normal":
        noise = random.standard_normal(shape, np.float32)
        return noise * np.float32(sigma(shape[0]) / np.linalg.norm(noise))
    if start == "training":
        return random.standard_normal(shape, np.float32) * TRAINING_DEVIATION
    noise = random.uniform(-1.0, 1.0, shape).astype(np.float32)
    return noise * np.float32(B / np.sqrt(3) / np.quantile(noise, 0.95))


def _check_counts(arrays: Sequence[np.ndarray], pictures: np.ndarray | None, count: int) -> None:
    counts = {len(array) for array in arrays} | ({len(pictures)} if pictures is not None else set()) | {count}
    if len(counts) > 1:
        raise ConfigError(
            f"got {count} seeds, targets of {sorted({len(array) for array in arrays})} pictures and"
            f" {'no' if pictures is None else len(pictures)} pictures to start from; expected one of each for each"
        )


def _check_finite(losses: Any, done: int) -> None:
    if not np.all(np.isfinite(ops.convert_to_numpy(losses))):
        raise ConfigError(f"the search diverged within {done} iterations; take a smaller step, such as --set rate=...")
