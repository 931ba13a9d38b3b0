"""METEOR's table of paraphrases, cut to the words of a run, so that Java loads a small part in place of all.

The table has 5 million pairs, and reading it is most of METEOR's time. A pair can only match captions that hold all
of its words, so leaving the others out changes no score. The index makes the cut fast: it is made once for each
machine, by `make_index`, and used when it is there.
"""

import gzip
import itertools
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.java import jar_folder, require_file
from vislang.core.errors import EvalError
from vislang.core.files import whole_file

_FIRST_END = 0  # numbers that stand for the end of a pair's first and second phrase
_PAIR_END = 1
_ENDS = [b"\n", b"\n1\n"]  # the file has a line for the probability before each pair; METEOR does not look at it
_PLAIN = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class ParaphraseIndex:
    """The whole table as numbers.

    Attributes:
        words: unsigned [W], all pairs one after another, each phrase closed by its end.
        lengths: uint8 [P], how many numbers belong to each pair.
        vocabulary: the spelling of each number.
    """

    words: NDArray[np.uint16] | NDArray[np.uint32]
    lengths: NDArray[np.uint8]
    vocabulary: list[bytes]

    def table_for(self, words: Iterable[str]) -> bytes:
        """Give the part of the table, in the gzip form that METEOR reads, whose pairs use these words only.

        Args:
            words: as `plain_words` gives them. Words of the table with other characters than a-z and 0-9 always
                count as known, since METEOR itself changes punctuation.
        """
        given = {word.encode() for word in words}
        known = np.array([word in given or not _PLAIN.fullmatch(word.decode()) for word in self.vocabulary])
        firsts = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        whole = np.logical_and.reduceat(known[self.words], firsts)  # [P]
        numbers = self.words[np.repeat(whole, self.lengths)].tolist()
        text = b"1\n" + b" ".join([self.vocabulary[number] for number in numbers])
        return gzip.compress(text.removesuffix(b"1\n"), 0)


def plain_words(captions: Iterable[str]) -> set[str]:
    """Give every run of a-z and 0-9 in captions, in lower case: all plain words that METEOR can see in them."""
    return set().union(*(_PLAIN.findall(caption.lower()) for caption in captions))


def index_path(folder: Path | None = None) -> Path:
    """Give where the index of the installed table belongs: in `$VISLANG_CACHE`, else in `~/.cache/vislang`.

    Args:
        folder: where pycocoevalcap is, when not where Python finds it.
    """
    table = _table(folder)
    stored = os.environ.get("VISLANG_CACHE")
    cache = Path(stored) if stored else Path.home() / ".cache" / "vislang"
    return cache / f"paraphrases-{table.stat().st_size}-v1.npz"


def make_index(folder: Path | None = None) -> Path:
    """Make the index, about 110 MB in about 10 seconds, unless it is there; give its path.

    Args:
        folder: where pycocoevalcap is, when not where Python finds it.

    Raises:
        EvalError: no pycocoevalcap, or its table is damaged.
        DataError: the index cannot be written.
    """
    path = index_path(folder)
    if not path.is_file():
        index = index_of(_table(folder))
        with whole_file(path) as part, part.open("wb") as stream:
            spelled = np.frombuffer(b" ".join(index.vocabulary[len(_ENDS) :]), np.uint8)
            np.savez(stream, words=index.words, lengths=index.lengths, vocabulary=spelled)
    return path


def load_index(folder: Path | None = None) -> ParaphraseIndex | None:
    """Read the index; None when it was never made or is damaged, since METEOR runs without it, only slower."""
    try:
        with np.load(index_path(folder), allow_pickle=False) as arrays:
            vocabulary = [*_ENDS, *arrays["vocabulary"].tobytes().split(b" ")]
            index = ParaphraseIndex(arrays["words"], arrays["lengths"], vocabulary)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = len(index.words) == index.lengths.sum(dtype=np.int64) and index.words.max() < len(vocabulary)
    return index if fits else None


def index_of(table: Path) -> ParaphraseIndex:
    """Read a table of METEOR: for each pair a probability and two phrases, one on each line.

    Raises:
        EvalError: it is damaged.
    """
    numbers: defaultdict[bytes, int] = defaultdict(itertools.count().__next__)
    for end in _ENDS:
        numbers[end]
    parts = []
    lines = []
    try:
        with gzip.open(table) as stream:
            while more := stream.readlines(1 << 24):
                lines += more
                whole = len(lines) // 3 * 3
                parts.append(_numbered(lines[:whole], numbers))
                lines = lines[whole:]
    except (OSError, EOFError) as error:
        raise EvalError(f"{table} is damaged ({error}); install pycocoevalcap again") from error
    if lines or not parts:
        raise EvalError(f"{table} ends within a pair, expected three lines for each; install pycocoevalcap again")
    flat = np.concatenate(parts)
    words = flat.astype(np.uint16) if len(numbers) <= 1 << 16 else flat
    lengths = np.diff(np.flatnonzero(flat == _PAIR_END), prepend=-1)
    if lengths.max() > np.iinfo(np.uint8).max:
        raise EvalError(f"{table} holds a pair of {lengths.max()} words, expected a few; install pycocoevalcap again")
    return ParaphraseIndex(words, lengths.astype(np.uint8), list(numbers))


def _numbered(lines: list[bytes], numbers: defaultdict[bytes, int]) -> NDArray[np.uint32]:
    """Give the phrases of whole pairs as numbers."""
    phrases = b"".join(line for number, line in enumerate(lines) if number % 3)
    words = phrases.replace(b"\n", b" \n ").split(b" ")[:-1]
    flat = np.fromiter(map(numbers.__getitem__, words), np.uint32, len(words))
    flat[np.flatnonzero(flat == _FIRST_END)[1::2]] = _PAIR_END
    return flat


def _table(folder: Path | None) -> Path:
    return require_file((folder or jar_folder()) / "meteor" / "data" / "paraphrase-en.gz")
