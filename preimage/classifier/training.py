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
from vislang.images.augment import random_view, show
from vislang.images.preprocess import Recipe, prepare

_BATCH = 32  # pictures of dev at a time


class ViewBatches(keras.utils.PyDataset):
    """Random views of pictures; those of an epoch depend on the seed and its number alone.

    An epoch is `config.save_every` batches, drawn from passes through all pictures in random order.

    Args:
        pictures: RGB, of any size.
        labels: int [N], the class of each.
        config: batch size, length of an epoch, and how far views may go.
        recipe: how a view is prepared.
        seed: of the run.
    """

    def __init__(
        self,
        pictures: Sequence[Image.Image],
        labels: np.ndarray,
        *,
        config: ClassifierConfig,
        recipe: Recipe,
        seed: int,
    ):
        super().__init__()
        self.pictures, self.labels = pictures, np.asarray(labels)
        self.config, self.recipe, self.seed = config, recipe, seed
        self.start_at(0)

    def __len__(self) -> int:
        return self.config.save_every

    def start_at(self, epoch: int) -> None:
        """Make `epoch`, counted from 0, the next to be drawn."""
        self._next = epoch
        self._plan(epoch)

    def on_epoch_begin(self) -> None:
        """Draw the next epoch's pictures."""
        self._plan(self._next)
        self._next += 1

    def _plan(self, epoch: int) -> None:
        random, wanted = stream(self.seed, "pictures", epoch), self.config.save_every * self.config.batch_size
        passes = -(-wanted // len(self.pictures))
        order = np.concatenate([random.permutation(len(self.pictures)) for _ in range(passes)])
        self._epoch = epoch
        self._rows = order[:wanted].reshape(self.config.save_every, self.config.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Give float32 [B, S, S, 3] as the recipe makes them, and int32 [B]."""
        random = stream(self.seed, "views", self._epoch, number)
        views = []
        for row in self._rows[number]:
            view = random_view(random, self.config.smallest, self.config.colours)
            views.append(prepare(show(self.pictures[row], view, self.recipe.size), self.recipe))
        return np.stack(views), self.labels[self._rows[number]].astype(np.int32)


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
            config: settings.
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
    """Sets before each epoch what its number says: the rate, and whether more than the last layer is trained.

    Args:
        config: settings.
    """

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
