"""Word vectors that others trained, such as GloVe's text files, as the start of a word table."""

from pathlib import Path

import numpy as np

from vislang.core.errors import DataError
from vislang.text.vocabulary import Vocabulary

_NEXT = "give a text file with a word and its numbers on each line, as GloVe's are"


def table_from(path: str | Path, vocabulary: Vocabulary, width: int) -> np.ndarray:
    """Lay out the vectors of a vocabulary.

    Args:
        path: UTF-8 text, "word x y z ..." a line.
        vocabulary: whose words are looked up.
        width: numbers of each vector.

    Returns:
        float32 [len(vocabulary), width]; words that the file lacks get small ones, equal at each call.

    Raises:
        DataError: no such file, lines of another width, or none of the words.
    """
    table = np.random.default_rng(0).uniform(-0.1, 0.1, (len(vocabulary), width)).astype(np.float32)
    found = 0
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, *numbers = line.split()
                if word not in vocabulary:
                    continue
                if len(numbers) != width:
                    raise DataError(
                        f"{path}, line {number}: {word!r} has {len(numbers)} numbers, expected {width};"
                        f" set word_dim={len(numbers)}, or {_NEXT}"
                    )
                table[vocabulary.number(word)] = np.array(numbers, np.float32)
                found += 1
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as word vectors ({error}); {_NEXT}") from error
    if not found:
        raise DataError(f"{path} holds none of the {len(vocabulary)} words; {_NEXT}")
    return table
