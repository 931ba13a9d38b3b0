"""What all decoding methods share: the step of a network, and the words that may follow.

Letters: B images, K hypotheses of each, H = B * K, V words, T steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops, tree

from captioner.decoding.sentences import IMPOSSIBLE
from vislang.text.vocabulary import PAD, START, UNKNOWN

Tensor = Any
Tree = Any  # tensors in any nesting of tuples, lists and dictionaries

# step(memory, state, int32 [H] last words) -> float32 [H, V] log-probabilities of the next word, state.
# The memory, first axis B, is constant; the state, first axis H, is that of the hypotheses: h belongs to image h // K.
Step = Callable[[Tree, Tree, Tensor], tuple[Tensor, Tree]]

FORBIDDEN = (PAD, START, UNKNOWN)  # words that no caption holds


def permitted(log_probs: Tensor) -> Tensor:
    """Set the float32 [..., V] log-probabilities of `FORBIDDEN` words to IMPOSSIBLE."""
    penalty = np.zeros(log_probs.shape[-1], np.float32)
    penalty[list(FORBIDDEN)] = IMPOSSIBLE
    return log_probs + penalty  # more than twice as fast as `where`


def spread(values: Tree, times: int) -> Tree:
    """Repeat each row of a tree: first axis B to B * times."""

    def repeated(leaf: Tensor) -> Tensor:
        # In a compiled graph this is far smaller than `ops.repeat`.
        return ops.take(leaf, ops.arange(ops.shape(leaf)[0] * times, dtype="int32") // times, axis=0)

    return tree.map_structure(repeated, values)


def written(words: Tensor, chosen: Tensor, step: Tensor | int) -> Tensor:
    """Write int32 [...] words at one step of int32 [..., T]."""
    here = ops.arange(words.shape[-1], dtype="int32") == step
    return ops.where(here, ops.expand_dims(chosen, -1), words)
