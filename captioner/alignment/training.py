"""The aligner's training: pairs of image and sentence in, a loss over both directions of ranking."""

from typing import Any

import numpy as np

from captioner.alignment.config import ALIGNMENTS
from captioner.alignment.inference import EncodedFragments, TrainedAligner, encode_sentence
from captioner.alignment.model import Aligner
from eval.metrics.ranking import ranks_from_scores
from vislang.text.word_vectors import embedding_table
from vislang.training.losses import matrices, pair_loss
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer
from vislang.training.ranking import Penalty, RankingTask, RankingTraining, ranking_loss


class AlignerTraining(RankingTraining):
    """The training of an aligner."""

    kind = TrainedAligner.kind
    configs = ALIGNMENTS
    model_class = TrainedAligner
    first_epoch = 1

    @property
    def num_kept(self) -> int:  # type: ignore[override]
        """How many of the best weights are kept."""
        return self.config.best_checkpoints

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the features and the data set."""
        return {**super().describe(), "num_beside": self.descriptors.num_beside}

    def initialize(self) -> None:
        """Set the word vectors, where the settings name a file of them, and the statistics of the features."""
        config = self.config
        if config.word_vectors:
            self.model.set_word_vectors(embedding_table(config.word_vectors, self.vocabulary, config.word_dim))
        if config.image_scaling.startswith("standardised"):
            self.model.regions.scaling.set_statistics(*self.descriptors.statistics())

    def encode(self, sentence: str) -> list[int]:
        """Return the word ids of a sentence."""
        return encode_sentence(sentence, self.config, self.vocabulary)

    def make_task(self, updates: int) -> RankingTask:
        """Return the compiled model that trains the aligner."""
        return alignment_task(self.model, self.descriptors, updates)

    def dev_ranks(self, images: EncodedFragments, sentences: EncodedFragments, image_of_sentence: np.ndarray) -> Any:
        """Return the ranks by the scores of words and regions."""
        return ranks_from_scores(self.trained_model().scores(images, sentences), image_of_sentence)


def alignment_task(aligner: Aligner, descriptors: Any, updates: int) -> RankingTask:
    """Return the compiled model that trains an aligner."""
    config = aligner.config
    penalty = None
    if config.l2:
        penalty = Penalty(0.5 * config.l2, matrices(aligner.trainable_weights))
    task = RankingTask(aligner, descriptors, penalty)
    loss = ranking_loss(pair_loss(config), 1 + len(config.global_dims))
    compile_task(task, make_optimizer(OptimizerConfig.of(config), updates), loss)
    return task
