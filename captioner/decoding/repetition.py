"""Words that would repeat what a sentence already says.

Letters: H hypotheses, V words, T steps.
"""

from dataclasses import dataclass

from keras import ops

from captioner.decoding.sentences import IMPOSSIBLE
from captioner.decoding.step import Tensor
from vislang.text.vocabulary import PAD


@dataclass(frozen=True)
class RepetitionRules:
    """Which repetitions a sentence must not hold.

    Attributes:
        forbid_repeats: no word follows itself.
        no_repeat_ngram: no n words in a row occur twice (Paulus et al. 2017, arXiv:1705.04304); 0: they may.
    """

    forbid_repeats: bool = False
    no_repeat_ngram: int = 0

    def exclude(self, log_probs: Tensor, words: Tensor, t: Tensor | int) -> Tensor:
        """Set the float32 [H, V] log-probabilities of words that would repeat to IMPOSSIBLE.

        Args:
            words: int32 [H, T], of which the first t are written.
        """
        excluded = []  # int32 [H, any], PAD for none
        if self.forbid_repeats:
            excluded.append(_word_before(words, t))
        if 0 < self.no_repeat_ngram < words.shape[1]:
            excluded.append(_completed_ngrams(words, t, self.no_repeat_ngram))
        if not excluded:
            return log_probs
        columns = ops.concatenate(excluded, axis=1)
        rows = ops.broadcast_to(ops.arange(ops.shape(columns)[0], dtype="int32")[:, None], ops.shape(columns))
        places = ops.reshape(ops.stack([rows, columns], axis=-1), (-1, 2))
        return ops.scatter_update(log_probs, places, ops.full((ops.shape(places)[0],), IMPOSSIBLE, "float32"))


ANY = RepetitionRules()  # all repetitions are allowed


def _word_before(words: Tensor, t: Tensor | int) -> Tensor:
    """Return the last word, int32 [H, 1]; PAD at the first step."""
    return ops.where(t > 0, _column(words, t - 1), PAD)[:, None]


def _completed_ngrams(words: Tensor, t: Tensor | int, n: int) -> Tensor:
    """Return the words that followed earlier copies of the last n - 1 words, int32 [H, T - n + 1]; PAD elsewhere."""
    steps = words.shape[1]
    ends = ops.arange(n - 1, steps, dtype="int32")
    earlier = ops.broadcast_to(ends < t, ops.shape(words[:, n - 1 :]))
    for back in range(1, n):
        same = words[:, n - 1 - back : steps - back] == _column(words, t - back)[:, None]
        earlier = ops.logical_and(earlier, same)
    return ops.where(earlier, words[:, n - 1 :], PAD)


def _column(words: Tensor, step: Tensor | int) -> Tensor:
    """Return int32 [H], the words of one step of int32 [H, T]; those of the first for steps below 0."""
    return ops.take(words, ops.maximum(step, 0), axis=1)
