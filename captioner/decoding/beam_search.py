"""Beam search, batched: beams folded into the batch, one graph, finished hypotheses frozen.

Letters: B images, G groups, W beams of a group, K = G * W beams, V words, T steps. The search starts with one empty
hypothesis and W - 1 impossible ones, so that one graph serves all steps.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from keras import ops, tree

from captioner.decoding.repetition import ANY, RepetitionRules
from captioner.decoding.sentences import IMPOSSIBLE
from captioner.decoding.step import Step, Tensor, Tree, permitted, spread, written
from vislang.text.vocabulary import END, START


def beam_search(
    step: Step,
    memory: Tree,
    state: Tree,
    batch_size: Tensor | int,
    *,
    width: int = 5,
    max_words: int = 20,
    length_power: float = 0.0,
    num: int | None = None,
    groups: int = 1,
    diversity: float = 0.0,
    repetition: RepetitionRules = ANY,
) -> tuple[Tensor, Tensor]:
    """Find the most probable sentences of every image of a batch at once.

    A finished hypothesis keeps its log-probability and competes with those that still grow. One without end mark after
    `max_words` words is kept: its log-probability is the sum over its words alone. With `width` of V ** max_words or
    more the result is exact. One beam is greedy decoding.

    With `groups`, beams are split, and the groups choose one after another at each step: a word costs `diversity` for
    every time that an earlier group of the image has chosen it at this step (Vijayakumar et al. 2016, Hamming
    diversity; the end mark counts as a word). The cost is in no log-probability. Two groups may find the same sentence.

    Args:
        step: see `captioner.decoding.step`.
        memory: of the images, first axis B.
        state: the state before the first word, first axis B.
        batch_size: B.
        width: K, a multiple of `groups`.
        max_words: T, the end mark included.
        length_power: sentences compare by log-probability / length ** length_power, the end mark counted.
        num: sentences of each image that are returned; None: `width`. Fewer may end the search earlier.
        groups: G.
        diversity: 0 or more.
        repetition: what no sentence repeats.

    Returns:
        int32 [B, num, T] words, padded with the end mark, and float32 [B, num] log-probabilities, best first;
        IMPOSSIBLE where there are fewer sentences.
    """
    search = _Search(
        step=step,
        memory=memory,
        width=width // groups,
        groups=groups,
        max_words=max_words,
        num=num or width,
        length_power=length_power,
        diversity=diversity,
        repetition=repetition,
    )
    start = (0, search.empty(batch_size), spread(state, width))
    _, found, _ = ops.while_loop(search.unfinished, search.grow, start)
    return search.ranked(found)


class _Hypotheses(NamedTuple):
    """The hypotheses of every group (first axes [B, G, W]) or of one group ([B, W]), the best first."""

    words: Tensor  # int32 [B, G, W, T], padded with the end mark
    last: Tensor  # int32 [B, G, W]
    log_probs: Tensor  # float32 [B, G, W]
    lengths: Tensor  # float32 [B, G, W], number of words, the end mark counted; 1 of impossible ones
    done: Tensor  # bool [B, G, W]: ended, or impossible


@dataclass(frozen=True)
class _Search:
    """One search: what stays the same over its steps."""

    step: Step
    memory: Tree
    width: int  # W
    groups: int
    max_words: int
    num: int
    length_power: float
    diversity: float
    repetition: RepetitionRules

    def empty(self, batch_size: Tensor | int) -> _Hypotheses:
        """Return the hypotheses before the first word."""
        shape = (batch_size, self.groups, self.width)
        impossible = np.arange(self.width) > 0
        return _Hypotheses(
            words=ops.full((*shape, self.max_words), END, "int32"),
            last=ops.full(shape, START, "int32"),
            log_probs=ops.broadcast_to(np.where(impossible, np.float32(IMPOSSIBLE), np.float32(0)), shape),
            lengths=ops.broadcast_to(impossible.astype(np.float32), shape),
            done=ops.broadcast_to(impossible, shape),
        )

    def unfinished(self, t: Tensor, found: _Hypotheses, state: Tree) -> Tensor:
        """Return whether any image may still find a better sentence."""
        # The `num` best of a single group are final once they have ended and no growing hypothesis can pass them, even
        # if it grows to the full length at no further cost. Of several groups, all beams have to be final.
        num = self.width
        if self.groups == 1:
            num = self.num
        worst = self._quality(found.log_probs, found.lengths)[..., num - 1]
        best_hope = ops.where(found.done, 2 * IMPOSSIBLE, found.log_probs / self.max_words**self.length_power)
        final = ops.logical_and(ops.all(found.done[..., :num], axis=-1), worst >= ops.max(best_hope, axis=-1))
        return ops.logical_and(t < self.max_words, ops.logical_not(ops.all(final)))

    def grow(self, t: Tensor, found: _Hypotheses, state: Tree) -> tuple[Tensor, _Hypotheses, Tree]:
        """Add one word to every hypothesis that has not ended, and keep the best."""
        log_probs, state = self.step(self.memory, state, ops.reshape(found.last, (-1,)))
        words = ops.reshape(found.words, (-1, self.max_words))
        log_probs = self.repetition.exclude(permitted(log_probs), words, t)
        num_words = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, self.groups, self.width, num_words))
        images = ops.arange(ops.shape(log_probs)[0], dtype="int32")[:, None]  # [B, 1]
        chosen = []
        parents = []
        used = None
        for group in range(self.groups):
            old = _Hypotheses(*(field[:, group] for field in found))
            new, parent = self._extend(t, old, log_probs[:, group], used, images)
            if self.groups > 1:
                grew = ops.cast(ops.logical_not(_take(old.done, images * self.width + parent)), "float32")
                uses = ops.sum(ops.one_hot(new.last, num_words) * ops.expand_dims(grew, -1), axis=1)  # [B, V]
                used = uses if used is None else used + uses
            chosen.append(new)
            parents.append((images * self.groups + group) * self.width + parent)
        found = _Hypotheses(*(ops.stack(fields, axis=1) for fields in zip(*chosen, strict=True)))
        rows = ops.reshape(ops.stack(parents, axis=1), (-1,))
        return t + 1, found, tree.map_structure(lambda leaf: ops.take(leaf, rows, axis=0), state)

    def _extend(
        self, t: Tensor, old: _Hypotheses, log_probs: Tensor, used: Tensor | None, images: Tensor
    ) -> tuple[_Hypotheses, Tensor]:
        """Return the W best continuations of one group.

        Args:
            old: the group, first axes [B, W].
            log_probs: float32 [B, W, V] of the next word.
            used: float32 [B, V], how often earlier groups have chosen each word at this step.
            images: int32 [B, 1], 0 to B - 1.

        Returns:
            the group, and int32 [B, W], which of the W each grew from.
        """
        most = min(self.width, log_probs.shape[2])  # continuations of one parent
        penalised = log_probs
        if used is not None:
            penalised = log_probs - self.diversity * used[:, None]
        scores, words = ops.top_k(penalised, most)
        ended = ops.expand_dims(old.done, -1)
        # An ended hypothesis continues as itself, once and at no cost.
        frozen = ops.array([0.0] + [IMPOSSIBLE] * (most - 1), "float32")

        def sums(scores: Tensor) -> Tensor:
            return ops.maximum(ops.expand_dims(old.log_probs, -1) + ops.where(ended, frozen, scores), IMPOSSIBLE)

        lengths = old.lengths + ops.cast(ops.logical_not(old.done), "float32")
        quality = self._quality(sums(scores), ops.expand_dims(lengths, -1))
        _, best = ops.top_k(ops.reshape(quality, (-1, self.width * most)), self.width)  # [B, W]
        if used is not None:
            scores = ops.take_along_axis(log_probs, words, axis=-1)
        parents = best // most
        best = best + images * (self.width * most)
        rows = parents + images * self.width
        kept = _take(sums(scores), best)
        last = _take(ops.where(ended, END, words), best)
        done = ops.logical_or(last == END, kept < IMPOSSIBLE / 2)
        text = ops.take(ops.reshape(old.words, (-1, self.max_words)), rows, axis=0)
        return _Hypotheses(written(text, last, t), last, kept, _take(lengths, rows), done), parents

    def ranked(self, found: _Hypotheses) -> tuple[Tensor, Tensor]:
        """Return int32 [B, num, T] words and float32 [B, num] log-probabilities over all groups, best first."""
        beams = self.groups * self.width
        quality = ops.reshape(self._quality(found.log_probs, found.lengths), (-1, beams))
        _, best = ops.top_k(quality, self.num)
        best = best + ops.arange(ops.shape(best)[0], dtype="int32")[:, None] * beams
        log_probs = _take(found.log_probs, best)
        words = ops.take(ops.reshape(found.words, (-1, self.max_words)), best, axis=0)
        return ops.where(ops.expand_dims(log_probs, -1) < IMPOSSIBLE / 2, END, words), log_probs

    def _quality(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        if not self.length_power:
            return log_probs
        return log_probs / lengths**self.length_power


def _take(values: Tensor, places: Tensor) -> Tensor:
    """Take elements of flattened values; in a compiled graph this is far smaller than `ops.take_along_axis`."""
    return ops.take(ops.reshape(values, (-1,)), places)
