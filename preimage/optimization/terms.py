"""What a search minimises: terms that are added and scaled like numbers.

    0.5 * Inversion(...) + TotalVariation(...)

A term gives one number for each picture, from that picture alone, so that pictures in one batch do not see each other.
Letters: B pictures, H x W pixels of the canvas, S x S pixels of what the network sees.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Tensor = Any


@dataclass(frozen=True)
class Seen:
    """The pictures at one moment of a search.

    Attributes:
        centred: float32 [B, H, W, 3], RGB 0..255 minus the mean colour.
        pictures: float32 [B, S, S, 3], RGB 0..255, the part of the canvas that the network sees now.
        features: {tap: float32 [B, ...]} of `pictures`.
    """

    centred: Tensor
    pictures: Tensor
    features: Mapping[str, Tensor]


class Term(ABC):
    """One term, smaller is better.

    Attributes:
        taps: whose features it needs.
        arrays: what it knows of each picture, float32 [B, ...]; given back to it as tensors at each call.
    """

    taps: tuple[str, ...] = ()
    arrays: tuple[np.ndarray, ...] = ()

    @abstractmethod
    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""

    def of_rows(self, rows: Any) -> "Term":
        """Give the same term for some of its pictures.

        Args:
            rows: an index into the first axis that keeps it, such as [3] or slice(0, 4).
        """
        part = copy.copy(self)
        part.arrays = tuple(array[rows] for array in self.arrays)
        return part

    def __add__(self, other: "Term") -> "Term":
        return Sum([(1.0, self), (1.0, other)]) if isinstance(other, Term) else NotImplemented

    def __radd__(self, other: Any) -> "Term":
        return self if isinstance(other, (int, float)) and other == 0 else NotImplemented  # for the built-in sum

    def __mul__(self, weight: float) -> "Term":
        return Sum([(float(weight), self)])

    __rmul__ = __mul__


class Sum(Term):
    """Weighted terms.

    Args:
        parts: (weight, term); sums among them are taken apart.
    """

    def __init__(self, parts: Sequence[tuple[float, Term]]):
        self.parts: list[tuple[float, Term]] = []
        for weight, term in parts:
            inner = term.parts if isinstance(term, Sum) else [(1.0, term)]
            self.parts += [(weight * factor, part) for factor, part in inner]
        self.taps = tuple(dict.fromkeys(tap for _, term in self.parts for tap in term.taps))
        self.arrays = tuple(array for _, term in self.parts for array in term.arrays)

    def __call__(self, seen: Seen, arrays: Sequence[Tensor]) -> Tensor:
        """Give float32 [B]."""
        total, rest = 0.0, list(arrays)
        for weight, term in self.parts:
            own, rest = rest[: len(term.arrays)], rest[len(term.arrays) :]
            total = total + weight * term(seen, own)
        return total

    def of_rows(self, rows: Any) -> "Term":
        """Give the same sum for some of its pictures."""
        return Sum([(weight, term.of_rows(rows)) for weight, term in self.parts])
