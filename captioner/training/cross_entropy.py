"""Cross-entropy training of a captioner: captions in, next-word logits out.

Letters: I images, B captions, N descriptors of F features, T words, V words of the vocabulary, K members.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.models.ensemble import Captioner, shifted
from vislang.core.compiled_size import compiled_size
from vislang.features.descriptors import CachedDescriptors
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import END, PAD, UNKNOWN, Vocabulary, pad_sentences
from vislang.training.epoch_batches import (
    SentenceBatches,
    image_descriptors,
    image_inputs,
)
from vislang.training.losses import l2_penalty, matrices
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer
from vislang.training.task import Task

Tensor = Any
_CAPTIONS = 32  # a batch of images has a multiple of it, where every number is compiled by itself


def encode_caption(caption: str, config: CaptionerConfig, vocabulary: Vocabulary) -> list[int]:
    """Return the word ids of a caption that training predicts, the end mark last."""
    words = vocabulary.encode(tokenize(caption)[: config.max_words])
    if config.unknown_words == "skip":
        words = [word for word in words if word != UNKNOWN]
    return [*words, END]


def start_biases(captions: Sequence[Sequence[int]], num_words: int) -> np.ndarray:
    """Compute log word frequencies, float32 [V], the largest 0; words that never occur count once.

    Args:
        captions: word ids.
    """
    counts = np.bincount(np.concatenate(list(map(np.asarray, captions))), minlength=num_words)
    logs = np.log(np.maximum(counts, 1) / counts.sum())
    return (logs - logs.max()).astype(np.float32)


class CaptionBatches(SentenceBatches):
    """Captions with their images in seeded batches.

    With `batching` "by_image" all captions of an image are in the same batch, the image is encoded once, and the plan
    is of images. Their number differs from batch to batch; on JAX empty captions of weight 0 fill it up.

    Args:
        words: word ids of each of M captions, end mark included.
        weights: float [M], of each caption in the loss; None: all 1.
        **options: those of `SentenceBatches`.
    """

    def __init__(self, words: Sequence[Sequence[int]], *data: Any, weights: np.ndarray | None = None, **options: Any):
        super().__init__(words, *data, first_epoch=1, **options)
        if weights is None:
            weights = np.ones(len(words))
        self.weights = weights.astype(np.float32)
        self._captions_of_image: list[np.ndarray] | None = None
        if options["batching"] == "by_image":
            images = np.unique(self.image_of_sentence)
            self._captions_of_image = [np.flatnonzero(self.image_of_sentence == image) for image in images]
            self.lengths = np.array([self.lengths[captions].max() for captions in self._captions_of_image])
            self.batch_size = max(1, self.batch_size * len(images) // len(words))
            if self.sampling is not None:
                self.sampling = np.array([self.sampling[captions[0]] for captions in self._captions_of_image])

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """Return the inputs of `CaptionTask`, the words to predict, int32 [B * T], and weights, float32 [B]."""
        if self._captions_of_image is not None:
            return self._batch_of_images([self._captions_of_image[image] for image in rows])
        inputs = image_inputs(self.images(rows), self.descriptors)
        inputs["words"] = self.flat_words(rows)
        return inputs, inputs["words"], self.weights[rows]

    def _batch_of_images(self, groups: Sequence[np.ndarray]) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """Return the batch of some images, of which each group holds the captions."""
        captions = np.concatenate(groups)
        count = compiled_size(len(captions), _CAPTIONS)
        empty = count - len(captions)
        inputs = image_inputs(self.images([group[0] for group in groups]), self.descriptors)
        owners = np.repeat(np.arange(len(groups), dtype=np.int32), list(map(len, groups)))
        inputs["owners"] = np.pad(owners, (0, empty))
        inputs["words"] = pad_sentences([*(self.words[caption] for caption in captions), *[[]] * empty]).ravel()
        # Keras divides the loss by the number of captions, the empty ones included.
        weights = np.pad(self.weights[captions], (0, empty)) * np.float32(count / len(captions))
        return inputs, inputs["words"], weights


class CaptionTask(Task):
    """What `model.fit` trains: gathers the images' descriptors and predicts each word from those before it.

    Args:
        total_updates: of the whole training, over which the share of scheduled sampling grows.
    """

    def __init__(self, captioner: Captioner, descriptors: CachedDescriptors, total_updates: int):
        super().__init__()
        self.captioner = captioner
        self.descriptors = descriptors
        self.total_updates = total_updates
        self.random = keras.random.SeedGenerator()

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return logits, float32 [K, B, T, V], for the inputs of `CaptionBatches`."""
        images = inputs["rows"]
        sentences = inputs.get("owners", images)
        words = ops.reshape(inputs["words"], (ops.shape(sentences)[0], -1))  # [B, T]
        descriptors = image_descriptors(inputs, self.descriptors)  # [I, N, F]
        mask = ops.ones(ops.shape(descriptors)[:2], "bool")
        given = {"descriptors": descriptors, "mask": mask, "words": shifted(words)}
        if "owners" in inputs:
            given["owners"] = inputs["owners"]
        if training:
            given = self.augment(given)
            self.count_update()
            self._add_losses(given, words, images)
        return self.captioner(given, training=training)

    def augment(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the captioner's inputs as training shows them: some images as one mean, some words replaced."""
        config = self.captioner.config
        if config.mean_descriptor_rate:
            inputs = inputs | some_as_means(inputs["descriptors"], config.mean_descriptor_rate, self.random)
        if config.scheduled_sampling:
            share = config.scheduled_sampling * self.progress()
            inputs = inputs | {"words": sampled_words(self.captioner, inputs, share, self.random)}
        if config.word_dropout:
            inputs = inputs | {"words": drop_words(inputs["words"], config.word_dropout, self.random)}
        return inputs

    def _add_losses(self, inputs: dict[str, Tensor], words: Tensor, images: Tensor) -> None:
        config = self.captioner.config
        if config.l2:
            self.add_loss(l2_penalty(matrices(self.captioner.trainable_weights), 0.5 * config.l2))
        for scorer in self.captioner.scorers:
            loss = scorer.loss(inputs["descriptors"], inputs["mask"], words, images, inputs.get("owners"))
            self.add_loss(loss)

    def progress(self) -> Tensor:
        """Return the share of the training that was done before this update, float32 scalar, 0 to 1."""
        return ops.minimum(ops.cast(self.updates, "float32") / self.total_updates, 1.0)


def caption_task(captioner: Captioner, descriptors: CachedDescriptors, updates: int) -> CaptionTask:
    """Return the compiled model that trains a captioner for so many updates."""
    config = captioner.config
    task = CaptionTask(captioner, descriptors, updates)
    compile_task(task, make_optimizer(OptimizerConfig.of(config), updates), caption_loss(config.label_smoothing))
    return task


def some_as_means(descriptors: Tensor, share: float, seed: Any) -> dict[str, Tensor]:
    """Replace the descriptors of some images by their mean; drawn anew for each batch.

    Args:
        descriptors: float32 [I, N, F].
        share: of the images, 0 to 1.

    Returns:
        "descriptors" float32 [I, N, F] and "mask" bool [I, N]: for those images every descriptor is the mean and the
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


def sampled_words(captioner: Captioner, inputs: dict[str, Tensor], share: Tensor, seed: Any) -> Tensor:
    """Replace a share of the words that are read by words drawn from the model, all steps at once: int32 [B, T].

    Args:
        captioner: the network that is trained.
        inputs: as `Captioner.call` takes them.
        share: of the words, 0 to 1; marks and unknown words stay.

    References: Bengio et al. 2015, arXiv:1506.03099; Mihaylova and Martins 2019, arXiv:1906.07651 (in parallel).
    """
    read = inputs["words"]
    logits = ops.stop_gradient(captioner(inputs, training=False)[0])  # [B, T, V]
    noise = keras.random.uniform(ops.shape(logits), minval=1e-6, maxval=1.0, seed=seed)
    drawn = ops.cast(ops.argmax(logits - ops.log(-ops.log(noise)), axis=-1), read.dtype)  # the Gumbel-max trick
    drawn = ops.concatenate([read[:, :1], drawn[:, :-1]], axis=1)  # the word predicted at t is read at t + 1
    replaced = keras.random.uniform(ops.shape(read), seed=seed) < share
    return ops.where(ops.logical_and(replaced, read > UNKNOWN), drawn, read)


def drop_words(words: Tensor, share: float, seed: Any) -> Tensor:
    """Replace a share of the words by the unknown word (word dropout), but no marks: int32 [B, T].

    Args:
        words: int32 [B, T].
        share: of the words, 0 to 1.
    """
    dropped = keras.random.uniform(ops.shape(words), seed=seed) < share
    return ops.where(ops.logical_and(dropped, words > UNKNOWN), UNKNOWN, words)


def caption_loss(label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return loss(words int [B * T], logits float32 [K, B, T, V]), float32 [B].

    It is the sum over a sentence's words of -log P(word), summed over the members. With label smoothing e, a word's
    term is (1 - e) of that and e of the mean over all words of the vocabulary.
    """

    def loss(words: Tensor, logits: Tensor) -> Tensor:
        words = ops.cast(ops.reshape(words, ops.shape(logits)[1:3]), "int32")  # [B, T]; Keras passes targets as floats
        log_probs = ops.log_softmax(logits, axis=-1)
        indices = ops.broadcast_to(words, ops.shape(logits)[:3])[..., None]
        terms = (1.0 - label_smoothing) * ops.take_along_axis(log_probs, indices, axis=-1)[..., 0]
        if label_smoothing:
            terms = terms + label_smoothing * ops.mean(log_probs, axis=-1)
        real = ops.cast(ops.not_equal(words, PAD), terms.dtype)
        return -ops.sum(terms * real, axis=(0, 2))

    return loss
