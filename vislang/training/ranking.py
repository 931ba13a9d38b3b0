"""Training a model that scores images against sentences: matched pairs in, a loss over both directions of ranking.

Letters: B pairs, N descriptors, F feature width, T words, K scores of each pair.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from datasets.records import captions_of
from eval.metrics.retrieval import retrieval_metrics, rsum
from vislang.features.descriptors import CachedDescriptors
from vislang.training.cached_data import CachedTraining, CaptionSource
from vislang.training.callbacks import Row
from vislang.training.epoch_batches import SentenceBatches, image_descriptors, image_inputs
from vislang.training.fit import Report, Stage
from vislang.training.losses import l2_penalty
from vislang.training.task import Task

Tensor = Any
PairLoss = Callable[[Tensor, Tensor], Tensor]  # of scores float32 [B, B] and negatives bool [B, B]


class PairBatches(SentenceBatches):
    """Matched pairs of image and sentence in seeded batches.

    Args:
        same_image_is_negative: whether two sentences of one image are negatives of each other's pairs.
        **options: those of `SentenceBatches`.
    """

    def __init__(self, *data: Any, same_image_is_negative: bool, **options: Any):
        super().__init__(*data, **options)
        self.same_image_is_negative = same_image_is_negative

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Return the inputs of `RankingTask` and int32 [B]; pairs with equal values are no negatives of each other."""
        images = self.images(rows)
        inputs = {**image_inputs(images, self.descriptors), "words": self.flat_words(rows)}
        if self.same_image_is_negative:
            return inputs, np.arange(len(rows), dtype=np.int32)
        # Numbered within the batch: Keras passes targets as float32, in which row numbers above 2^24 are not exact.
        return inputs, np.unique(images, return_inverse=True)[1].astype(np.int32)


@dataclass(frozen=True)
class Penalty:
    """Weight decay that is part of the loss: `strength` times the sum of the squares of `weights`."""

    strength: float
    weights: Sequence[Any]


class RankingTask(Task):
    """What `model.fit` trains: gathers the images' descriptors and scores them against the sentences.

    Args:
        model: takes {"descriptors": float32 [B, N, F], "words": int32 [B, T]} and returns float32 [K, B, B].
        penalty: added to the loss; None: nothing.
    """

    def __init__(self, model: keras.Model, descriptors: CachedDescriptors, penalty: Penalty | None = None):
        super().__init__()
        self.model = model
        self.descriptors = descriptors
        self.penalty = penalty

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return scores, float32 [K, B, B], for the inputs of `PairBatches`."""
        if training:
            self.count_update()
            if self.penalty is not None:
                self.add_loss(l2_penalty(self.penalty.weights, self.penalty.strength))
        words = ops.reshape(inputs["words"], (ops.shape(inputs["rows"])[0], -1))  # [B, T]
        descriptors = image_descriptors(inputs, self.descriptors)
        return self.model({"descriptors": descriptors, "words": words}, training=training)


def ranking_loss(pair_loss: PairLoss, num_scores: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of several scores of the same pairs, as `model.compile` takes it.

    Args:
        pair_loss: the loss of one score, from scores float32 [B, B] and negatives bool [B, B].

    Returns:
        loss(groups int [B], scores float32 [K, B, B]): the sum over the K scores; see `PairBatches.batch` for groups.
    """

    def loss(groups: Tensor, scores: Tensor) -> Tensor:
        groups = ops.reshape(groups, (-1,))
        negatives = ops.not_equal(groups[:, None], groups[None, :])  # [B, B]
        return sum(pair_loss(scores[index], negatives) for index in range(num_scores))

    return loss


class RankingTraining(CachedTraining):
    """The training of a ranker: one stage, of which the weights with the highest rsum on dev are kept.

    The network scores pairs as `RankingTask` takes it. Settings: those of `PairBatches`, epochs and validate_updates.
    """

    score = "rsum"
    first_epoch = 0  # see `EpochBatches`
    num_kept = 1  # see `Stage`

    @abstractmethod
    def encode(self, sentence: str) -> list[int]:
        """Return the word ids of a sentence; never none."""

    @abstractmethod
    def make_task(self, updates: int) -> RankingTask:
        """Return the compiled model that trains the ranker for so many updates."""

    @abstractmethod
    def dev_ranks(self, images: Any, sentences: Any, image_of_sentence: np.ndarray) -> Any:
        """Return the ranks, from `eval.metrics.ranking`, of the encoded dev split."""

    def stages(self) -> list[Stage]:
        """Return the only stage."""
        config = self.config
        updates = config.validate_updates
        return [Stage(self.batches, self.make_task, config.epochs, validate_updates=updates, num_kept=self.num_kept)]

    def batches(self) -> PairBatches:
        """Return the training captions with their images, in seeded batches."""
        sentences, image_of_sentence = self.captions()
        return PairBatches(
            list(map(self.encode, sentences)),
            image_of_sentence,
            self.descriptors,
            batch_size=self.config.batch_size,
            batching=self.config.batching,
            same_image_is_negative=self.config.same_image_is_negative,
            seed=self.args.seed,
            first_epoch=self.first_epoch,
            sampling=self.sampling(),
        )

    def validate_on(self, source: CaptionSource) -> dict[str, float]:
        """Rank the dev split of a data set in both directions and return rsum and the recalls."""
        trained = self.trained_model()
        sentences, image_of_sentence = captions_of(source.dev)
        images = trained.encode_cached(source.cache, [record.image_id for record in source.dev])
        ranks = self.dev_ranks(images, trained.encode_sentences(sentences), image_of_sentence)
        metrics = retrieval_metrics(ranks).to_json()
        return {"rsum": rsum(metrics), **metrics}

    def report(self, rows: list[Row]) -> Report:
        """Return the best rsum."""
        text = f"{self.args.out}: best dev rsum {rows[-1]['best']:.1f} after {len(rows)} epochs"
        return Report(rows[-1], text, {})
