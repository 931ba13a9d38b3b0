"""The one vocabulary: words to numbers and back, fitted on training sentences only."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from vislang.core.errors import CheckpointError, DataError

PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")


class Vocabulary:
    """A fixed list of words. Numbers 0 to 3 are padding, start, end and unknown; words follow by frequency.

    Args:
        words: distinct words, without the special ones.
        counts: how often each was seen in training, in the same order (0 when not known).
    """

    def __init__(self, words: Sequence[str], counts: Sequence[int] | None = None):
        self.words = (*SPECIAL, *words)
        self.counts = (0,) * len(SPECIAL) + tuple(counts if counts is not None else [0] * len(words))
        self._numbers = {word: number for number, word in enumerate(self.words)}
        if len(self._numbers) != len(self.words) or len(self.counts) != len(self.words):
            raise CheckpointError(f"vocabulary holds {len(self.words)} entries that are not distinct or not counted")

    @classmethod
    def fit(
        cls, sentences: Iterable[Sequence[str]], *, splits: Iterable[str], min_count: int = 1, drop_rarest: int = 0
    ) -> "Vocabulary":
        """Collect the words of tokenized training sentences, most frequent first, ties in alphabetical order.

        Args:
            sentences: tokenized sentences.
            splits: the split that each sentence came from; anything but "train" is a leak.
            min_count: words seen less often become unknown.
            drop_rarest: so many of the rarest kept words become unknown as well (the original ranker loses two).

        Raises:
            DataError: a sentence of another split, or no word at all.
        """
        leaks = sorted(set(splits) - {"train"})
        if leaks:
            raise DataError(f"vocabulary must be fitted on split 'train' only, got {leaks} as well")
        counted = Counter(word for sentence in sentences for word in sentence)
        ranked = sorted(
            (item for item in counted.items() if item[1] >= min_count), key=lambda item: (-item[1], item[0])
        )
        ranked = ranked[: len(ranked) - drop_rarest]
        if not ranked:
            raise DataError(f"no word is left for the vocabulary (min_count {min_count}); check the training captions")
        return cls([word for word, _ in ranked], [count for _, count in ranked])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._numbers

    def number(self, word: str) -> int:
        """Give the number of a word, or that of the unknown word."""
        return self._numbers.get(word, UNKNOWN)

    def encode(self, words: Iterable[str], *, start: bool = False, end: bool = False) -> list[int]:
        """Turn words into numbers, optionally between the start and end marks."""
        return [START] * start + [self.number(word) for word in words] + [END] * end

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Turn numbers into words up to the first end mark, leaving out padding and start."""
        words = []
        for number in numbers:
            if number == END:
                break
            if number not in (PAD, START):
                words.append(self.words[number])
        return words

    def log_frequencies(self) -> np.ndarray:
        """Give float32 [len(self)] log relative frequencies, the largest 0: the usual output bias of a captioner."""
        counts = np.maximum(np.asarray(self.counts, np.float64), 1.0)
        logs = np.log(counts / counts.sum())
        return (logs - logs.max()).astype(np.float32)

    def to_json(self) -> dict[str, list]:
        """Give what `from_json` rebuilds."""
        return {"words": list(self.words[len(SPECIAL) :]), "counts": list(self.counts[len(SPECIAL) :])}

    @classmethod
    def from_json(cls, value: dict[str, list]) -> "Vocabulary":
        """Rebuild a vocabulary.

        Raises:
            CheckpointError: the value is no vocabulary.
        """
        try:
            return cls([str(word) for word in value["words"]], [int(count) for count in value["counts"]])
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError(f"not a vocabulary: {error!r}; train again or copy vocabulary.json anew") from error
