"""Sentences with the vectors that a larger encoder gives them, in a folder of two files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.text_files import read_lines
from vislang.core.errors import DataError
from vislang.core.files import read_array

SENTENCES = "sentences.txt"
VECTORS = "vectors.npy"


@dataclass(frozen=True)
class TaughtSentences:
    """Sentences and the teacher's vectors of them, float [M, E]."""

    sentences: Sequence[str]
    vectors: np.ndarray

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the teacher."""
        digest = hashlib.sha256("\n".join(self.sentences).encode())
        digest.update(self.vectors.tobytes())
        return {"sentences": len(self.sentences), "width": self.vectors.shape[1], "sha256": digest.hexdigest()}


def read_taught(folder: Path) -> TaughtSentences:
    """Read what `vislang sentence-vectors` wrote.

    Args:
        folder: holds sentences.txt, one a line, and vectors.npy, a finite float array with a row for each.

    Raises:
        DataError: missing, damaged, or not a row for each sentence.
    """
    command = "make it with vislang sentence-vectors"
    sentences = read_lines(folder / SENTENCES, command)
    path = folder / VECTORS
    vectors = read_array(path, command)
    if not sentences:
        raise DataError(f"{folder / SENTENCES} has no line, expected a sentence a line; {command}")
    if vectors.ndim != 2 or len(vectors) != len(sentences) or not vectors.size or vectors.dtype.kind != "f":
        raise DataError(
            f"{path} holds {vectors.dtype} {vectors.shape}, expected a row of floats for each of the"
            f" {len(sentences)} lines of {SENTENCES}"
        )
    if not np.isfinite(vectors).all():
        raise DataError(f"{path} holds numbers that are not finite, expected finite ones")
    return TaughtSentences(sentences, vectors)
