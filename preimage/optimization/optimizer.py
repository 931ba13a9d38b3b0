"""Gradient search over a batch of images: minimise a sum of terms, each image on its own.

Norms, updates, starts and jitter are per image and every image has a seed, so that a batch of B images gives what
B runs of one give. Letters: B images, H x H pixels of the canvas, S x S pixels of the network's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from preimage.config import B, PreimageConfig
from preimage.networks.network import Network
from preimage.optimization.parameterization import PARAMETERS
from preimage.optimization.priors import clip_colour_norms, sigma
from preimage.optimization.terms import SearchState, Tensor, Term
from preimage.options import SearchOptions
from vislang.core.compile import compiled, compiled_gradient
from vislang.core.errors import ConfigError
from vislang.core.seeds import stream
from vislang.images.sources import Skipped

TRAINING_STD = np.array([58.393, 57.12, 57.375], np.float32)  # of ImageNet's pixels, RGB 0..255
_LARGEST_JITTER = 32
_CHECK_EVERY = 25  # iterations between checks of the loss, each of which waits for the device
_BETA_1 = 0.9  # Kingma & Ba 2014, arXiv:1412.6980
_BETA_2 = 0.999
_EPSILON = 1e-8


@dataclass(frozen=True)
class Preimages:
    """Images found by a search."""

    images: np.ndarray  # float32 [B, S, S, 3], RGB 0..255
    losses: np.ndarray  # float32 [iterations, B], the sum of terms before each update
    measures: dict[str, np.ndarray] = field(default_factory=dict)  # {name: float [B]} of the last images
    names: tuple[str, ...] = ()  # path or index of each input image; "LAYER CHANNEL" of maximisations
    skipped: tuple[Skipped, ...] = ()  # input images that could not be read
    inputs: np.ndarray | None = None  # float32 [B, S, S, 3], RGB 0..255, the input images at the network's size


class ImageOptimizer:
    """A compiled search.

    Args:
        network: whose features the terms read.
        term: what is minimised: objective and priors, added.
        config: settings of the search; weights of terms are not read here.
    """

    def __init__(self, network: Network, term: Term, config: PreimageConfig):
        self.network = network
        self.term = term
        self.config = config
        network.build(term.layers)
        self.jitter = _jitter(network, term, config)
        self.side = network.size + self.jitter
        self._parameters: Any = PARAMETERS[config.parameters](network.mean)
        self._rule, self._moments = UPDATE_RULES[config.update_rule]
        self._arrays = [np.asarray(array, np.float32) for array in term.arrays]
        self._count = len(self._arrays[0]) if self._arrays else 1
        canvas = (self._count, self.side, self.side, 3)
        inputs = [(self._count, 3), *(array.shape for array in self._arrays)]
        specs = [(shape, "float32") for shape in (canvas, (self._moments, *canvas), (), (), *inputs)]
        self._loss_and_gradient = compiled_gradient(self._loss, specs[0], *specs[4:])
        self._step = compiled(self._update, *specs)

    def run(self, start: np.ndarray | None = None, *, options: SearchOptions = SearchOptions()) -> Preimages:
        """Search, from images float32 [B, S, S, 3], RGB 0..255, or from noise."""
        if start is not None and len(start) != self._count:
            raise ConfigError(
                f"got {len(start)} images to start from and targets for {self._count}, expected equally many"
            )
        seeds = range(options.seed, options.seed + self._count)
        canvas = ops.convert_to_tensor(self._start(start, seeds))
        tensors = [ops.convert_to_tensor(array) for array in self._arrays]
        units = {"one": 1.0, "sigma_squared": sigma(self.side) ** 2, "pixels": float(self.side**2)}
        losses: list[Tensor] = []
        for stage, (iterations, factor) in enumerate(zip(self.config.iterations, self.config.rates, strict=True)):
            moments = ops.zeros((self._moments, *canvas.shape), "float32")
            rate = np.float32(self.config.rate * units[self.config.rate_unit] * factor)
            crops = self._crops(stage, iterations, seeds)
            for index in range(iterations):
                crop = np.ascontiguousarray(crops[:, index])
                canvas, moments, loss = self._step(canvas, moments, rate, np.float32(index + 1), crop, *tensors)
                losses.append(loss)
                self._report(len(losses), loss, canvas, options)
        _check_finite(losses[-1], len(losses))
        return Preimages(self._shown(canvas), np.stack([ops.convert_to_numpy(loss) for loss in losses]))

    def _report(self, done: int, loss: Tensor, canvas: Tensor, options: SearchOptions) -> None:
        """Check the loss and call what watches the search, after so many iterations."""
        if done % _CHECK_EVERY == 0:
            _check_finite(loss, done)
        if options.watch is not None and (done % options.watch_every == 0 or done == sum(self.config.iterations)):
            options.watch(done, self._shown(canvas))
        if options.progress is not None:
            options.progress(1)

    def _update(
        self, canvas: Tensor, moments: Tensor, rate: Tensor, iteration: Tensor, crops: Tensor, *arrays: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        losses, gradient = self._loss_and_gradient(canvas, crops, *arrays)
        canvas, moments = self._rule(canvas, gradient, moments, rate, iteration, self.config.momentum)
        if self.config.parameters == "pixels" and self.config.bound:
            canvas = clip_colour_norms(canvas, self.config.bound)
        return canvas, moments, losses

    def _loss(self, parameters: Tensor, crops: Tensor, *arrays: Tensor) -> Tensor:
        """Return the sum of terms of each image, float32 [B]."""
        centred = self._parameters.centred(parameters)
        images = self._cropped(centred, crops) + self.network.mean
        state = SearchState(centred, images, self.network.features(images, self.term.layers))
        return self.term(state, arrays)

    def _cropped(self, canvas: Tensor, crops: Tensor) -> Tensor:
        """Return the network's input float32 [B, S, S, 3]: the crops, each [top, left, scale], of the canvas."""
        size = self.network.size
        if self.config.zoom:
            rows = _bilinear(crops[:, 0], crops[:, 2], size, self.side)
            columns = _bilinear(crops[:, 1], crops[:, 2], size, self.side)
            return ops.einsum("bsh,bhwc,btw->bstc", rows, canvas, columns)
        if not self.jitter:
            return canvas
        corners = ops.cast(crops, "int32")
        parts = []
        for row in range(canvas.shape[0]):
            image = canvas[row]
            parts.append(ops.slice(image, (corners[row, 0], corners[row, 1], 0), (size, size, 3)))
        return ops.stack(parts)

    def _start(self, images: np.ndarray | None, seeds: Sequence[int]) -> np.ndarray:
        """Return the first parameters, float32 [B, H, H, 3]."""
        if images is not None:
            low = self.jitter // 2
            edges = (low, self.jitter - low)
            padded = np.pad(np.asarray(images, np.float32), ((0, 0), edges, edges, (0, 0)), "edge")
            return self._parameters.encoded(padded - self.network.mean)
        if self.config.start == "image":
            raise ConfigError("this preset starts from given images, got none; give them or --set start=uniform")
        shape = (self.side, self.side, 3)
        start = "small" if self.config.parameters == "fourier" else self.config.start
        return np.stack([_noise(start, shape, stream(seed, "preimage", "start")) for seed in seeds])

    def _crops(self, stage: int, iterations: int, seeds: Sequence[int]) -> np.ndarray:
        """Return float32 [B, iterations, 3]: top, left and scale of the crop; the last stages use the middle."""
        zoom = self.config.zoom
        middle = self.jitter // 2
        crops = np.tile(np.array([middle, middle, 1.0], np.float32), (len(seeds), iterations, 1))
        if stage >= len(self.config.iterations) - self.config.still_stages:
            return crops
        for row, seed in zip(crops, seeds, strict=True):
            random = stream(seed, "preimage", "jitter", stage)
            if not zoom:
                row[:, :2] = random.integers(0, self.jitter + 1, (iterations, 2))
                continue
            row[:, 2] = random.uniform(1 - zoom, 1 + zoom, iterations)
            room = self.side - self.network.size * row[:, 2:]  # below 0, edges are repeated
            row[:, :2] = random.uniform(0, 1, (iterations, 2)) * room
        return crops

    def _shown(self, parameters: Tensor) -> np.ndarray:
        """Return the middle of the canvas, float32 [B, S, S, 3], RGB 0..255."""
        low = self.jitter // 2
        high = low + self.network.size
        centred = ops.convert_to_numpy(self._parameters.centred(parameters))
        return np.clip(centred[:, low:high, low:high] + self.network.mean, 0.0, 255.0)


def momentum(
    x: Tensor, gradient: Tensor, moments: Tensor, rate: Any, iteration: Any, decay: float
) -> tuple[Tensor, Tensor]:
    """Update v <- decay v - rate g; x <- x + v. `moments` is [1, ...]: v."""
    velocity = decay * moments[0] - rate * gradient
    return x + velocity, velocity[None]


def adagrad_momentum(
    x: Tensor, gradient: Tensor, moments: Tensor, rate: Any, iteration: Any, decay: float
) -> tuple[Tensor, Tensor]:
    """Update G <- decay G + g^2; v <- decay v - g / (1 / rate + sqrt(G)); x <- x + v. `moments` is [2, ...]: v, G."""
    squares = decay * moments[1] + ops.square(gradient)
    velocity = decay * moments[0] - gradient / (1.0 / rate + ops.sqrt(squares))
    return x + velocity, ops.stack([velocity, squares])


def adam(
    x: Tensor, gradient: Tensor, moments: Tensor, rate: Any, iteration: Any, decay: float
) -> tuple[Tensor, Tensor]:
    """Update by Adam with bias correction; iterations count from 1, `moments` is [2, ...]: both moments."""
    first = _BETA_1 * moments[0] + (1 - _BETA_1) * gradient
    second = _BETA_2 * moments[1] + (1 - _BETA_2) * ops.square(gradient)
    mean = first / (1 - _BETA_1**iteration)
    spread = second / (1 - _BETA_2**iteration)
    return x - rate * mean / (ops.sqrt(spread) + _EPSILON), ops.stack([first, second])


UPDATE_RULES = {"momentum": (momentum, 1), "adagrad_momentum": (adagrad_momentum, 2), "adam": (adam, 2)}


def _bilinear(first: Tensor, scale: Tensor, size: int, side: int) -> Tensor:
    """Return float32 [B, size, side], the weight of each row of the canvas in each row of the crop."""
    steps = (np.arange(size, dtype=np.float32) + 0.5)[None]
    positions = ops.clip(first[:, None] + steps * scale[:, None] - 0.5, 0.0, side - 1.0)
    return ops.relu(1.0 - ops.abs(positions[:, :, None] - np.arange(side, dtype=np.float32)))


def _jitter(network: Network, term: Term, config: PreimageConfig) -> int:
    if config.jitter >= 0:
        return config.jitter
    stride = max((network.receptive_field(layer).stride for layer in term.layers), default=1)
    return min(max(round(stride / 4), 1), _LARGEST_JITTER)


def _noise(start: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return float32 noise of a shape: small coefficients, or RGB minus the mean colour."""
    if start == "small":
        return 0.01 * random.standard_normal(shape, np.float32)
    if start == "normal":
        noise = random.standard_normal(shape, np.float32)
        return noise * np.float32(sigma(shape[0]) / np.linalg.norm(noise))
    if start == "training":
        return random.standard_normal(shape, np.float32) * TRAINING_STD
    noise = random.uniform(-1.0, 1.0, shape).astype(np.float32)
    return noise * np.float32(B / np.sqrt(3) / np.quantile(noise, 0.95))


def _check_finite(losses: Any, done: int) -> None:
    if not np.all(np.isfinite(ops.convert_to_numpy(losses))):
        raise ConfigError(f"the search diverged within {done} iterations; take a smaller step, such as --set rate=...")
