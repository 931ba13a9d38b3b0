"""The vocabulary: words to ids and back, fitted on training sentences only."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from vislang.core.compiled_size import compiled_size
from vislang.core.errors import CheckpointError, DataError

PAD = 0
START = 1
END = 2
UNKNOWN = 3
_WORDS = 8  # sentences are as long as a multiple of it, where every length is compiled by itself
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")


class Vocabulary:
    """A fixed list of words. Ids 0 to 3 are padding, start, end and unknown; words follow by frequency.

    Args:
        words: distinct words, without the special ones.
        counts: frequency of each in training; None: unknown, all 0.

    Raises:
        CheckpointError: words that are not distinct, or another number of counts.
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int] | None = None):
        if counts is None:
            counts = [0] * len(words)
        self.words = (*SPECIAL, *words)
        self.counts = (*[0] * len(SPECIAL), *counts)
        self._ids = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(self._ids) != len(self.words) or len(self.counts) != len(self.words):
            raise CheckpointError(f"vocabulary holds {len(self.words)} entries that are not distinct or not counted")

    @classmethod
    def fit(
        cls, sentences: Iterable[Sequence[str]], *, splits: Iterable[str], min_count: int = 1, drop_rarest: int = 0
    ) -> "Vocabulary":
        """Collect the words of tokenized training sentences, most frequent first, ties in alphabetical order.

        Args:
            sentences: tokenized sentences.
            splits: the splits that the sentences came from; anything but "train" is a leak.
            min_count: words that occur less often become unknown.
            drop_rarest: number of the rarest remaining words that become unknown as well.

        Raises:
            DataError: a sentence of another split, or no word at all.
        """
        leaks = sorted(set(splits) - {"train"})
        if leaks:
            raise DataError(f"vocabulary must be fitted on split 'train' only, got {leaks} as well")
        counts: Counter[str] = Counter()
        for sentence in sentences:
            counts.update(sentence)
        words = sorted(counts, key=lambda word: (-counts[word], word))
        while words and counts[words[-1]] < min_count:
            words.pop()
        words = words[: len(words) - drop_rarest]
        if not words:
            raise DataError(f"no word is left for the vocabulary (min_count {min_count}); check the training captions")
        return cls(words, [counts[word] for word in words])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def id(self, word: str) -> int:
        """Return the id of a word, or UNKNOWN."""
        return self._ids.get(word, UNKNOWN)

    def encode(self, words: Iterable[str], *, start: bool = False, end: bool = False) -> list[int]:
        """Return the ids of words, optionally between the start and end marks."""
        ids = list(map(self.id, words))
        if start:
            ids.insert(0, START)
        if end:
            ids.append(END)
        return ids

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the words of ids up to the first end mark, without padding and start."""
        words = []
        for word_id in ids:
            if word_id == END:
                break
            if word_id not in (PAD, START):
                words.append(self.words[word_id])
        return words

    def log_frequencies(self) -> np.ndarray:
        """Compute float32 [len(self)], log relative frequencies, the largest 0: a captioner's initial output bias."""
        counts = np.maximum(np.asarray(self.counts, np.float64), 1.0)
        logs = np.log(counts / counts.sum())
        return (logs - logs.max()).astype(np.float32)

    def to_json(self) -> dict[str, list]:
        """Return what `from_json` reads."""
        return {"words": list(self.words[len(SPECIAL) :]), "counts": list(self.counts[len(SPECIAL) :])}

    @classmethod
    def from_json(cls, value: dict[str, list]) -> "Vocabulary":
        """Rebuild a vocabulary from what `to_json` returned.

        Raises:
            CheckpointError: the value is no vocabulary.
        """
        next_step = "train again or copy vocabulary.json anew"
        try:
            words, counts = value["words"], value["counts"]
        except (TypeError, LookupError) as error:
            raise CheckpointError(f"not a vocabulary: {error!r}; {next_step}") from error
        are_words = isinstance(words, list) and all(isinstance(word, str) for word in words)
        if not are_words or not isinstance(counts, list) or not all(map(_is_count, counts)):
            raise CheckpointError(f"not a vocabulary: its words are no texts or its counts no numbers; {next_step}")
        return cls(words, counts)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def pad_sentences(sentences: Sequence[Sequence[int]]) -> np.ndarray:
    """Return word ids as one array, int32 [B, T], with 0 after each sentence; T is at least 1.

    On JAX T is a multiple of 8.
    """
    width = compiled_size(max([1, *map(len, sentences)]), _WORDS)
    result = np.zeros((len(sentences), width), np.int32)
    for row, sentence in zip(result, sentences, strict=True):
        row[: len(sentence)] = sentence
    return result
