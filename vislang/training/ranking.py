"""Training a model that scores images against sentences: matched pairs in, a loss over both directions of ranking.

Letters: B pairs, N descriptors, F feature width, T words, K scores of each pair.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from eval.metrics.retrieval import retrieval_metrics, rsum
from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.text.vocabulary import Vocabulary
from vislang.training.batching import BATCHING
from vislang.training.callbacks import Row
from vislang.training.epoch_batches import EpochBatches, image_descriptors, image_inputs, pad_sentences
from vislang.training.fit import Report, Run
from vislang.training.losses import l2_penalty

Tensor = Any
PairLoss = Callable[[Tensor, Tensor], Tensor]  # of scores float32 [B, B] and negatives bool [B, B]


class PairBatches(EpochBatches):
    """Matched pairs of image and sentence in seeded batches.

    Args:
        words: word ids of each of M sentences.
        image_of_sentence: int [M], rows of `descriptors`.
        descriptors: of the images.
        batch_size: pairs in a batch.
        batching: a name in `BATCHING`.
        same_image_is_negative: whether two sentences of one image are negatives of each other's pairs.
        seed: of the run.
        first_epoch: see `EpochBatches`.
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        image_of_sentence: np.ndarray,
        descriptors: CachedDescriptors,
        *,
        batch_size: int,
        batching: str,
        same_image_is_negative: bool,
        seed: int,
        first_epoch: int = 0,
    ):
        super().__init__(seed, first_epoch)
        self.words = words
        self.image_of_sentence = image_of_sentence
        self.descriptors = descriptors
        self.batch_size = batch_size
        self.make_batches = BATCHING[batching]
        self.same_image_is_negative = same_image_is_negative
        self.lengths = np.array(list(map(len, words)))

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Return row indices of the sentences of each batch, int [B]."""
        return self.make_batches(self.lengths, self.batch_size, stream(self.seed, "batches", epoch))

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Return the inputs of `RankingTask` and int32 [B]; pairs with equal values are no negatives of each other.

        The words are flat: Keras would take the T of the first batches for that of all.
        """
        images = self.image_of_sentence[rows].astype(np.int32)
        inputs = image_inputs(images, self.descriptors)
        inputs["words"] = pad_sentences([self.words[row] for row in rows]).ravel()
        if self.same_image_is_negative:
            return inputs, np.arange(len(rows), dtype=np.int32)
        return inputs, images


@dataclass(frozen=True)
class Penalty:
    """Weight decay that is part of the loss: `strength` times the sum of the squares of `weights`."""

    strength: float
    weights: Sequence[Any]


class RankingTask(keras.Model):
    """What `model.fit` trains: gathers the images' descriptors and scores them against the sentences.

    Args:
        model: takes {"descriptors": float32 [B, N, F], "words": int32 [B, T]} and returns float32 [K, B, B].
        descriptors: of the training images.
        penalty: added to the loss; None: nothing.
    """

    def __init__(self, model: keras.Model, descriptors: CachedDescriptors, penalty: Penalty | None = None):
        super().__init__()
        self.model = model
        self.descriptors = descriptors
        self.penalty = penalty

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return scores, float32 [K, B, B], for the inputs of `PairBatches`."""
        if training and self.penalty is not None:
            self.add_loss(l2_penalty(self.penalty.weights, self.penalty.strength))
        words = ops.reshape(inputs["words"], (ops.shape(inputs["rows"])[0], -1))  # [B, T]
        descriptors = image_descriptors(inputs, self.descriptors)
        return self.model({"descriptors": descriptors, "words": words}, training=training)


def ranking_loss(pair_loss: PairLoss, num_scores: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of several scores of the same pairs, as `model.compile` takes it.

    Args:
        pair_loss: the loss of one score, from scores float32 [B, B] and negatives bool [B, B].
        num_scores: K.

    Returns:
        loss(groups int [B], scores float32 [K, B, B]): the sum over the K scores; see `PairBatches.batch` for groups.
    """

    def loss(groups: Tensor, scores: Tensor) -> Tensor:
        groups = ops.reshape(groups, (-1,))
        negatives = ops.not_equal(groups[:, None], groups[None, :])  # [B, B]
        return sum(pair_loss(scores[index], negatives) for index in range(num_scores))

    return loss


def pair_batches(run: Run, encode: Callable[[str, Any, Vocabulary], list[int]], first_epoch: int = 0) -> PairBatches:
    """Return the training captions with their images, in seeded batches.

    Args:
        run: a training on `CachedData`.
        encode: returns the word ids of a sentence, given it, the settings and the vocabulary; never none.
        first_epoch: see `EpochBatches`.
    """
    config = run.config
    sentences, image_of_sentence = run.data.captions()
    return PairBatches(
        [encode(sentence, config, run.data.vocabulary) for sentence in sentences],
        image_of_sentence,
        run.data.descriptors,
        batch_size=config.batch_size,
        batching=config.batching,
        same_image_is_negative=config.same_image_is_negative,
        seed=run.args.seed,
        first_epoch=first_epoch,
    )


def retrieval_row(ranks: Any) -> dict[str, float]:
    """Return rsum and the recalls of `eval.metrics.retrieval`, for a row of the history.

    Args:
        ranks: from `eval.metrics.ranking`.
    """
    metrics = retrieval_metrics(ranks).to_json()
    return {"rsum": rsum(metrics), **metrics}


def report_rsum(run: Run, rows: list[Row]) -> Report:
    """Return what the command of a ranker's training prints."""
    text = f"{run.args.out}: best dev rsum {rows[-1]['best']:.1f} after {len(rows)} epochs"
    return Report(rows[-1], text, {})
