"""The ranker's training: pairs of image and sentence in, a loss over both directions of ranking."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from eval.metrics.ranking import retrieval_ranks
from vislang.text.tokenizer import TOKENIZERS
from vislang.training.fit import Stage
from vislang.training.losses import hardest_hinge, pair_loss, summed_hinge
from vislang.training.optimizers import OPTIMIZERS, OptimizerConfig, compile_task, make_optimizer
from vislang.training.ranking import Penalty, RankingTask, RankingTraining, ranking_loss
from vse.config import CONFIGS, VseConfig
from vse.inference import TrainedRanker, encode_words
from vse.kiros.adam import KirosAdam
from vse.model import Ranker
from vse.taught_sentences import TaughtSentences, read_taught
from vse.teacher import TaughtBatches, TeachingTask, teaching_loss

Tensor = Any


class RankerTraining(RankingTraining):
    """The training of a ranker."""

    kind = TrainedRanker.kind
    configs = CONFIGS
    model_class = TrainedRanker

    taught: TaughtSentences | None = None

    def read_data(self) -> None:
        """Read captions and features, and what the teacher says."""
        others: Sequence[str] = ()
        if self.args.teacher is not None:
            self.taught = read_taught(self.args.teacher)
            others = self.taught.sentences
        self.read_captions(TOKENIZERS[self.config.tokenizer], self.config.drop_rarest, others)

    def describe(self) -> dict[str, Any]:
        """Return what config.json holds, the teacher included."""
        description = super().describe()
        if self.taught is not None:
            description["teacher"] = self.taught.describe()
        return description

    def initialize(self) -> None:
        """Set the statistics of the features by which the image encoders standardise their input."""
        if self.config.image_scaling.startswith("standardised"):
            self.model.set_feature_statistics(*self.descriptors.statistics())

    def encode(self, sentence: str) -> list[int]:
        """Return the word ids of a sentence."""
        return encode_words(sentence, self.config, self.vocabulary)

    def stages(self) -> list[Stage]:
        """Return the stage on pairs of images and sentences, after that of the teacher if there is one."""
        stages = super().stages()
        if self.taught is not None:
            stages.insert(
                0, Stage(self.taught_batches, self.teach, self.config.teacher_epochs, "taught", validates=False)
            )
        return stages

    def taught_batches(self) -> TaughtBatches:
        """Return the teacher's sentences in seeded batches."""
        assert self.taught is not None
        words = list(map(self.encode, self.taught.sentences))
        return TaughtBatches(words, self.taught.vectors, batch_size=self.config.batch_size, seed=self.args.seed)

    def teach(self, updates: int) -> TeachingTask:
        """Return the compiled model that teaches the sentence encoders."""
        assert self.taught is not None
        task = TeachingTask(self.model, self.taught.vectors.shape[1])
        compile_task(task, ranker_optimizer(self.config, updates), teaching_loss)
        return task

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
    optimizer = ranker_optimizer(config, updates)
    loss = pair_loss(config)
    if config.loss == "hardest_hinge":
        loss = warmed_up_hinge(config, task)
    compile_task(task, optimizer, ranking_loss(loss, config.ensemble_size))
    return task


def ranker_optimizer(config: VseConfig, updates: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a training of so many updates."""
    settings = OptimizerConfig.of(config, drops=(config.step_epochs * updates // config.epochs,))
    return make_optimizer(settings, updates, {**OPTIMIZERS, "kiros_adam": KirosAdam})


def warmed_up_hinge(config: VseConfig, task: RankingTask) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the summed hinge for the first `warmup_updates`, the hardest one afterwards, which alone may collapse."""

    def loss(scores: Tensor, negatives: Tensor) -> Tensor:
        easy = summed_hinge(scores, negatives, config.margin)
        hard = hardest_hinge(scores, negatives, config.margin)
        warm = ops.cast(task.updates <= config.warmup_updates, easy.dtype)
        return warm * easy + (1.0 - warm) * hard

    return loss
