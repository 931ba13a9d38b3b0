"""Self-critical training: captions that score above their image's other samples become likelier.

Letters: B images, S samples of each, T steps.

References: Rennie et al. 2017, arXiv:1612.00563; the other samples' mean as the baseline: Luo 2020, arXiv:2003.09971.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import CaptionerConfig
from captioner.decoding.sampling import sample
from captioner.decoding.step import FORBIDDEN, permitted
from captioner.models.ensemble import Captioner
from captioner.training.cross_entropy import make_optimizer
from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.text.vocabulary import END
from vislang.training.compile import on_host

Tensor = Any
Reward = Callable[[np.ndarray, np.ndarray], np.ndarray]


class ImageBatches(keras.utils.PyDataset):
    """Row numbers of images in seeded batches; the order of an epoch depends on the seed and its number alone.

    Args:
        count: number of images.
        descriptors: gathered here when they are not resident on the device.
        batch_size: images in a batch; the last one of an epoch may be smaller.
        seed: of the run.
    """

    def __init__(self, count: int, descriptors: CachedDescriptors, *, batch_size: int, seed: int):
        super().__init__()
        self.count, self.descriptors, self.batch_size, self.seed = count, descriptors, batch_size, seed
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """Lay out the batches of an epoch."""
        self._epoch = epoch
        self._order = stream(self.seed, "self-critical", epoch).permutation(self.count).astype(np.int32)

    def on_epoch_end(self) -> None:
        """Lay out the next epoch."""
        self.start_at(self._epoch + 1)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __getitem__(self, number: int) -> tuple[dict[str, Any], np.ndarray]:
        """Give the inputs of `SelfCriticalTask`; there is nothing to predict, so the rows stand in for targets."""
        rows = self._order[number * self.batch_size : (number + 1) * self.batch_size]
        inputs = {"rows": rows}
        if not self.descriptors.is_resident:
            inputs["descriptors"] = self.descriptors.rows(rows)
        return inputs, rows


class SelfCriticalTask(keras.Model):
    """What `model.fit` trains: draws captions, has them scored, and weighs their log-probabilities by their lead.

    Args:
        captioner: trained by cross-entropy.
        descriptors: of the training images.
        reward: gives float32 [B, S] for rows int32 [B] and words int32 [B, S, T], padded with the end mark.
    """

    def __init__(self, captioner: Captioner, descriptors: CachedDescriptors, reward: Reward):
        super().__init__()
        self.captioner, self.descriptors, self.reward = captioner, descriptors, reward
        self.chance = keras.random.SeedGenerator()
        self.mean_reward = keras.metrics.Mean(name="reward")

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Give float32 [B, S], for each sample -lead * log P(sample); its mean is the loss."""
        config, captioner = self.captioner.config, self.captioner
        rows = inputs["rows"]
        descriptors = inputs["descriptors"] if "descriptors" in inputs else self.descriptors.rows(rows)
        mask = ops.ones(ops.shape(descriptors)[:2], "bool")
        shape = (ops.shape(rows)[0], config.self_critical_samples, config.decode_words)
        noise = keras.random.uniform(shape, seed=self.chance)
        words, log_probs = sample(captioner.step, *captioner.start(descriptors, mask), noise)
        words = ops.stop_gradient(words)
        scores = on_host(self._scored, ops.stop_gradient(log_probs), rows, words)  # [B, S]
        self.mean_reward.update_state(scores)
        others = (ops.sum(scores, axis=1, keepdims=True) - scores) / (config.self_critical_samples - 1)
        given = {"descriptors": descriptors, "mask": mask, "words": words}
        return -(scores - others) * self.sample_log_probs(given, training)

    def _scored(self, rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        return np.asarray(self.reward(rows, words), np.float32)

    def sample_log_probs(self, given: dict[str, Tensor], training: bool) -> Tensor:
        """Give float32 [B, S], the log-probability of each sample [B, S, T], end mark included, among what is drawn.

        Samples hold no unknown word, so a word's probability is its share of those of the words that may be drawn.
        """
        words = given["words"]
        samples, steps = words.shape[1:]
        flat = ops.reshape(words, (-1, steps))
        log_probs = self.captioner.word_log_probs(given["descriptors"], given["mask"], flat, training=training)
        log_probs = ops.log_softmax(permitted(log_probs, flat, FORBIDDEN, False), axis=-1)
        chosen = ops.take_along_axis(log_probs, flat[..., None], axis=-1)[..., 0]  # [B * S, T]
        ended = ops.cumsum(ops.cast(ops.equal(flat, END), "int32"), axis=1) - ops.cast(ops.equal(flat, END), "int32")
        chosen = ops.where(ended > 0, 0.0, chosen)
        return ops.reshape(ops.sum(chosen, axis=1), (-1, samples))

    def prepare(self, updates_per_epoch: int) -> None:
        """Choose the optimiser, with all state built, so that an earlier run can be taken up."""
        config = self.captioner.config
        for scorer in self.captioner.scorers:
            scorer.trainable = False  # the reward says nothing about them
        optimizer = make_optimizer(after_cross_entropy(config), updates_per_epoch * config.self_critical_epochs)
        optimizer.build(self.captioner.trainable_variables)
        self.compile(optimizer=optimizer, loss=lambda rows, terms: ops.mean(terms))
        self.built = True


def after_cross_entropy(config: CaptionerConfig) -> CaptionerConfig:
    """Give the settings whose optimiser self-critical training uses."""
    from dataclasses import replace

    return replace(config, learning_rate=config.self_critical_rate, schedule="constant")
