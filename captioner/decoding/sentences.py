"""What decoding returns, and what is asked of it, in NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vislang.text.vocabulary import END, PAD

IMPOSSIBLE = -1e30  # below any log-probability; finite, so that sums are never NaN


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


def until_end(words: np.ndarray) -> np.ndarray:
    """Replace what follows the first end mark of each row of int [B, T] by padding."""
    ended = np.cumsum(words == END, axis=1) - (words == END)  # end marks before each word
    return np.where(ended > 0, PAD, words).astype(np.int32)


def repeated_words(sentences: np.ndarray, function_words: Sequence[int]) -> np.ndarray:
    """Count how often each sentence repeats a word, int [N]: "a man riding a bike on a bike" does once.

    Args:
        sentences: int [N, T], padded with PAD.
        function_words: ids of words that may recur.
    """
    content = np.where(np.isin(sentences, [PAD, END, *function_words]), -1, sentences)
    content = np.sort(content, axis=1)
    return ((content[:, 1:] == content[:, :-1]) & (content[:, 1:] >= 0)).sum(axis=1)
