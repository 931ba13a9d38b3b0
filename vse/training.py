"""The ranker's training task: pairs in, score matrices out, one loss over both directions."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.training.losses import hardest_hinge, softmax_loss, summed_hinge
from vse.config import VseConfig
from vse.kiros.adam import KirosAdam
from vse.model import Ranker

Tensor = Any
MakeBatches = Callable[[np.ndarray, int, np.random.Generator], list[np.ndarray]]


class PairBatches(keras.utils.PyDataset):
    """Matched pairs in seeded batches; the order of an epoch depends on the seed and its number alone.

    Args:
        words: word numbers of each sentence.
        image_of_sentence: int [M], rows of `descriptors`.
        descriptors: of the images; gathered here when they are not resident on the device.
        config: batch size, batching and what counts as a negative.
        make_batches: from `vislang.training.batching`, the one that `config.batching` names.
        seed: of the run.
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        image_of_sentence: np.ndarray,
        descriptors: CachedDescriptors,
        *,
        config: VseConfig,
        make_batches: MakeBatches,
        seed: int,
    ):
        super().__init__()
        self.words, self.image_of_sentence, self.descriptors = words, image_of_sentence, descriptors
        self.config, self.make_batches, self.seed = config, make_batches, seed
        self.lengths = np.array([len(sentence) for sentence in words])
        self.start_at(0)

    def __len__(self) -> int:
        return len(self._batches)

    def start_at(self, epoch: int) -> None:
        """Make `epoch`, counted from 0, the next to be drawn."""
        self._epoch = epoch - 1
        self._batches = self._plan(epoch)

    def on_epoch_begin(self) -> None:
        """Draw the next epoch's batches."""
        self._epoch += 1
        self._batches = self._plan(self._epoch)

    def _plan(self, epoch: int) -> list[np.ndarray]:
        return self.make_batches(self.lengths, self.config.batch_size, stream(self.seed, "batches", epoch))

    def __getitem__(self, number: int) -> tuple[dict[str, Any], np.ndarray]:
        """Give the inputs of `RankingTask` and int32 [B]: pairs with equal numbers are no negatives of each other.

        The words travel flat: Keras would take the first batches' number of steps for the number of all.
        """
        chosen = self._batches[number]
        rows = self.image_of_sentence[chosen].astype(np.int32)
        inputs = {"rows": rows, "words": padded([self.words[row] for row in chosen]).ravel()}
        if not self.descriptors.is_resident:
            inputs["descriptors"] = self.descriptors.rows(rows)
        groups = np.arange(len(rows), dtype=np.int32) if self.config.same_image_is_negative else rows
        return inputs, groups


def padded(sentences: Sequence[Sequence[int]]) -> np.ndarray:
    """Give int32 [B, T] with zeros after each sentence; T is at least 1."""
    result = np.zeros((len(sentences), max(1, max(map(len, sentences)))), np.int32)
    for row, sentence in zip(result, sentences, strict=True):
        row[: len(sentence)] = sentence
    return result


class RankingTask(keras.Model):
    """What `model.fit` trains: looks the images up on the device and scores them against the sentences."""

    def __init__(self, ranker: Ranker, descriptors: CachedDescriptors):
        super().__init__()
        self.ranker, self.descriptors = ranker, descriptors

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Give float32 [members, B, B]."""
        descriptors = inputs["descriptors"] if "descriptors" in inputs else self.descriptors.rows(inputs["rows"])
        words = ops.reshape(inputs["words"], (ops.shape(inputs["rows"])[0], -1))  # [B, T]
        if self.ranker.config.l2 and training:
            squares = [ops.sum(ops.square(weight)) for weight in self.ranker.trainable_weights]
            self.add_loss(self.ranker.config.l2 * ops.sum(ops.stack(squares)))
        return self.ranker({"descriptors": descriptors, "words": words}, training=training)

    def prepare(self, config: VseConfig, updates_per_epoch: int) -> None:
        """Choose optimiser and loss, with all state built, so that an earlier run can be taken up."""
        optimizer = make_optimizer(config, updates_per_epoch)
        optimizer.build(self.ranker.trainable_variables)
        self.compile(optimizer=optimizer, loss=make_loss(config, optimizer))
        self.built = True


def make_loss(config: VseConfig, optimizer: keras.optimizers.Optimizer) -> Callable[[Tensor, Tensor], Tensor]:
    """Give loss(groups int [B], scores float32 [members, B, B]), summed over the members."""

    def of_member(scores: Tensor, negatives: Tensor) -> Tensor:
        if config.loss == "softmax":
            return softmax_loss(scores, negatives)
        if config.loss == "summed_hinge":
            return summed_hinge(scores, negatives, config.margin)
        easy, hard = (loss(scores, negatives, config.margin) for loss in (summed_hinge, hardest_hinge))
        warm = ops.cast(optimizer.iterations < config.warmup_updates, easy.dtype)
        return warm * easy + (1.0 - warm) * hard

    def ranking_loss(groups: Tensor, scores: Tensor) -> Tensor:
        groups = ops.reshape(groups, (-1,))
        negatives = ops.not_equal(groups[:, None], groups[None, :])  # [B, B]
        return sum(of_member(scores[member], negatives) for member in range(config.ensemble_size))

    return ranking_loss


def make_optimizer(config: VseConfig, updates_per_epoch: int) -> keras.optimizers.Optimizer:
    """Build the optimiser and its schedule."""
    rate: Any = config.learning_rate
    total = updates_per_epoch * config.epochs
    if config.schedule == "cosine":
        warmup = min(200, total // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, total - warmup), alpha=0.01, warmup_target=config.learning_rate, warmup_steps=warmup
        )
    elif config.schedule == "step":
        steps = [config.step_epochs * updates_per_epoch]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(steps, [rate, rate / 10])
    kind = {"adam": keras.optimizers.Adam, "kiros_adam": KirosAdam}[config.optimizer]
    return kind(learning_rate=rate, global_clipnorm=config.clip_norm or None)
