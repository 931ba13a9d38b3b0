"""Words that would repeat what a sentence already says.

Letters: H hypotheses, V words, T steps.
"""

from dataclasses import dataclass

from keras import ops

from captioner.decoding.step import IMPOSSIBLE, Tensor
from vislang.text.vocabulary import PAD

# "side by side", "face to face" and "hand in hand" are English.
CONNECTIVES = ("and", "near", "on", "with")


@dataclass(frozen=True)
class RepetitionRules:
    """Which repetitions a sentence must not hold.

    Attributes:
        forbid_repeats: no word follows itself, and no phrase follows itself and a connective: neither "a a man" nor
            "a man and a man" nor "a bike on a bike", but "a man in blue and a man in red".
        no_repeat_ngram: no n words in a row occur twice (Paulus et al. 2017, arXiv:1705.04304); 0: they may.
        connectives: ids of the words that must not join a phrase to itself.
    """

    forbid_repeats: bool = False
    no_repeat_ngram: int = 0
    connectives: tuple[int, ...] = ()

    def exclude(self, log_probs: Tensor, words: Tensor, t: Tensor | int) -> Tensor:
        """Set the float32 [H, V] log-probabilities of words that would repeat to IMPOSSIBLE.

        Args:
            words: int32 [H, T], of which the first t are written.
        """
        excluded = []  # int32 [H, any], PAD for none
        if self.forbid_repeats:
            excluded.append(_word_before(words, t))
            excluded.append(_phrase_before_connective(words, t, self.connectives))
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


def _phrase_before_connective(words: Tensor, t: Tensor | int, connectives: tuple[int, ...]) -> Tensor:
    """Return the word that would end a copy of the phrase before the last connective, int32 [H, 1]; PAD for none.

    With the connective at p, the word at p - 1 does if the words since equal those at as many places before it.
    """
    places = ops.arange(words.shape[1], dtype="int32")
    is_connective = ops.any(words[..., None] == ops.array(connectives, "int32"), axis=-1)
    is_connective = ops.logical_and(is_connective, places < t)
    at = ops.max(ops.where(is_connective, places, -1), axis=1, keepdims=True)  # p, int32 [H, 1]; -1: none
    copied = ops.maximum(places - (t + 1 - at), 0)
    same = words == ops.take_along_axis(words, copied, axis=1)
    since = ops.logical_and(places > at, places < t)
    repeats = ops.all(ops.logical_or(same, ops.logical_not(since)), axis=1, keepdims=True)
    repeats = ops.logical_and(repeats, 2 * at >= t)  # as many words before it as the copy would have
    return ops.where(repeats, ops.take_along_axis(words, ops.maximum(at - 1, 0), axis=1), PAD)


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
