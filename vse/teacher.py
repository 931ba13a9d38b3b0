"""Teaching the sentence encoder what a larger one, the teacher, knows: which sentences mean about the same.

A ranker reads few sentences; a large sentence encoder has read millions. Before the ranker sees an image, its sentence
encoder learns to guess the teacher's vectors of any sentences, those of the captions and others.

Letters: M sentences, B of a batch, T words, K members, D joint width, E width of the teacher's vectors.

References: Hinton et al. 2015, arXiv:1503.02531 (distillation); Tian et al. 2020, arXiv:1910.10699 (by contrast).
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vislang.core.seeds import stream
from vislang.text.vocabulary import pad_sentences
from vislang.training.batching import bucketed_batches
from vislang.training.epoch_batches import EpochBatches
from vislang.training.feature_scaling import unit_length
from vislang.training.task import Task
from vse.model import Ranker

Tensor = Any
TEMPERATURE = 0.05  # of the cosines, where they are told apart
CONTRAST = 0.2  # weight of telling them apart


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


class TeachingTask(Task):
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
