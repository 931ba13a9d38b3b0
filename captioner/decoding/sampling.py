"""Sampling sentences from a network, batched, in one graph.

Letters: B images, S samples of each, H = B * S, V words, T steps.
"""

import math

from keras import ops

from captioner.decoding.repetition import ANY, RepetitionRules
from captioner.decoding.sentences import IMPOSSIBLE
from captioner.decoding.step import Step, Tensor, Tree, permitted, spread, written
from vislang.text.vocabulary import END, START


def sample(
    step: Step,
    memory: Tree,
    state: Tree,
    noise: Tensor,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    repetition: RepetitionRules = ANY,
) -> tuple[Tensor, Tensor]:
    """Draw sentences word by word.

    All randomness is in `noise`: equal noise gives equal words, whatever else is in the batch.

    Args:
        step: see `captioner.decoding.step`.
        memory: of the images, first axis B.
        state: the state before the first word, first axis B.
        noise: float32 [B, S, T] from 0 to below 1, one number for each word; S and T are static.
        temperature: log-probabilities are divided by it; below 1 sharpens.
        top_p: words are drawn from the smallest set of the most probable words with this total probability after
            `temperature` and `repetition` (nucleus sampling, Holtzman et al. 2020); 1 draws from all.
        repetition: what no sentence repeats.

    Returns:
        int32 [B, S, T] words, padded with the end mark, and float32 [B, S], their log-probabilities under the network
        (without temperature, nucleus or forbidden words), summed over the words and the end mark, if any.
    """
    samples, max_words = noise.shape[1:]
    noise = ops.reshape(noise, (-1, max_words))  # [H, T]
    rows = ops.shape(noise)[0]

    def unfinished(t: Tensor, words: Tensor, last: Tensor, log_probs: Tensor, done: Tensor, state: Tree) -> Tensor:
        return ops.logical_and(t < max_words, ops.logical_not(ops.all(done)))

    def grow(t: Tensor, words: Tensor, last: Tensor, log_probs: Tensor, done: Tensor, state: Tree) -> tuple:
        next_log_probs, state = step(memory, state, last)
        weights = _weights(repetition.exclude(permitted(next_log_probs), words, t), temperature)
        drawn = _draw(weights, ops.take(noise, t, axis=1), top_p)
        costs = ops.take_along_axis(next_log_probs, ops.expand_dims(drawn, -1), axis=1)[:, 0]
        log_probs = ops.where(done, log_probs, ops.maximum(log_probs + costs, IMPOSSIBLE))
        last = ops.where(done, END, drawn)
        return t + 1, written(words, last, t), last, log_probs, last == END, state

    words = ops.full((rows, max_words), END, "int32")
    last = ops.full((rows,), START, "int32")
    nothing = (ops.array(0, "int32"), words, last, ops.zeros((rows,), "float32"), ops.zeros((rows,), "bool"))
    _, words, _, log_probs, _, _ = ops.while_loop(unfinished, grow, (*nothing, spread(state, samples)))
    return ops.reshape(words, (-1, samples, max_words)), ops.reshape(log_probs, (-1, samples))


def _weights(log_probs: Tensor, temperature: float) -> Tensor:
    """Return the probabilities of float32 [H, V] log-probabilities, divided by the largest; 0 for impossible words."""
    weights = ops.exp((log_probs - ops.max(log_probs, axis=-1, keepdims=True)) / temperature)
    return ops.where(log_probs < IMPOSSIBLE / 2, 0.0, weights)


def _draw(weights: Tensor, noise: Tensor, top_p: float) -> Tensor:
    """Draw one word of each row of float32 [H, V] weights with float32 [H] noise: int32 [H]."""
    if top_p == 1.0:
        return _draw_from_all(weights, noise)
    weights, words = ops.top_k(weights, weights.shape[-1])
    before = ops.cumsum(weights, axis=-1) - weights
    inside = before < top_p * ops.sum(weights, axis=-1, keepdims=True)  # always true of the most probable word
    drawn = _draw_from_all(ops.where(inside, weights, 0.0), noise)
    return ops.take_along_axis(words, ops.expand_dims(drawn, -1), axis=1)[:, 0]


def _draw_from_all(weights: Tensor, noise: Tensor) -> Tensor:
    """Draw int32 [H], never a word of weight 0; the end mark where all weights are 0.

    A cumulative sum over blocks of words, then one within the block, are several times faster than a single long one.
    """
    num_words = weights.shape[-1]
    size = math.isqrt(num_words - 1) + 1
    blocks = -(-num_words // size)
    weights = ops.pad(weights, ((0, 0), (0, blocks * size - num_words)))
    weights = ops.reshape(weights, (-1, blocks, size))
    sums = ops.sum(weights, axis=-1)
    total = ops.sum(sums, axis=-1)
    block, left = _first_past(sums, noise * total)
    within = ops.take_along_axis(weights, block[:, None, None], axis=1)[:, 0]
    word, _ = _first_past(within, left)
    return ops.where(total > 0, block * size + word, END)


def _first_past(weights: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the cumulative sum of float32 [H, M] exceeds float32 [H], int32 [H], and the rest before it."""
    sums = ops.cumsum(weights, axis=-1)
    past = ops.logical_and(sums > target[:, None], weights > 0)
    # Rounding can leave the target at the full sum, which nothing exceeds; then the largest weight is taken.
    found = ops.argmax(ops.where(ops.any(past, axis=-1, keepdims=True), ops.cast(past, "float32"), weights), axis=-1)
    found = ops.cast(found, "int32")
    before = ops.take_along_axis(sums - weights, found[:, None], axis=1)[:, 0]
    return found, target - before
