"""Gradients of every weight of every captioner, through the whole task and its loss, against finite differences."""

import keras
import numpy as np
import pytest
from training_runs import assert_gradients_equal_finite_differences, gradients_of

from captioner.config import CaptionerConfig
from captioner.models.ensemble import Captioner
from captioner.training.cross_entropy import CaptionTask, caption_loss, caption_task

pytestmark = pytest.mark.usefixtures("double_precision")

NUM_WORDS, NUM_FEATURES = 8, 3
# The end mark, 2, closes each sentence; 0 pads it; a word comes twice and one is unknown, 3.
WORDS = np.array([[4, 5, 5, 2], [6, 3, 2, 0], [7, 2, 0, 0]], np.int32)
ROWS = np.array([0, 1, 1], np.int32)  # two sentences of one image


class Table:
    """Three descriptors for each of two images."""

    vectors = np.random.default_rng(3).normal(size=(2, 3, NUM_FEATURES))

    def rows(self, numbers):
        return keras.ops.take(keras.ops.convert_to_tensor(self.vectors), numbers, axis=0)


def task_of(**changes) -> CaptionTask:
    sizes = {"word_dim": 3, "hidden_dim": 5, "attention_dim": 4}
    sizes |= {"embedding_dropout": 0.0, "image_dropout": 0.0, "output_dropout": 0.0}
    captioner = Captioner(CaptionerConfig(**{**sizes, "l2": 0.0, **changes}), NUM_WORDS, NUM_FEATURES)
    random = np.random.default_rng(5)
    for weight in captioner.trainable_weights:
        weight.assign(random.normal(0, 0.6, weight.shape))
    captioner.set_feature_statistics(random.normal(size=(2, NUM_FEATURES)), random.uniform(0.5, 2, (2, NUM_FEATURES)))
    return caption_task(captioner, Table(), updates=1)


def loss_of(task: CaptionTask):
    """What `fit` lowers: the loss, and what layers and task add to it."""
    inputs = {"rows": ROWS, "words": WORDS.ravel()}
    return task.compute_loss(inputs, WORDS.ravel(), task(inputs, training=True), training=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"model": "mrnn"},
        {"model": "mrnn", "feed_once": False, "label_smoothing": 0.2},
        {"model": "mrnn", "relu_encoders": True, "l2": 0.3},
        {"model": "mrnn", "feed_once": False, "relu_encoders": True, "image_scaling": "unit", "ensemble_size": 2},
        {"model": "lstm"},
        {"model": "lstm", "lstm_tanh": False, "label_smoothing": 0.2, "l2": 0.3},
        {"model": "lstm", "ensemble_size": 2, "image_scaling": "none"},
        {"model": "attend"},
        {"model": "attend", "tied_words": True, "l2": 0.3},
        {"model": "attend", "recurrent_layers": 2, "attention_heads": 2, "label_smoothing": 0.2},
        {
            "model": "attend",
            "recurrent_layers": 2,
            "attention_heads": 4,
            "tied_words": True,
            "ensemble_size": 2,
            "label_smoothing": 0.1,
        },
        {"model": "s2vt", "label_smoothing": 0.1},
        {"model": "mrnn", "scorers": 2},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_gradients_of_every_weight_equal_finite_differences(changes):
    task = task_of(**changes)
    assert_gradients_equal_finite_differences(task, loss_of, places=20, rel=1e-5, abs_=1e-8, most_kinks=0.02)


@pytest.mark.parametrize("model", ["mrnn", "lstm", "attend", "s2vt"])
def test_no_weight_is_left_out_of_training(model):
    task = task_of(model=model, recurrent_layers=2, ensemble_size=2)
    for variable, gradient in zip(task.trainable_variables, gradients_of(task, loss_of), strict=True):
        assert np.abs(gradient).max() > 1e-4, variable.path


def test_weights_multiply_the_losses_of_their_captions():
    task, inputs = task_of(model="lstm"), {"rows": ROWS, "words": WORDS.ravel()}
    logits = task(inputs, training=True)
    weighted = task.compute_loss(inputs, WORDS.ravel(), logits, sample_weight=np.array([2.0, 0.0, 0.5]))
    each = np.asarray(caption_loss(0.0)(WORDS.ravel(), logits))
    assert float(weighted) == pytest.approx((2 * each[0] + 0.5 * each[2]) / 3)


def test_l2_is_half_the_sum_of_squared_matrices_and_no_bias_counts():
    task, plain = task_of(model="attend", l2=0.3), task_of(model="attend")
    matrices = [np.array(variable) for variable in task.trainable_variables if len(variable.shape) == 2]
    assert len(matrices) < len(task.trainable_variables)
    expected = 0.3 / 2 * sum(np.square(matrix).sum() for matrix in matrices)
    assert float(loss_of(task) - loss_of(plain)) == pytest.approx(expected)


def test_image_statistics_are_never_trained():
    paths = [variable.path for variable in task_of(model="attend").trainable_variables]
    assert not [path for path in paths if "shift" in path or "scale" in path]
