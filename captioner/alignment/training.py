"""The aligner's training: pairs of image and sentence in, a loss over both directions of ranking."""

import argparse
from typing import Any

from captioner.alignment.config import ALIGNMENTS, AlignmentConfig
from captioner.alignment.inference import KIND, TrainedAligner, encode_sentence
from captioner.alignment.model import Aligner
from datasets.records import captions_of
from eval.metrics.ranking import ranks_from_scores
from vislang.text.tokenizer import tokenize
from vislang.text.word_vectors import embedding_table
from vislang.training.cached_data import CachedData, describe_cached_data, read_cached_data
from vislang.training.fit import Run, Stage, TrainingSpec
from vislang.training.losses import matrices, softmax_loss, summed_hinge
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer
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


def read_data(args: argparse.Namespace, config: AlignmentConfig) -> CachedData:
    """Read captions and features; see `read_cached_data`."""
    return read_cached_data(args, config, tokenize, min_count=config.min_count)


def make_aligner(data: CachedData) -> Aligner:
    """Build the network for the training data."""
    return Aligner(data.config, len(data.vocabulary), data.descriptors.num_features, data.descriptors.num_beside)


def describe(args: argparse.Namespace, data: CachedData, model: Aligner) -> dict[str, Any]:
    """Return what config.json says of the features and the data set."""
    return {**describe_cached_data(args, data, model), "num_beside": data.descriptors.num_beside}


def set_statistics(run: Run) -> None:
    """Set the word vectors, where the settings name a file of them, and the statistics of the features."""
    config = run.config
    if config.word_vectors:
        run.model.set_word_vectors(embedding_table(config.word_vectors, run.data.vocabulary, config.word_dim))
    if config.image_scaling.startswith("standardised"):
        run.model.regions.scaling.set_statistics(*run.data.descriptors.statistics())


def stages(run: Run) -> list[Stage]:
    """Return the single stage of the training."""
    config = run.config
    stage = Stage(
        make_batches,
        make_task,
        config.epochs,
        validate_updates=config.validate_updates,
        num_kept=config.best_checkpoints,
    )
    return [stage]


def make_batches(run: Run) -> PairBatches:
    """Return the training pairs, in seeded batches."""
    return pair_batches(run, encode_sentence, first_epoch=1)


def make_task(run: Run, updates: int) -> RankingTask:
    """Return the compiled model that trains the aligner for so many updates."""
    return alignment_task(run.model, run.data.descriptors, updates)


def alignment_task(aligner: Aligner, descriptors: Any, updates: int) -> RankingTask:
    """Return the compiled model that trains an aligner.

    Args:
        aligner: the network.
        descriptors: of the training images, a `CachedDescriptors`.
        updates: of the whole training.
    """
    config = aligner.config
    penalty = None
    if config.l2:
        penalty = Penalty(0.5 * config.l2, matrices(aligner.trainable_weights))
    task = RankingTask(aligner, descriptors, penalty)
    loss = ranking_loss(pair_loss(config), 1 + len(config.global_dims))
    compile_task(task, make_optimizer(optimizer_config(config), updates), loss)
    return task


def optimizer_config(config: AlignmentConfig) -> OptimizerConfig:
    """Return the settings of the optimizer."""
    return OptimizerConfig(
        kind=config.optimizer,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        clip_norm=config.clip_norm,
        clip_value=config.clip_value,
        momentum=config.momentum,
    )


def pair_loss(config: AlignmentConfig) -> PairLoss:
    """Return the loss of one score of the pairs, float32 [B, B]; the hinge is a sum over the batch, as in the paper."""
    if config.loss == "softmax":
        return softmax_loss
    return lambda scores, negatives: summed_hinge(scores, negatives, config.margin)


def validate(run: Run) -> dict[str, float]:
    """Rank the dev split in both directions and return rsum and the recalls."""
    trained = TrainedAligner(run.model, run.data.vocabulary, run.description)
    sentences, image_of_sentence = captions_of(run.data.dev)
    images = trained.encode_cached(run.data.cache, [record.image_id for record in run.data.dev])
    scores = trained.scores(images, trained.encode_sentences(sentences))
    return retrieval_row(ranks_from_scores(scores, image_of_sentence))


SPEC = TrainingSpec(
    kind=KIND,
    configs=ALIGNMENTS,
    read_data=read_data,
    make_model=make_aligner,
    describe=describe,
    initialize=set_statistics,
    stages=stages,
    validate=validate,
    score="rsum",
    report=report_rsum,
)
