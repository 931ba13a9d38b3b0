"""The aligner's training task: pairs of image and sentence in, a score matrix out, one loss over both directions."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from captioner.alignment.config import AlignmentConfig
from captioner.alignment.model import Aligner
from captioner.training.cross_entropy import CaptionBatches, scheduled_rate
from vislang.features.descriptors import CachedDescriptors
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import UNKNOWN, Vocabulary
from vislang.training.losses import softmax_loss, summed_hinge

Tensor = Any


def encode_sentence(sentence: str, config: AlignmentConfig, vocabulary: Vocabulary) -> list[int]:
    """Turn a sentence into word numbers, one for each of its tokens; never empty."""
    return vocabulary.encode(tokenize(sentence)[: config.max_words]) or [UNKNOWN]


class PairsOfImageAndSentence(CaptionBatches):
    """Matched pairs in seeded batches; see `CaptionBatches`."""

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        """Give the inputs of `AlignmentTask` and int32 [B]: pairs with equal numbers are no negatives of each other."""
        inputs, _, _ = super().__getitem__(number)
        return inputs, inputs["rows"]


class AlignmentTask(keras.Model):
    """What `model.fit` trains: looks the regions up on the device and scores them against the sentences."""

    def __init__(self, aligner: Aligner, descriptors: CachedDescriptors):
        super().__init__()
        self.aligner, self.descriptors = aligner, descriptors

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Give float32 [K, B, B] scores for {"rows": int [B], "words": int [B * T]}."""
        descriptors = inputs["descriptors"] if "descriptors" in inputs else self.descriptors.rows(inputs["rows"])
        words = ops.reshape(inputs["words"], (ops.shape(inputs["rows"])[0], -1))  # [B, T]
        if training and self.aligner.config.l2:
            matrices = [weight for weight in self.aligner.trainable_weights if len(weight.shape) > 1]
            squares = ops.stack([ops.sum(ops.square(matrix)) for matrix in matrices])
            self.add_loss(0.5 * self.aligner.config.l2 * ops.sum(squares))
        return self.aligner({"descriptors": descriptors, "words": words}, training=training)

    def prepare(self, updates_per_epoch: int) -> None:
        """Choose optimiser and loss, with all state built, so that an earlier run can be taken up."""
        config = self.aligner.config
        optimizer = make_optimizer(config, updates_per_epoch * config.epochs)
        optimizer.build(self.aligner.trainable_variables)
        self.compile(optimizer=optimizer, loss=make_loss(config))
        self.built = True


def make_loss(config: AlignmentConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """Give loss(images int [B], scores float32 [K, B, B]), summed over the K scores.

    The hinge is summed over the batch as well, as the paper does.
    """

    def alignment_loss(images: Tensor, scores: Tensor) -> Tensor:
        images = ops.reshape(images, (-1,))
        others = ops.logical_not(ops.eye(ops.shape(images)[0], dtype="bool"))
        negatives = others if config.same_image_is_negative else ops.not_equal(images[:, None], images[None, :])
        each = [scores[number] for number in range(1 + len(config.global_dims))]
        if config.loss == "softmax":
            return sum(softmax_loss(one, negatives) for one in each)
        return sum(summed_hinge(one, negatives, config.margin) for one in each)

    return alignment_loss


def make_optimizer(config: AlignmentConfig, total_updates: int) -> keras.optimizers.Optimizer:
    """Build the optimiser and its schedule."""
    rate = scheduled_rate(config, total_updates)
    clipped = {"global_clipnorm": config.clip_norm or None, "clipvalue": config.clip_value or None}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate=rate, **clipped)
    return keras.optimizers.SGD(learning_rate=rate, momentum=config.momentum, **clipped)
