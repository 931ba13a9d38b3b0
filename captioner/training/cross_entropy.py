"""The captioner's training task: captions in, next-word logits out, cross-entropy over the words."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.ensemble import Captioner, shifted
from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import END, PAD, UNKNOWN, Vocabulary

Tensor = Any
MakeBatches = Callable[[np.ndarray, int, np.random.Generator], list[np.ndarray]]


def encode_caption(caption: str, config: CaptionerConfig, vocabulary: Vocabulary) -> list[int]:
    """Turn a caption into the word numbers that training predicts, the end mark last."""
    words = vocabulary.encode(tokenize(caption)[: config.max_words])
    if config.unknown_words == "skip":
        words = [word for word in words if word != UNKNOWN]
    return [*words, END]


def start_biases(captions: Sequence[Sequence[int]], num_words: int) -> np.ndarray:
    """Give float32 [V] log frequencies of the words that training predicts, the largest 0; unseen ones count once."""
    counts = np.bincount(np.concatenate([np.asarray(caption) for caption in captions]), minlength=num_words)
    logs = np.log(np.maximum(counts, 1) / counts.sum())
    return (logs - logs.max()).astype(np.float32)


def padded(captions: Sequence[Sequence[int]]) -> np.ndarray:
    """Give int32 [B, T] with zeros after each caption; T is at least 1."""
    result = np.zeros((len(captions), max(1, max(map(len, captions)))), np.int32)
    for row, caption in zip(result, captions, strict=True):
        row[: len(caption)] = caption
    return result


class CaptionBatches(keras.utils.PyDataset):
    """Captions with their images in seeded batches; the order of an epoch depends on the seed and its number alone.

    Args:
        words: word numbers of each caption, end mark included.
        image_of_caption: int [M], rows of `descriptors`.
        descriptors: of the images; gathered here when they are not resident on the device.
        config: batch size.
        make_batches: from `vislang.training.batching`, the one that `config.batching` names.
        seed: of the run.
        weights: float [M], how much each caption counts; None: all the same.
    """

    def __init__(
        self,
        words: Sequence[Sequence[int]],
        image_of_caption: np.ndarray,
        descriptors: CachedDescriptors,
        *,
        config: CaptionerConfig,
        make_batches: MakeBatches,
        seed: int,
        weights: np.ndarray | None = None,
    ):
        super().__init__()
        self.weights = np.ones(len(words), np.float32) if weights is None else weights.astype(np.float32)
        self.words, self.image_of_caption, self.descriptors = words, image_of_caption, descriptors
        self.config, self.make_batches, self.seed = config, make_batches, seed
        lengths = np.array([len(one) for one in words])
        self._together = None
        self._size = config.batch_size
        if config.batching == "by_image":
            images = np.unique(image_of_caption)
            self._together = [np.flatnonzero(image_of_caption == image) for image in images]
            lengths = np.array([lengths[captions].max() for captions in self._together])
            self._size = max(1, config.batch_size * len(images) // len(words))
        self._lengths = lengths
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """Lay out the batches of an epoch."""
        self._epoch = epoch
        self._batches = self.make_batches(self._lengths, self._size, stream(self.seed, "batches", epoch))

    def on_epoch_end(self) -> None:
        """Lay out the next epoch."""
        self.start_at(self._epoch + 1)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        """Give the inputs of `CaptionTask`, the words to predict, int32 [B * T], and float32 [B] weights.

        With batching "by_image" all captions of an image stand in one batch, and the image is looked at once:
        "rows" are I images and "owners", int32 [B], tells whose each caption is.

        The words travel flat: Keras would take the first batches' number of steps for the number of all.
        """
        chosen = self._batches[number]
        inputs = {}
        if self._together is not None:
            captions = [self._together[image] for image in chosen]
            inputs["owners"] = np.repeat(np.arange(len(captions), dtype=np.int32), [len(one) for one in captions])
            rows = self.image_of_caption[[one[0] for one in captions]].astype(np.int32)
            chosen = np.concatenate(captions)
        else:
            rows = self.image_of_caption[chosen].astype(np.int32)
        words = padded([self.words[row] for row in chosen]).ravel()
        inputs |= {"rows": rows, "words": words}
        if not self.descriptors.is_resident:
            inputs["descriptors"] = self.descriptors.rows(rows)
        return inputs, words, self.weights[chosen]


class CaptionTask(keras.Model):
    """What `model.fit` trains: looks the images up on the device and predicts each word from those before it."""

    def __init__(self, captioner: Captioner, descriptors: CachedDescriptors):
        super().__init__()
        self.captioner, self.descriptors = captioner, descriptors
        self.forget = keras.random.SeedGenerator()
        self.total_updates = 1

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Give float32 [members, B, T, V] logits for what `CaptionBatches` gives."""
        config = self.captioner.config
        descriptors = inputs["descriptors"] if "descriptors" in inputs else self.descriptors.rows(inputs["rows"])
        owners = inputs.get("owners")
        count = ops.shape(inputs["rows"] if owners is None else owners)[0]
        words = ops.reshape(inputs["words"], (count, -1))  # [B, T]
        given = {"descriptors": descriptors, "mask": ops.ones(ops.shape(descriptors)[:2], "bool")}
        if owners is not None:
            given["owners"] = owners
        if training and config.mean_descriptor_rate:
            given |= some_as_means(descriptors, config.mean_descriptor_rate, self.forget)
        read = shifted(words)
        if training and config.scheduled_sampling:
            read = self._partly_sampled(given, read)
        if training and config.word_dropout:
            lost = keras.random.uniform(ops.shape(read), seed=self.forget) < config.word_dropout
            lost = ops.logical_and(lost, read > UNKNOWN)
            read = ops.where(lost, UNKNOWN, read)
        if training and config.l2:
            matrices = [weight for weight in self.captioner.trainable_weights if len(weight.shape) > 1]
            squares = ops.stack([ops.sum(ops.square(matrix)) for matrix in matrices])
            self.add_loss(0.5 * config.l2 * ops.sum(squares))
        if training:
            for scorer in self.captioner.scorers:
                self.add_loss(scorer.loss(given["descriptors"], given["mask"], words, inputs["rows"], owners))
        return self.captioner({**given, "words": read}, training=training)

    def _partly_sampled(self, given: dict[str, Tensor], read: Tensor) -> Tensor:
        """Replace a growing share of the words read by words drawn from the model, all steps at once.

        References: Bengio et al. 2015, arXiv:1506.03099; Mihaylova and Martins 2019, arXiv:1906.07651 (in parallel).
        """
        logits = ops.stop_gradient(self.captioner({**given, "words": read}, training=False)[0])  # [B, T, V]
        noise = keras.random.uniform(ops.shape(logits), minval=1e-6, maxval=1.0, seed=self.forget)
        drawn = ops.cast(ops.argmax(logits - ops.log(-ops.log(noise)), axis=-1), read.dtype)
        drawn = ops.concatenate([read[:, :1], drawn[:, :-1]], axis=1)  # what was drawn for a place is read after it
        share = self.captioner.config.scheduled_sampling * self.progress()
        swapped = keras.random.uniform(ops.shape(read), seed=self.forget) < share
        return ops.where(ops.logical_and(swapped, read > UNKNOWN), drawn, read)

    def progress(self) -> Tensor:
        """Give how much of the training is done, 0 to 1."""
        return ops.minimum(ops.cast(self.optimizer.iterations, "float32") / self.total_updates, 1.0)

    def prepare(self, updates_per_epoch: int) -> None:
        """Choose optimiser and loss, with all state built, so that an earlier run can be taken up."""
        config = self.captioner.config
        self.total_updates = updates_per_epoch * config.epochs
        optimizer = make_optimizer(config, self.total_updates)
        optimizer.build(self.captioner.trainable_variables)
        self.compile(optimizer=optimizer, loss=make_loss(config.label_smoothing))
        self.built = True


def some_as_means(descriptors: Tensor, share: float, seed: Any) -> dict[str, Tensor]:
    """Show a share of the images as one descriptor, the mean of theirs; drawn anew for each batch.

    Args:
        descriptors: float32 [B, N, F].
        share: of the images, 0 to 1.
        seed: a `keras.random.SeedGenerator`.

    Returns:
        "descriptors" float32 [B, N, F] and "mask" bool [B, N]: of those images every descriptor is the mean and the
        first alone is real.
    """
    images, count = ops.shape(descriptors)[:2]
    chosen = keras.random.uniform((images, 1), seed=seed) < share
    means = ops.mean(descriptors, axis=1, keepdims=True)
    first = ops.arange(count)[None] == 0
    return {
        "descriptors": ops.where(chosen[..., None], means, descriptors),
        "mask": ops.logical_or(first, ops.logical_not(chosen)),
    }


def make_loss(label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Give loss(words int [B * T], logits float32 [members, B, T, V]), float32 [B].

    It is the sum over a sentence's words of -log P(word), summed over the members. With label smoothing e, a word's
    term is (1 - e) of that and e of the mean over all words.
    """

    def caption_loss(words: Tensor, logits: Tensor) -> Tensor:
        words = ops.reshape(words, ops.shape(logits)[1:3])  # [B, T]
        log_probs = ops.log_softmax(logits, axis=-1)
        chosen = ops.take_along_axis(log_probs, ops.broadcast_to(words, ops.shape(logits)[:3])[..., None], axis=-1)
        terms = (1.0 - label_smoothing) * chosen[..., 0]
        if label_smoothing:
            terms = terms + label_smoothing * ops.mean(log_probs, axis=-1)
        real = ops.cast(ops.not_equal(words, PAD), terms.dtype)
        return -ops.sum(terms * real, axis=(0, 2))

    return caption_loss


def scheduled_rate(config: Any, total_updates: int) -> Any:
    """Give the learning rate of a config: a constant, or a warm-up and a cosine down to a hundredth."""
    if config.schedule == "constant":
        return config.learning_rate
    warmup = min(200, total_updates // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total_updates - warmup), alpha=0.01, warmup_target=config.learning_rate, warmup_steps=warmup
    )


def make_optimizer(config: CaptionerConfig, total_updates: int) -> keras.optimizers.Optimizer:
    """Build the optimiser and its schedule."""
    rate = scheduled_rate(config, total_updates)
    clipped = {"global_clipnorm": config.clip_norm or None, "clipvalue": config.clip_value or None}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate=rate, **clipped)
    # The original's solver: cache = 0.999 cache + 0.001 g^2, step = rate g / sqrt(cache + 1e-8).
    return keras.optimizers.RMSprop(learning_rate=rate, rho=0.999, epsilon=1e-8, **clipped)
