"""METEOR's table of paraphrases, reduced to the words of a run, so that Java loads a small part of it.

The table has 5 million pairs, and reading it is most of METEOR's time. A pair can only match captions that hold all
of its words, so leaving out the others changes no score. The index makes the selection fast: `make_index` makes it once
per machine, and it is used where it exists.
"""

import gzip
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.metrics.captions.java import jar_file
from vislang.core.errors import DataError, EvalError
from vislang.core.files import cache_folder, read_arrays, whole_file

_FIRST_END = 0  # word ids of the end of a pair's first and second phrase
_PAIR_END = 1
_ENDS = [b"\n", b"\n1\n"]  # the file has a line for the probability before each pair, which METEOR ignores
_TABLE = "meteor/data/paraphrase-en.gz"
_PLAIN = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class ParaphraseIndex:
    """The whole table as word ids."""

    words: NDArray[np.uint16] | NDArray[np.uint32]  # [W], all pairs one after another, each phrase closed by its end
    lengths: NDArray[np.uint8]  # uint8 [P], the ids of each pair
    vocabulary: list[bytes]  # the word of each id

    def table_for(self, words: Iterable[str]) -> bytes:
        """Return the part of the table, gzipped as METEOR reads it, whose pairs consist of words from `plain_words`.

        Words of the table with other characters than a-z and 0-9 always count as known, since METEOR itself changes
        punctuation.
        """
        given = set(map(str.encode, words))
        known = np.array([word in given or not _PLAIN.fullmatch(word.decode()) for word in self.vocabulary])
        firsts = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        whole = np.logical_and.reduceat(known[self.words], firsts)  # [P]
        ids = self.words[np.repeat(whole, self.lengths)].tolist()
        text = b"1\n" + b" ".join(map(self.vocabulary.__getitem__, ids))
        return gzip.compress(text.removesuffix(b"1\n"), 0)


def plain_words(captions: Iterable[str]) -> set[str]:
    """Return every run of a-z and 0-9 in captions, in lower case: all plain words that METEOR reads in them."""
    words: set[str] = set()
    for caption in captions:
        words.update(_PLAIN.findall(caption.lower()))
    return words


def index_path() -> Path:
    """Return the path of the index of the table in pycocoevalcap, in `$VISLANG_CACHE`, else in `~/.cache/vislang`.

    Raises:
        EvalError: no pycocoevalcap.
        DataError: the user has neither a folder for it nor a home folder.
    """
    table = jar_file(_TABLE)
    cache = cache_folder("VISLANG_CACHE")
    if cache is None:
        raise DataError("there is no home folder for the index of paraphrases; set VISLANG_CACHE to a folder")
    return cache / f"paraphrases-{table.stat().st_size}-v1.npz"


def make_index() -> Path:
    """Make the index, about 110 MB in about 10 seconds, unless it exists, and return its path.

    Raises:
        EvalError: no pycocoevalcap, or its table is damaged.
        DataError: the index cannot be written.
    """
    path = index_path()
    if not path.is_file():
        index = index_of(jar_file(_TABLE))
        with whole_file(path) as part, part.open("wb") as stream:
            spelled = np.frombuffer(b" ".join(index.vocabulary[len(_ENDS) :]), np.uint8)
            np.savez(stream, words=index.words, lengths=index.lengths, vocabulary=spelled)
    return path


def load_index() -> ParaphraseIndex | None:
    """Read the index; None where there is none or it is damaged, since METEOR also runs without it."""
    try:
        arrays = read_arrays(index_path(), "delete it")
        words, lengths = arrays["words"], arrays["lengths"]
        vocabulary = [*_ENDS, *arrays["vocabulary"].tobytes().split(b" ")]
    except (DataError, KeyError):
        return None
    are_counts = words.dtype.kind == lengths.dtype.kind == "u" and words.ndim == lengths.ndim == 1
    if not are_counts or len(words) != lengths.sum(dtype=np.int64) or words.max(initial=0) >= len(vocabulary):
        return None
    return ParaphraseIndex(words, lengths, vocabulary)


def index_of(table: Path) -> ParaphraseIndex:
    """Read a table of METEOR: for each pair three lines, a probability and two phrases.

    Raises:
        EvalError: it is damaged.
    """
    ids: defaultdict[bytes, int] = defaultdict(itertools.count().__next__)
    for end in _ENDS:
        ids[end]
    parts = []
    lines: list[bytes] = []
    try:
        with gzip.open(table) as stream:
            while more := stream.readlines(1 << 24):
                lines += more
                whole = len(lines) // 3 * 3
                parts.append(_phrase_ids(lines[:whole], ids))
                lines = lines[whole:]
    except (OSError, EOFError) as error:
        raise EvalError(f"{table} is damaged ({error}); install pycocoevalcap again") from error
    if lines or not parts:
        raise EvalError(f"{table} ends within a pair, expected three lines for each; install pycocoevalcap again")
    flat = np.concatenate(parts)
    words: NDArray[np.uint16] | NDArray[np.uint32] = flat
    if len(ids) <= 1 << 16:
        words = flat.astype(np.uint16)
    lengths = np.diff(np.flatnonzero(flat == _PAIR_END), prepend=-1)
    if lengths.max() > np.iinfo(np.uint8).max:
        raise EvalError(f"{table} holds a pair of {lengths.max()} words, expected a few; install pycocoevalcap again")
    return ParaphraseIndex(words, lengths.astype(np.uint8), list(ids))


def _phrase_ids(lines: list[bytes], ids: defaultdict[bytes, int]) -> NDArray[np.uint32]:
    """Return the phrases of whole pairs as word ids; new words get new ids."""
    del lines[::3]  # probabilities
    phrases = b"".join(lines)
    words = phrases.replace(b"\n", b" \n ").split(b" ")[:-1]
    flat = np.fromiter(map(ids.__getitem__, words), np.uint32, len(words))
    flat[np.flatnonzero(flat == _FIRST_END)[1::2]] = _PAIR_END
    return flat
