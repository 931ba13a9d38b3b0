"""Batches that depend on the seed and the epoch alone, so that training resumes exactly."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.text.vocabulary import pad_sentences
from vislang.training.batching import BATCHING

Tensor = Any


class EpochBatches(keras.utils.PyDataset, ABC):
    """The batches of an epoch; subclasses implement `plan` and `batch`.

    `start_at` chooses the epoch. `vislang.training.callbacks.fit_resumably` calls it before each: Keras' own hooks are
    called a different number of times on each backend.

    Args:
        seed: of the run; for `plan`, with `vislang.core.seeds.stream`.
        first_epoch: index that `plan` gets for the first epoch; some systems count from 1.
    """

    def __init__(self, seed: int, first_epoch: int = 0):
        super().__init__()
        self.seed = seed
        self.first_epoch = first_epoch
        self._epoch = first_epoch
        self._planned: tuple[int, Sequence[Any]] | None = None  # epoch and its plan

    @abstractmethod
    def plan(self, epoch: int) -> Any:
        """Return what each batch of an epoch holds, such as int arrays of row indices.

        Args:
            epoch: index, from `first_epoch`; equal epochs must get equal plans.
        """

    @abstractmethod
    def batch(self, rows: Any) -> tuple[Any, ...]:
        """Return a batch as `model.fit` takes it: inputs, targets and, if there are any, weights.

        Args:
            rows: an element of the plan.
        """

    def start_at(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose batches follow."""
        self._epoch = self.first_epoch + epoch

    def __len__(self) -> int:
        return len(self._plan_of_epoch())

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.batch(self._plan_of_epoch()[index])

    def _plan_of_epoch(self) -> Sequence[Any]:
        # Keras reads batches ahead in another thread: the plan is kept together with its epoch, and read once.
        planned = self._planned
        if planned is None or planned[0] != self._epoch:
            epoch = self._epoch
            planned = (epoch, self.plan(epoch))
            self._planned = planned
        return planned[1]


class SentenceBatches(EpochBatches):
    """Sentences with their images in seeded batches; subclasses implement `batch`.

    Args:
        words: word ids of each of M sentences.
        image_of_sentence: int [M], rows of `descriptors`.
        batch_size: sentences in a batch.
        batching: a name in `BATCHING`.
        seed: see `EpochBatches`.
        first_epoch: see `EpochBatches`.
        sampling: float [M], how many times each sentence is read in an epoch; None: each once.
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        image_of_sentence: np.ndarray,
        descriptors: CachedDescriptors,
        *,
        batch_size: int,
        batching: str,
        seed: int,
        first_epoch: int = 0,
        sampling: np.ndarray | None = None,
    ):
        super().__init__(seed, first_epoch)
        self.words = words
        self.image_of_sentence = image_of_sentence
        self.descriptors = descriptors
        self.batch_size = batch_size
        self.make_batches = BATCHING[batching]
        self.lengths = np.array(list(map(len, words)))
        self.sampling = sampling

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Return row indices for each batch, int arrays: of sentences, unless a subclass says otherwise."""
        random = stream(self.seed, "batches", epoch)
        if self.sampling is None:
            return self.make_batches(self.lengths, self.batch_size, random)
        rows = sampled_rows(self.sampling, stream(self.seed, "sampling", epoch))
        return [rows[batch] for batch in self.make_batches(self.lengths[rows], self.batch_size, random)]

    def flat_words(self, sentences: np.ndarray) -> np.ndarray:
        """Return the padded words of B sentences, int32 [B * T]: Keras would take the T of the first batch for all."""
        return pad_sentences([self.words[sentence] for sentence in sentences]).ravel()

    def images(self, sentences: np.ndarray | list[int]) -> np.ndarray:
        """Return the image of each of B sentences, int32 [B]."""
        return self.image_of_sentence[sentences].astype(np.int32)


def sampled_rows(times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw row indices, int [R]: those of equal `times` equally often, none more than once more than another.

    Args:
        times: float [M] > 0, how many times each of M rows is drawn on average.
        random: of an epoch; R is the same in each.
    """
    drawn = []
    for value in np.unique(times):
        rows = np.flatnonzero(times == value)
        whole = int(value)
        rest = round((value - whole) * len(rows))
        drawn.append(np.concatenate([np.tile(rows, whole), random.choice(rows, rest, replace=False)]))
    return np.sort(np.concatenate(drawn))


def image_inputs(rows: np.ndarray, descriptors: CachedDescriptors) -> dict[str, Any]:
    """Return the images of a batch, as inputs from which `image_descriptors` reads their descriptors.

    Args:
        rows: int32 [B], row indices of `descriptors`.
        descriptors: gathered here when they do not lie on the device, where the graph can gather them.

    Returns:
        "rows" int32 [B] and, unless resident, "descriptors" float32 [B, N, F].
    """
    if descriptors.is_resident:
        return {"rows": rows}
    return {"rows": rows, "descriptors": descriptors.rows(rows)}


def image_descriptors(inputs: dict[str, Tensor], descriptors: CachedDescriptors) -> Tensor:
    """Return the descriptors of a batch, float32 [B, N, F], from what `image_inputs` returned."""
    if "descriptors" in inputs:
        return inputs["descriptors"]
    return descriptors.rows(inputs["rows"])
