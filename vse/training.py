"""The ranker's training: pairs of image and sentence in, a loss over both directions of ranking."""

import argparse
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from datasets.records import captions_of
from eval.metrics.ranking import retrieval_ranks
from vislang.text.tokenizer import TOKENIZERS
from vislang.training.cached_data import CachedData, describe_cached_data, read_cached_data
from vislang.training.fit import Run, Stage, TrainingSpec
from vislang.training.losses import hardest_hinge, softmax_loss, summed_hinge
from vislang.training.optimizers import OPTIMIZERS, OptimizerConfig, compile_task, make_optimizer
from vislang.training.ranking import (
    PairBatches,
    PairLoss,
    Penalty,
    RankingTask,
    pair_batches,
    ranking_loss,
    report_rsum,
    retrieval_row,
)
from vse.config import CONFIGS, VseConfig
from vse.inference import KIND, TrainedRanker, encode_words
from vse.kiros.adam import KirosAdam
from vse.model import Ranker

Tensor = Any


def read_data(args: argparse.Namespace, config: VseConfig) -> CachedData:
    """Read captions and features; see `read_cached_data`."""
    return read_cached_data(
        args,
        config,
        TOKENIZERS[config.tokenizer],
        min_count=config.min_count,
        drop_rarest=config.drop_rarest,
    )


def make_ranker(data: CachedData) -> Ranker:
    """Build the network for the training data."""
    return Ranker(data.config, len(data.vocabulary), data.descriptors.num_features)


def set_statistics(run: Run) -> None:
    """Set the statistics of the features by which the image encoders standardise their input."""
    if run.config.image_scaling == "standardised":
        run.model.set_feature_statistics(*run.data.descriptors.statistics())


def stages(run: Run) -> list[Stage]:
    """Return the single stage of the training."""
    return [Stage(make_batches, make_task, run.config.epochs, validate_updates=run.config.validate_updates)]


def make_batches(run: Run) -> PairBatches:
    """Return the training pairs, in seeded batches."""
    return pair_batches(run, encode_words)


def make_task(run: Run, updates: int) -> RankingTask:
    """Return the compiled model that trains the ranker for so many updates."""
    return ranking_task(run.model, run.data.descriptors, updates)


def ranking_task(ranker: Ranker, descriptors: Any, updates: int) -> RankingTask:
    """Return the compiled model that trains a ranker.

    Args:
        ranker: the network.
        descriptors: of the training images, a `CachedDescriptors`.
        updates: of the whole training.
    """
    config = ranker.config
    penalty = None
    if config.l2:
        penalty = Penalty(config.l2, ranker.trainable_weights)
    task = RankingTask(ranker, descriptors, penalty)
    optimizers = {**OPTIMIZERS, "kiros_adam": KirosAdam}
    optimizer = make_optimizer(optimizer_config(config, updates), updates, optimizers)
    compile_task(task, optimizer, ranking_loss(pair_loss(config, optimizer), config.ensemble_size))
    return task


def optimizer_config(config: VseConfig, updates: int) -> OptimizerConfig:
    """Return the optimizer's settings for a training of so many updates."""
    return OptimizerConfig(
        kind=config.optimizer,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        drops=(config.step_epochs * updates // config.epochs,),
        clip_norm=config.clip_norm,
    )


def pair_loss(config: VseConfig, optimizer: keras.optimizers.Optimizer) -> PairLoss:
    """Return the loss of one member's scores, float32 [B, B], that the settings name."""
    if config.loss == "softmax":
        return softmax_loss
    if config.loss == "summed_hinge":
        return lambda scores, negatives: summed_hinge(scores, negatives, config.margin)
    return warmed_up_hinge(config, optimizer)


def warmed_up_hinge(config: VseConfig, optimizer: keras.optimizers.Optimizer) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the summed hinge for the first `warmup_updates`, the hardest one afterwards, which alone may collapse."""

    def loss(scores: Tensor, negatives: Tensor) -> Tensor:
        easy = summed_hinge(scores, negatives, config.margin)
        hard = hardest_hinge(scores, negatives, config.margin)
        warm = ops.cast(optimizer.iterations < config.warmup_updates, easy.dtype)
        return warm * easy + (1.0 - warm) * hard

    return loss


def validate(run: Run) -> dict[str, float]:
    """Rank the dev split in both directions and return rsum and the recalls."""
    trained = TrainedRanker(run.model, run.data.vocabulary, run.description)
    sentences, image_of_sentence = captions_of(run.data.dev)
    images = trained.encode_cached(run.data.cache, [record.image_id for record in run.data.dev])
    return retrieval_row(retrieval_ranks(images, trained.encode_sentences(sentences), image_of_sentence))


SPEC = TrainingSpec(
    kind=KIND,
    configs=CONFIGS,
    read_data=read_data,
    make_model=make_ranker,
    describe=describe_cached_data,
    initialize=set_statistics,
    stages=stages,
    validate=validate,
    score="rsum",
    report=report_rsum,
)
