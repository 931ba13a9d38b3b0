"""The ranker's training: pairs of image and sentence in, a loss over both directions of ranking."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from eval.metrics.ranking import retrieval_ranks
from vislang.text.tokenizer import TOKENIZERS
from vislang.training.losses import hardest_hinge, pair_loss, summed_hinge
from vislang.training.optimizers import OPTIMIZERS, OptimizerConfig, compile_task, make_optimizer
from vislang.training.ranking import Penalty, RankingTask, RankingTraining, ranking_loss
from vse.config import CONFIGS, VseConfig
from vse.inference import TrainedRanker, encode_words
from vse.kiros.adam import KirosAdam
from vse.model import Ranker

Tensor = Any


class RankerTraining(RankingTraining):
    """The training of a ranker."""

    kind = TrainedRanker.kind
    configs = CONFIGS
    model_class = TrainedRanker

    def read_data(self) -> None:
        """Read captions and features."""
        self.read_captions(TOKENIZERS[self.config.tokenizer], self.config.drop_rarest)

    def initialize(self) -> None:
        """Set the statistics of the features by which the image encoders standardise their input."""
        if self.config.image_scaling == "standardised":
            self.model.set_feature_statistics(*self.descriptors.statistics())

    def encode(self, sentence: str) -> list[int]:
        """Return the word ids of a sentence."""
        return encode_words(sentence, self.config, self.vocabulary)

    def make_task(self, updates: int) -> RankingTask:
        """Return the compiled model that trains the ranker."""
        return ranking_task(self.model, self.descriptors, updates)

    def dev_ranks(self, images: np.ndarray, sentences: np.ndarray, image_of_sentence: np.ndarray) -> Any:
        """Return the ranks by cosine."""
        return retrieval_ranks(images, sentences, image_of_sentence)


def ranking_task(ranker: Ranker, descriptors: Any, updates: int) -> RankingTask:
    """Return the compiled model that trains a ranker."""
    config = ranker.config
    penalty = None
    if config.l2:
        penalty = Penalty(config.l2, ranker.trainable_weights)
    task = RankingTask(ranker, descriptors, penalty)
    settings = OptimizerConfig.of(config, drops=(config.step_epochs * updates // config.epochs,))
    optimizer = make_optimizer(settings, updates, {**OPTIMIZERS, "kiros_adam": KirosAdam})
    loss = pair_loss(config)
    if config.loss == "hardest_hinge":
        loss = warmed_up_hinge(config, optimizer)
    compile_task(task, optimizer, ranking_loss(loss, config.ensemble_size))
    return task


def warmed_up_hinge(config: VseConfig, optimizer: keras.optimizers.Optimizer) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the summed hinge for the first `warmup_updates`, the hardest one afterwards, which alone may collapse."""

    def loss(scores: Tensor, negatives: Tensor) -> Tensor:
        easy = summed_hinge(scores, negatives, config.margin)
        hard = hardest_hinge(scores, negatives, config.margin)
        warm = ops.cast(optimizer.iterations < config.warmup_updates, easy.dtype)
        return warm * easy + (1.0 - warm) * hard

    return loss
