"""A classifier's training, as `vislang.training.fit` runs it."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from datasets.pacs import classes_of, read_pacs
from datasets.records import data_fingerprint
from preimage.classifier.config import CLASSIFIERS
from preimage.classifier.images import LabelledImages, choose, decode
from preimage.classifier.model import ARCHITECTURE, KIND, Classifier, build_classifier
from preimage.classifier.training import ClassificationTask, FineTuning, ViewBatches
from vislang.core.errors import ConfigError
from vislang.core.files import write_text
from vislang.images.preprocess import prepare
from vislang.training.callbacks import Row
from vislang.training.fit import Report, Stage, Training
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer

_BATCH = 32  # images of dev at a time


# The latest weights are kept: the rate falls to nearly 0, and dev is too small to choose between epochs.
class ClassifierTraining(Training):
    """The training of a classifier.

    Attributes:
        classifier: built by `read_data`.
        train: images of the training split.
        dev: of the dev split.
        dev_inputs: those as the network takes them, float32 [N, S, S, 3].
        fingerprint: of the whole data set.
    """

    kind = KIND
    configs = CLASSIFIERS
    classifier: Classifier
    train: LabelledImages
    dev: LabelledImages
    dev_inputs: np.ndarray
    fingerprint: str

    def read_data(self) -> None:
        """Choose and decode the images, and build the network that they are for."""
        args = self.args
        if args.backbone is not None:
            if not self.config.backbone:
                raise ConfigError(
                    f"--preset {args.preset} has no backbone, got --backbone {args.backbone}; choose --preset finetuned"
                )
            self.config = replace(self.config, backbone=args.backbone)
        records = read_pacs(args.data)
        classes = classes_of(records)
        chosen = {split: choose(records, split, args) for split in ("train", "dev")}
        self.classifier = build_classifier(self.config, classes, weights=args.weights)
        preprocessing = self.classifier.preprocessing
        self.dev = decode(chosen["dev"], classes, preprocessing.size)
        self.train = decode(chosen["train"], classes, preprocessing.size)
        self.dev_inputs = np.stack([prepare(image, preprocessing) for image in self.dev.images])
        self.fingerprint = data_fingerprint(records)

    def make_model(self) -> keras.Model:
        """Return the network, which reading the data has built."""
        return self.classifier.model

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the network and the images."""
        classifier = self.classifier
        return {
            "classes": list(classifier.classes),
            "domains": list(self.args.domains),
            "images": {"train": self.train.ids, "dev": self.dev.ids},
            "preprocessing": classifier.preprocessing.name,
            "layers": classifier.layers,
            "backbone": classifier.origin or {"name": "none"},
            "data": {"folder": str(self.args.data), "fingerprint": self.fingerprint},
        }

    def initialize(self) -> None:
        """Write the layers of the network, without which its weights cannot be loaded."""
        write_text(self.args.out / ARCHITECTURE, self.model.to_json() + "\n")

    def stages(self) -> list[Stage]:
        """Return the only stage."""
        return [Stage(self.batches, self.make_task, self.config.epochs, callbacks=(FineTuning(self.config),))]

    def batches(self) -> ViewBatches:
        """Return random views of the training images, in seeded batches."""
        return ViewBatches(
            self.train.images,
            self.train.labels,
            config=self.config,
            preprocessing=self.classifier.preprocessing,
            seed=self.args.seed,
        )

    def make_task(self, updates: int) -> ClassificationTask:
        """Return the compiled model that trains the classifier for so many updates; `FineTuning` sets its rate."""
        config = self.config
        classifier = self.classifier

        def smoothed_cross_entropy(labels: Any, probabilities: Any) -> Any:
            """Return float32 [B] for labels int [B] and probabilities float32 [B, C]."""
            targets = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), len(classifier.classes))
            return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=config.label_smoothing)

        task = ClassificationTask(classifier)
        optimizer = make_optimizer(OptimizerConfig("adam", config.head_rate, weight_decay=config.weight_decay), updates)
        compile_task(task, optimizer, smoothed_cross_entropy)
        return task

    def validate(self) -> dict[str, float]:
        """Return "dev_loss", the mean cross-entropy without label smoothing, and "dev_accuracy" in per cent, on dev."""
        inputs = self.dev_inputs
        labels = self.dev.labels
        outputs = []
        for start in range(0, len(inputs), _BATCH):
            outputs.append(ops.convert_to_numpy(self.model(inputs[start : start + _BATCH], training=False)))
        probabilities = np.concatenate(outputs)
        of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        return {
            "dev_loss": -float(np.log(np.maximum(of_label, 1e-12)).mean()),
            "dev_accuracy": 100 * float((probabilities.argmax(axis=1) == labels).mean()),
        }

    def report(self, rows: list[Row]) -> Report:
        """Return the accuracy on dev, the numbers of images and the time."""
        accuracy = round(rows[-1]["dev_accuracy"], 1)
        seconds = round(sum(row["seconds"] for row in rows), 1)
        num_train = len(self.train.ids)
        num_dev = len(self.dev.ids)
        values = {
            "out": str(self.args.out),
            "images": num_train,
            "dev_images": num_dev,
            "dev_accuracy": accuracy,
            "seconds": seconds,
        }
        text = f"{self.args.out}: {num_train} images, accuracy {accuracy} % on {num_dev} dev images, {seconds} s"
        return Report(values, text, self.train.skipped | self.dev.skipped)
