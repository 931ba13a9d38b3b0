"""The whole `kiros` update, gradients included, against finite differences and the equations, in float64."""

import keras
import numpy as np
import pytest
from training_runs import assert_gradients_equal_finite_differences, gradients_of

from vislang.training.ranking import RankingTask
from vse.config import CONFIGS, VseConfig
from vse.model import Ranker
from vse.training import ranking_task

pytestmark = pytest.mark.usefixtures("double_precision")

WORDS = np.array([[4, 5, 2], [6, 2, 0], [7, 4, 2]], np.int32)  # the end mark, 2, closes each sentence


class Table:
    """Two descriptors for each of three images."""

    is_resident = True
    num_features = 5
    vectors = np.random.default_rng(3).normal(size=(3, 2, 5))

    def rows(self, numbers):
        return keras.ops.take(keras.ops.convert_to_tensor(self.vectors), numbers, axis=0)


def small(name: str, **changes) -> VseConfig:
    from dataclasses import replace

    sizes = {"word_dim": 3, "hidden_dim": 4, "embed_dim": 4, "batch_size": 3, "sentence_dropout": 0.0}
    sizes |= {"image_dropout": 0.0, "validate_updates": 0}
    return replace(CONFIGS[name], **{**sizes, **changes})


def task_of(config: VseConfig) -> RankingTask:
    keras.utils.set_random_seed(2)
    return ranking_task(Ranker(config, 8, 5), Table(), updates=config.epochs)


def loss_of(task: RankingTask):
    inputs = {"rows": np.arange(3, dtype=np.int32), "words": WORDS.ravel()}
    return task.loss(np.arange(3), task(inputs, training=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        small("kiros"),
        small("kiros-bow", word_dim=4),
        small("kiros", encoder="lstm"),
        small("vsepp", warmup_updates=0),
        small("best", ensemble_size=2, layers=("pooled",)),
        small("best", ensemble_size=1, layers=("grid",), image_pooling="attention", attention_heads=2),
    ],
    ids=["kiros", "kiros-bow", "lstm", "vsepp", "best", "attention"],
)
def test_gradients_of_every_weight_equal_finite_differences(config):
    task = task_of(config)
    assert_gradients_equal_finite_differences(task, loss_of, places=6, rel=1e-5, abs_=1e-5)


def test_one_kiros_update_clips_the_summed_gradient_and_takes_the_originals_first_step():
    task = task_of(small("kiros"))
    variables = task.trainable_variables
    gradients = gradients_of(task, loss_of)
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients))
    assert norm > 0
    before = [np.array(variable) for variable in variables]
    task.train_on_batch({"rows": np.arange(3, dtype=np.int32), "words": WORDS.ravel()}, np.arange(3))
    for variable, old, gradient in zip(variables, before, gradients, strict=True):
        clipped = gradient * min(1.0, 2.0 / norm)
        first = 0.1 * clipped / (np.sqrt(0.001 * clipped**2) + 1e-8)  # moments after one step
        expected = old - 2e-4 * np.sqrt(1 - 0.001) / (1 - 0.1) * first
        np.testing.assert_allclose(np.array(variable), expected, atol=1e-6, err_msg=variable.path)
