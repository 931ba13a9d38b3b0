"""Training a classifier: random views of pictures in, cross-entropy out, first the last layer, then all of them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from preimage.classifier.config import ClassifierConfig
from preimage.classifier.model import CLASSES, DROPOUT, POOLED, Classifier
from vislang.core.seeds import stream
from vislang.images.augment import View, random_view, show
from vislang.images.preprocess import Recipe, prepare
from vislang.training.batching import cut_batches
from vislang.training.epoch_batches import EpochBatches

_BATCH = 32  # pictures of dev at a time


class ViewBatches(EpochBatches):
    """Random views of images.

    An epoch is `config.save_every` batches, drawn from passes through all pictures in random order.

    Args:
        images: RGB, of any size.
        labels: int [N], the class of each.
        config: batch size, length of an epoch, and how far views may go.
        recipe: how a view is prepared.
        seed: of the run.
    """

    def __init__(
        self,
        images: Sequence[Image.Image],
        labels: np.ndarray,
        *,
        config: ClassifierConfig,
        recipe: Recipe,
        seed: int,
    ):
        super().__init__(seed)
        self.images = images
        self.labels = np.asarray(labels)
        self.config = config
        self.recipe = recipe

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
            inputs.append(prepare(show(self.images[row], view, self.recipe.size), self.recipe))
            labels.append(self.labels[row])
        return np.stack(inputs), np.array(labels, np.int32)


class ClassificationTask(keras.Model):
    """What `model.fit` trains.

    Args:
        classifier: whose weights are trained.
    """

    def __init__(self, classifier: Classifier):
        super().__init__()
        model = classifier.model
        self.trunk = keras.Model(model.input, model.get_layer(classifier.layers["grid"]).output)
        self.head = [model.get_layer(name) for name in (POOLED, DROPOUT, CLASSES)]
        self.opened = self.add_weight(shape=(), initializer="ones", trainable=False, name="opened")
        self.built = True

    def call(self, pictures: Any, training: bool = False) -> Any:
        """Give the probabilities of the classes, float32 [B, C]; where `opened` is 0 no gradient enters the trunk."""
        maps = self.trunk(pictures, training=training)
        x = self.opened * maps + (1.0 - self.opened) * ops.stop_gradient(maps)
        for layer in self.head:
            x = layer(x, training=training) if layer.name == DROPOUT else layer(x)
        return x

    def prepare(self, config: ClassifierConfig, count: int) -> None:
        """Choose optimiser and loss, with all state built, so that an earlier run can be taken up.

        Args:
            count: classes.
        """
        optimizer = keras.optimizers.AdamW(config.head_rate, weight_decay=config.weight_decay)
        optimizer.build(self.trainable_variables)
        smoothing = config.label_smoothing

        def loss(labels: Any, found: Any) -> Any:
            wanted = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), count)
            return keras.losses.categorical_crossentropy(wanted, found, label_smoothing=smoothing)

        self.compile(optimizer=optimizer, loss=loss)


class Phases(keras.callbacks.Callback):
    """Sets before each epoch what its number says: the rate, and whether more than the last layer is trained."""

    def __init__(self, config: ClassifierConfig):
        super().__init__()
        self.config = config

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set both."""
        self.model.opened.assign(float(epoch >= self.config.head_epochs))
        self.model.optimizer.learning_rate.assign(self.config.rate(epoch))


def make_validate(task: ClassificationTask, pictures: np.ndarray, labels: np.ndarray) -> Callable[[], dict[str, float]]:
    """Give a function that measures the current weights on dev.

    Args:
        task: that is trained.
        pictures: float32 [N, S, S, 3], prepared.
        labels: int [N].

    Returns:
        a function that gives "updates" made; "dev_surprise", the mean of minus the logarithm of the true class's
        probability; and "dev_accuracy" in per cent.
    """

    def validate() -> dict[str, float]:
        batches = (pictures[first : first + _BATCH] for first in range(0, len(pictures), _BATCH))
        found = np.concatenate([ops.convert_to_numpy(task(batch, training=False)) for batch in batches])
        own = found[np.arange(len(labels)), labels].astype(np.float64)
        return {
            "updates": float(task.optimizer.iterations),
            "dev_surprise": -float(np.log(np.maximum(own, 1e-12)).mean()),
            "dev_accuracy": 100 * float((found.argmax(axis=1) == labels).mean()),
        }

    return validate
