"""From descriptors to sentences: a network compiled with the options of decoding."""

from collections.abc import Callable
from typing import Any

import numpy as np

from captioner.decoding.options import DecodeOptions
from captioner.decoding.sentences import Sentences
from vislang.core.config import to_json
from vislang.core.errors import CheckpointError, DataError
from vislang.core.onnx_graphs import DECODE, exported_graph
from vislang.core.seeds import stream
from vislang.features.descriptors import as_float32

Tensor = Any


class Decoder:
    """A network and decoding options as one compiled graph.

    On TensorFlow one trace serves every number of images and descriptors; on JAX every new size compiles anew.

    Args:
        network: a `captioner.decoding.search_graph.StepModel`, built; or exported.
    """

    def __init__(self, network: Any, options: DecodeOptions | None = None):
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
        inputs = [as_float32(descriptors), mask]
        if options.method == "sample":
            if numbers is None:
                numbers = np.arange(images)
            inputs.append(self._noise(numbers))
        words, log_probs = map(np.asarray, self._graph(*inputs))
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

    def _compiled(self, width: int) -> Callable:
        exported = exported_graph(self.network, DECODE, to_json(self.options))
        if exported is not None:
            return exported
        from captioner.decoding.search_graph import search_graph

        return search_graph(self.network, self.options, width)


def _check_shapes(descriptors: tuple[int, ...], mask: tuple[int, ...], width: int) -> None:
    """Refuse shapes that do not fit each other or, where known, the width of earlier descriptors."""
    if len(descriptors) != 3 or tuple(mask) != tuple(descriptors[:2]) or (width and descriptors[2] != width):
        raise DataError(
            f"descriptors have shape {tuple(descriptors)} and their mask {tuple(mask)}, expected "
            f"[images, descriptors, {width or 'width'}] and [images, descriptors]"
        )
