"""From descriptors to sentences: a network compiled with the options of decoding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops

from captioner.decoding.beam_search import beam_search
from captioner.decoding.options import DecodeOptions
from captioner.decoding.repetition import RepetitionRules
from captioner.decoding.sampling import sample
from captioner.decoding.step import IMPOSSIBLE, Tensor, Tree
from vislang.core.compile import Spec, compiled
from vislang.core.errors import CheckpointError, DataError
from vislang.core.seeds import stream


class StepModel(Protocol):
    """What decoding needs of a captioner; see `captioner.decoding.step` for `step`."""

    variables: list

    def start(self, descriptors: Tensor, mask: Tensor) -> tuple[Tree, Tree]:
        """Return the memory of float32 [B, N, D] descriptors with mask bool [B, N], and the state before any word."""

    def step(self, memory: Tree, state: Tree, words: Tensor) -> tuple[Tensor, Tree]:
        """Read int32 [H] words; return float32 [H, V] log-probabilities of the next word and the next state."""


@dataclass(frozen=True)
class Sentences:
    """Decoded sentences, best first; samples in the order they were drawn.

    Attributes:
        words: int32 [B, num, T], padded with the end mark.
        log_probs: float32 [B, num], summed over the words and the end mark, or over the words alone where `max_words`
            cut the sentence; IMPOSSIBLE where there are fewer sentences than `num`.
    """

    words: np.ndarray
    log_probs: np.ndarray

    @property
    def exists(self) -> np.ndarray:
        """Whether there is a sentence, bool [B, num]."""
        return self.log_probs > IMPOSSIBLE / 2


class Decoder:
    """A network and decoding options as one compiled graph.

    On TensorFlow one trace serves every number of images and descriptors; on JAX every new size compiles anew.

    Args:
        network: with `start` and `step`, built.
    """

    def __init__(self, network: StepModel, options: DecodeOptions | None = None):
        self.network = network
        self.options: Any = (options or DecodeOptions()).completed({})  # no field is None
        self._graph: Callable | None = None
        self._width = 0

    def __call__(self, descriptors: Tensor, mask: Tensor, numbers: np.ndarray | None = None) -> Sentences:
        """Find sentences for a batch.

        Args:
            descriptors: float [B, N, D].
            mask: bool [B, N], True for real descriptors.
            numbers: int [B], for "sample" only: samples depend on the seed and the image's number, not on the batch.
                None: 0 to B - 1.

        Raises:
            DataError: shapes that do not fit.
            CheckpointError: the network returns NaN.
        """
        _check_shapes(descriptors.shape, mask.shape, self._width)
        options = self.options
        images = descriptors.shape[0]
        if images == 0:
            shape = (0, options.num, options.max_words)
            return Sentences(np.zeros(shape, np.int32), np.zeros(shape[:2], np.float32))
        if self._graph is None:
            self._width = descriptors.shape[-1]
            self._graph = self._compiled(self._width)
        inputs = [ops.convert_to_tensor(descriptors, "float32"), ops.convert_to_tensor(mask, "bool")]
        if options.method == "sample":
            if numbers is None:
                numbers = np.arange(images)
            inputs.append(ops.convert_to_tensor(self._noise(numbers)))
        words, log_probs = map(ops.convert_to_numpy, self._graph(*inputs))
        broken = np.isnan(log_probs).any(axis=1).sum()
        if broken:
            raise CheckpointError(
                f"the network returns NaN for {broken} of {images} images, expected log-probabilities; "
                "check these images' features for NaN, then load another checkpoint"
            )
        return Sentences(words, log_probs)

    def _noise(self, numbers: np.ndarray) -> np.ndarray:
        shape = (self.options.num, self.options.max_words)
        streams = (stream(self.options.seed, "sampling", int(number)) for number in numbers)
        return np.stack([one.random(shape, np.float32) for one in streams])

    def _decode(self, descriptors: Tensor, mask: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        options = self.options
        step = self.network.step
        memory, state = self.network.start(descriptors, mask)
        repetition = RepetitionRules(options.forbid_repeats, options.no_repeat_ngram)
        if noise is not None:
            return sample(
                step,
                memory,
                state,
                noise,
                temperature=options.temperature,
                top_p=options.top_p,
                repetition=repetition,
            )
        groups = 1
        if options.method == "diverse":
            groups = options.groups or options.width
        return beam_search(
            step,
            memory,
            state,
            ops.shape(descriptors)[0],
            width=options.width or 1,  # "greedy" is one beam
            max_words=options.max_words,
            length_power=options.length_power or 0.0,
            num=options.num,
            groups=groups,
            diversity=options.diversity or 0.0,
            repetition=repetition,
        )

    def _compiled(self, width: int) -> Callable:
        inputs: list[Spec] = [((None, None, width), "float32"), ((None, None), "bool")]
        if self.options.method == "sample":
            inputs.append(((None, self.options.num, self.options.max_words), "float32"))
        return compiled(self._decode, *inputs, model=self.network)


def _check_shapes(descriptors: tuple[int, ...], mask: tuple[int, ...], width: int) -> None:
    """Refuse shapes that do not fit each other or, where known, the width of earlier descriptors."""
    if len(descriptors) != 3 or tuple(mask) != tuple(descriptors[:2]) or (width and descriptors[2] != width):
        raise DataError(
            f"descriptors have shape {tuple(descriptors)} and their mask {tuple(mask)}, expected "
            f"[images, descriptors, {width or 'width'}] and [images, descriptors]"
        )
