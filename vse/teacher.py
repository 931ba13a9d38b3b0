"""Teaching the sentence encoder what a larger one, the teacher, knows: which sentences mean about the same.

A ranker reads few sentences; a large sentence encoder has read millions. Before the ranker sees an image, its sentence
encoder learns to guess the teacher's vectors of any sentences, those of the captions and others.

Letters: M sentences, B of a batch, T words, K members, D joint width, E width of the teacher's vectors.

References: Hinton et al. 2015, arXiv:1503.02531 (distillation); Tian et al. 2020, arXiv:1910.10699 (by contrast).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from datasets.text_files import read_lines
from vislang.core.errors import DataError
from vislang.core.seeds import stream
from vislang.training.batching import bucketed_batches
from vislang.training.epoch_batches import EpochBatches, pad_sentences
from vislang.training.feature_scaling import unit_length
from vse.model import Ranker

Tensor = Any
SENTENCES = "sentences.txt"
VECTORS = "vectors.npy"
TEMPERATURE = 0.05  # of the cosines, where they are told apart
CONTRAST = 0.2  # weight of telling them apart


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
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {command}") from error
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


class TaughtBatches(EpochBatches):
    """Sentences with the teacher's vectors, in seeded batches of about equal lengths.

    Args:
        words: word ids of each of M sentences.
        vectors: float [M, E].
        batch_size: sentences in a batch.
        seed: of the run.
    """

    def __init__(self, words: Sequence[Sequence[int]], vectors: np.ndarray, *, batch_size: int, seed: int):
        super().__init__(seed)
        self.words = words
        self.vectors = vectors
        self.batch_size = batch_size
        self.lengths = np.array(list(map(len, words)))

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Return row indices for each batch, int arrays."""
        return bucketed_batches(self.lengths, self.batch_size, stream(self.seed, "taught", epoch))

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Return the inputs of `TeachingTask` and the teacher's vectors, float32 [B, E]."""
        words = pad_sentences([self.words[row] for row in rows])
        # Flat: Keras would take the T of the first batch for all.
        return {"rows": rows.astype(np.int32), "words": words.ravel()}, self.vectors[rows].astype(np.float32)


class TeachingTask(keras.Model):
    """What `model.fit` trains: the sentence encoders of a ranker, each with a linear map to the teacher's vectors.

    Args:
        ranker: whose sentence encoders learn.
        width: E.
    """

    def __init__(self, ranker: Ranker, width: int):
        super().__init__()
        self.encoders = ranker.sentence_encoders
        self.maps = [keras.layers.Dense(width) for _ in self.encoders]
        for linear in self.maps:
            linear.build((None, ranker.config.embed_dim))

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return the guessed vectors of the sentences of `TaughtBatches`, float32 [B, K, E]."""
        words = ops.reshape(inputs["words"], (ops.shape(inputs["rows"])[0], -1))  # [B, T]
        pairs = zip(self.encoders, self.maps, strict=True)
        return ops.stack([linear(encoder(words, training=training)) for encoder, linear in pairs], axis=1)


def teaching_loss(vectors: Tensor, guesses: Tensor) -> Tensor:
    """Compute how far each guess is from the teacher's vector, and how hard to tell it from those of other sentences.

    Args:
        vectors: the teacher's, float32 [B, E].
        guesses: the encoders', float32 [B, K, E].

    Returns:
        float32 [B], summed over the K members: one less the cosine, and `CONTRAST` times the cross entropy of the right
        vector among the batch by cosine over `TEMPERATURE`.
    """
    cosines = ops.matmul(unit_length(guesses), ops.transpose(unit_length(vectors)))  # [B, K, B]
    right = ops.eye(ops.shape(vectors)[0])[:, None]  # [B, 1, B]
    distances = 1.0 - ops.sum(right * cosines, axis=2)  # [B, K]
    contrasts = -ops.sum(right * ops.log_softmax(cosines / TEMPERATURE), axis=2)
    return ops.sum(distances + CONTRAST * contrasts, axis=1)
