"""What a search minimises: terms that are added and scaled like numbers.

    0.5 * Inversion(...) + TotalVariation(...)

A term gives one number per image, computed from that image alone, so that the images of a batch are independent.
Letters: B images, H x W pixels of the canvas, S x S pixels of the network's input.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

Tensor = Any


@dataclass(frozen=True)
class SearchState:
    """The images at one iteration of a search."""

    centred: Tensor  # float32 [B, H, W, 3], the canvas, RGB 0..255 minus the mean colour
    images: Tensor  # float32 [B, S, S, 3], RGB 0..255, the crop of the canvas that is the network's input now
    features: Mapping[str, Tensor]  # {layer: float32 [B, ...]} of `images`


class Term(ABC):
    """One term of the loss; lower is better."""

    layers: tuple[str, ...] = ()  # whose features it reads
    arrays: tuple[np.ndarray, ...] = ()  # constants of each image, float32 [B, ...]; passed to each call as tensors

    @abstractmethod
    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the loss of each image, float32 [B]."""

    def __add__(self, other: "Term") -> "Term":
        if not isinstance(other, Term):
            return NotImplemented
        return Sum([(1.0, self), (1.0, other)])

    def __mul__(self, weight: float) -> "Term":
        return Sum([(float(weight), self)])

    __rmul__ = __mul__


class Sum(Term):
    """Weighted sum of terms, of (weight, term); nested sums are flattened."""

    def __init__(self, parts: Sequence[tuple[float, Term]]):
        self.parts: list[tuple[float, Term]] = []
        for weight, term in parts:
            inner = term.parts if isinstance(term, Sum) else [(1.0, term)]
            self.parts += [(weight * factor, part) for factor, part in inner]
        self.layers = tuple(dict.fromkeys(layer for _, term in self.parts for layer in term.layers))
        self.arrays = tuple(array for _, term in self.parts for array in term.arrays)

    def __call__(self, state: SearchState, arrays: Sequence[Tensor]) -> Tensor:
        """Return the sum of each image, float32 [B]."""
        total = 0.0
        first = 0
        for weight, term in self.parts:
            last = first + len(term.arrays)
            total = total + weight * term(state, arrays[first:last])
            first = last
        return total


def per_image(values: Tensor) -> Tensor:
    """Return the sum of each row of [B, ...], [B]."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
