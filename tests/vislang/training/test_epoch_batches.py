"""Batches of an epoch depend on the seed and the epoch alone; sentences are padded."""

import keras
import numpy as np
import pytest

from vislang.core.seeds import stream
from vislang.text.vocabulary import pad_sentences
from vislang.training.callbacks import ResumableTraining, fit_resumably
from vislang.training.epoch_batches import EpochBatches, image_descriptors, image_inputs
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer


class Numbers(EpochBatches):
    """Batches of two of the numbers 0 to 9."""

    def __init__(self, seed, first_epoch=0):
        super().__init__(seed, first_epoch)
        self.planned = []
        self.seen = []

    def plan(self, epoch):
        self.planned.append(epoch)
        return np.split(stream(self.seed, "numbers", epoch).permutation(10), 5)

    def batch(self, rows):
        self.seen.append(rows.tolist())
        values = rows[:, None].astype(np.float32)
        return values, values


def contents(batches):
    return [batches[index][0].ravel().tolist() for index in range(len(batches))]


def test_equal_seeds_and_epochs_give_equal_batches():
    walked = Numbers(3)
    epochs = []
    for epoch in range(3):
        walked.start_at(epoch)
        epochs.append(contents(walked))
    jumped = Numbers(3)
    jumped.start_at(2)
    assert contents(jumped) == epochs[2]
    assert epochs[0] != epochs[1] != epochs[2]
    assert contents(Numbers(4)) != epochs[0] == contents(Numbers(3))
    assert sorted(sum(epochs[1], [])) == list(range(10))


def test_an_epoch_is_planned_once():
    batches = Numbers(0, first_epoch=1)
    contents(batches)
    batches.start_at(0)
    contents(batches)
    batches.start_at(1)
    contents(batches)
    assert batches.planned == [1, 2]


class Line(keras.Model):
    """One weight."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")
        self.built = True

    def call(self, values):
        return values * self.weight


@pytest.mark.parametrize("first_epoch", [0, 1])
def test_each_epoch_trains_on_its_own_batches(tmp_path, first_epoch):
    batches, task = Numbers(7, first_epoch), Line()
    compile_task(task, make_optimizer(OptimizerConfig("adam", 0.01), 15), "mean_squared_error")
    keeper = ResumableTraining(tmp_path, lambda: {"loss_of_dev": 0.0}, task)
    fit_resumably(task, batches, keeper, epochs=3)
    assert sorted(set(batches.planned)) == [first_epoch, first_epoch + 1, first_epoch + 2]
    expected = Numbers(7, first_epoch)
    trained_on = [rows for epoch in range(3) for rows in map(np.ndarray.tolist, expected.plan(first_epoch + epoch))]
    # Keras reads some batches more than once to learn their shapes; in order they contain every epoch.
    position = 0
    for rows in batches.seen:
        if position < len(trained_on) and rows == trained_on[position]:
            position += 1
    assert position == len(trained_on)


class Images:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 2, 2)

    def __init__(self, is_resident):
        self.is_resident = is_resident

    def rows(self, rows):
        return self.vectors[rows]


@pytest.mark.parametrize("is_resident", [True, False])
def test_descriptors_travel_with_the_batch_unless_they_lie_on_the_device(is_resident):
    images = Images(is_resident)
    inputs = image_inputs(np.array([2, 0], np.int32), images)
    assert ("descriptors" in inputs) is not is_resident
    np.testing.assert_array_equal(image_descriptors(inputs, images), Images.vectors[[2, 0]])


def test_sentences_are_padded_to_the_longest():
    padded = pad_sentences([[4, 2], [2], [5, 6, 2]])
    np.testing.assert_array_equal(padded, [[4, 2, 0], [2, 0, 0], [5, 6, 2]])
    assert padded.dtype == np.int32
    assert pad_sentences([[], []]).tolist() == [[0], [0]]
