"""Self-critical training: captions that score above their image's other samples become likelier.

Letters: B images, S samples of each, T steps, V words of the vocabulary.

References: Rennie et al. 2017, arXiv:1612.00563; the other samples' mean as the baseline: Luo 2020, arXiv:2003.09971.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.decoding.sampling import sample
from captioner.decoding.step import permitted
from captioner.models.ensemble import Captioner
from vislang.core.compile import on_host
from vislang.core.seeds import stream
from vislang.features.descriptors import CachedDescriptors
from vislang.text.vocabulary import END
from vislang.training.batching import cut_batches
from vislang.training.epoch_batches import EpochBatches, image_descriptors, image_inputs
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer
from vislang.training.task import Task

Tensor = Any
Reward = Callable[[np.ndarray, np.ndarray], np.ndarray]


class ImageBatches(EpochBatches):
    """Images in seeded batches.

    Args:
        batch_size: images in a batch; the last one of an epoch may be smaller.
    """

    def __init__(self, descriptors: CachedDescriptors, *, batch_size: int, seed: int):
        super().__init__(seed, first_epoch=1)
        self.descriptors = descriptors
        self.batch_size = batch_size

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Return the row indices of each batch, int32 [B]; every image once."""
        order = stream(self.seed, "self-critical", epoch).permutation(len(self.descriptors))
        return cut_batches(order.astype(np.int32), self.batch_size)

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Return the inputs of `SelfCriticalTask`; there is nothing to predict, so the rows stand in for targets."""
        return image_inputs(rows, self.descriptors), rows


class SelfCriticalTask(Task):
    """What `model.fit` trains: samples captions and weights their log-probabilities by how far they beat the baseline.

    Args:
        captioner: trained by cross-entropy.
        reward: returns float32 [B, S] for rows int32 [B] and words int32 [B, S, T], padded with the end mark.
    """

    def __init__(self, captioner: Captioner, descriptors: CachedDescriptors, reward: Reward):
        super().__init__()
        self.captioner = captioner
        self.descriptors = descriptors
        self.reward = reward
        self.random = keras.random.SeedGenerator()

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Return -advantage * log P(sample), whose mean is the loss, and the rewards: float32 [2, B, S].

        The advantage is the reward of a sample less the mean reward of the image's other samples.
        """
        config = self.captioner.config
        rows = inputs["rows"]
        descriptors = image_descriptors(inputs, self.descriptors)
        mask = ops.ones(ops.shape(descriptors)[:2], "bool")
        shape = (ops.shape(rows)[0], config.self_critical_samples, config.decode_words)
        noise = keras.random.uniform(shape, seed=self.random)
        memory, state = self.captioner.start(descriptors, mask)
        words, log_probs = sample(self.captioner.step, memory, state, noise)
        words = ops.stop_gradient(words)
        rewards = on_host(self._rewards, ops.stop_gradient(log_probs), rows, words)  # [B, S]
        others = (ops.sum(rewards, axis=1, keepdims=True) - rewards) / (config.self_critical_samples - 1)
        given = {"descriptors": descriptors, "mask": mask, "words": words}
        return ops.stack([-(rewards - others) * self.sample_log_probs(given, training), rewards])

    def _rewards(self, rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        return np.asarray(self.reward(rows, words), np.float32)

    def sample_log_probs(self, given: dict[str, Tensor], training: bool) -> Tensor:
        """Compute the log-probability of each sample among the words that may be drawn, float32 [B, S].

        Samples hold no unknown word, so a word's probability is renormalised over the words that may be drawn.

        Args:
            given: "descriptors" float32 [B, N, F], "mask" bool [B, N] and "words" int32 [B, S, T].
        """
        words = given["words"]
        samples, steps = words.shape[1:]
        flat = ops.reshape(words, (-1, steps))  # [B * S, T]
        log_probs = self.captioner.word_log_probs(given["descriptors"], given["mask"], flat, training=training)
        log_probs = ops.log_softmax(permitted(log_probs), axis=-1)
        chosen = ops.take_along_axis(log_probs, flat[..., None], axis=-1)[..., 0]  # [B * S, T]
        is_end = ops.cast(ops.equal(flat, END), "int32")
        ends_before = ops.cumsum(is_end, axis=1) - is_end
        chosen = ops.where(ends_before > 0, 0.0, chosen)
        return ops.reshape(ops.sum(chosen, axis=1), (-1, samples))


def self_critical_task(
    captioner: Captioner, descriptors: CachedDescriptors, reward: Reward, updates: int
) -> SelfCriticalTask:
    """Return the compiled model that trains a captioner for so many updates; for the others see `SelfCriticalTask`."""
    config = captioner.config
    task = SelfCriticalTask(captioner, descriptors, reward)
    for scorer in captioner.scorers:
        scorer.trainable = False  # the reward does not depend on them
    settings = OptimizerConfig.of(config, learning_rate=config.self_critical_rate, schedule="constant")
    mean_reward = keras.metrics.MeanMetricWrapper(lambda rows, results: results[1], name="reward")
    compile_task(task, make_optimizer(settings, updates), lambda rows, results: ops.mean(results[0]), [mean_reward])
    return task
