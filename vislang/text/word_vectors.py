"""Pretrained word vectors, such as GloVe's text files, as the initial embedding table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vislang.core.errors import DataError
from vislang.core.files import keyed
from vislang.text.vocabulary import Vocabulary

_NEXT = "give a text file with a word and its numbers on each line, as GloVe's are"


def embedding_table(path: str | Path, vocabulary: Vocabulary, width: int) -> np.ndarray:
    """Read the vectors of a vocabulary's words.

    Args:
        path: UTF-8 text, "word x y z ..." a line. Lines of several words, as glove.840B has them, and empty ones are
            ignored.
        vocabulary: the words.
        width: of each vector.

    Returns:
        float32 [len(vocabulary), width]; words that the file lacks get small random vectors, equal at each call.

    Raises:
        DataError: no such file, vectors of another width, none of the words, or one of them twice.
    """
    table = np.random.default_rng(0).uniform(-0.1, 0.1, (len(vocabulary), width)).astype(np.float32)
    found: list[tuple[str, np.ndarray]] = []
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, *numbers = line.split() or [""]
                if word not in vocabulary or not _are_numbers(numbers):
                    continue
                if len(numbers) != width:
                    raise DataError(
                        f"{path}, line {number}: {word!r} has {len(numbers)} numbers, expected {width};"
                        f" set word_dim={len(numbers)}, or {_NEXT}"
                    )
                found.append((word, np.array(numbers, np.float32)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as word vectors ({error}); {_NEXT}") from error
    if not found:
        raise DataError(f"{path} holds none of the {len(vocabulary)} words; {_NEXT}")
    for word, vector in keyed(found, f"{path}, words", _NEXT).items():
        table[vocabulary.id(word)] = vector
    return table


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        list(map(float, cells))
    except ValueError:
        return False
    return True
