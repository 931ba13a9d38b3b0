"""Training a classifier: random views of images in, cross-entropy out; first the last layer, then all of them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from preimage.classifier.config import ClassifierConfig
from preimage.classifier.model import CLASSES, DROPOUT, POOLED, Classifier
from vislang.core.seeds import stream
from vislang.images.augment import View, random_view, show
from vislang.images.preprocess import Preprocessing, prepare
from vislang.training.batching import cut_batches
from vislang.training.epoch_batches import EpochBatches
from vislang.training.task import Task

Tensor = Any


class ViewBatches(EpochBatches):
    """Random views of images, and their classes, int [N].

    An epoch is `config.save_every` batches, drawn from passes through all images in random order.
    """

    def __init__(
        self,
        images: Sequence[Image.Image],
        labels: np.ndarray,
        *,
        config: ClassifierConfig,
        preprocessing: Preprocessing,
        seed: int,
    ):
        super().__init__(seed)
        self.images = images
        self.labels = np.asarray(labels)
        self.config = config
        self.preprocessing = preprocessing

    def plan(self, epoch: int) -> list[list[tuple[int, View]]]:
        """Return for each batch the row index and the view of each of its B images."""
        config = self.config
        random = stream(self.seed, "pictures", epoch)
        wanted = config.save_every * config.batch_size
        passes = -(-wanted // len(self.images))
        order = np.concatenate([random.permutation(len(self.images)) for _ in range(passes)])
        batches = []
        for index, rows in enumerate(cut_batches(order[:wanted], config.batch_size)):
            random = stream(self.seed, "views", epoch, index)
            batches.append([(row, random_view(random, config.min_area, config.colour_jitter)) for row in rows.tolist()])
        return batches

    def batch(self, rows: list[tuple[int, View]]) -> tuple[np.ndarray, np.ndarray]:
        """Return the network's inputs, float32 [B, S, S, 3], and the classes, int32 [B]."""
        inputs = []
        labels = []
        for row, view in rows:
            inputs.append(prepare(show(self.images[row], view, self.preprocessing.size), self.preprocessing))
            labels.append(self.labels[row])
        return np.stack(inputs), np.array(labels, np.int32)


class ClassificationTask(Task):
    """What `model.fit` trains: a classifier whose trunk can be switched off."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        model = classifier.model
        self.trunk = keras.Model(model.input, model.get_layer(classifier.layers["grid"]).output)
        self.pooled = model.get_layer(POOLED)
        self.dropout = model.get_layer(DROPOUT)
        self.classes = model.get_layer(CLASSES)
        self.trains_trunk = self.add_weight(shape=(), initializer="ones", trainable=False, name="trains_trunk")
        self.built = True

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Return the probabilities of the classes, float32 [B, C], for prepared images, float32 [B, S, S, 3].

        Where `trains_trunk` is 0, no gradient reaches the trunk.
        """
        maps = self.trunk(images, training=training)
        maps = self.trains_trunk * maps + (1.0 - self.trains_trunk) * ops.stop_gradient(maps)
        return self.classes(self.dropout(self.pooled(maps), training=training))


class FineTuning(keras.callbacks.Callback):
    """Set before each epoch the learning rate, and whether more than the last layer is trained."""

    def __init__(self, config: ClassifierConfig):
        super().__init__()
        self.config = config

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set the rate of the epoch; train the last layer alone in the first ones."""
        self.model.trains_trunk.assign(float(epoch >= self.config.head_epochs))
        self.model.optimizer.learning_rate.assign(self.config.rate(epoch))
