"""A classifier's training, as `vislang.training.fit` runs it."""

import argparse
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from datasets.pacs import classes_of, read_pacs
from datasets.records import data_fingerprint
from preimage.classifier.config import CLASSIFIERS, ClassifierConfig
from preimage.classifier.images import LabelledImages, choose, decode
from preimage.classifier.model import ARCHITECTURE, KIND, Classifier, build_classifier
from preimage.classifier.training import ClassificationTask, FineTuning, ViewBatches
from vislang.core.errors import ConfigError
from vislang.core.files import write_text
from vislang.images.preprocess import prepare
from vislang.training.callbacks import Row
from vislang.training.fit import Report, Run, Stage, TrainingData, TrainingSpec
from vislang.training.optimizers import OptimizerConfig, compile_task, make_optimizer

_BATCH = 32  # images of dev at a time


@dataclass(frozen=True, kw_only=True)
class ClassifierData(TrainingData):
    """What a classifier learns from."""

    classifier: Classifier  # built, and not yet trained
    train: LabelledImages
    dev: LabelledImages
    dev_inputs: np.ndarray  # float32 [N, S, S, 3], the images of dev as the network takes them
    fingerprint: str  # of the whole data set

    @property
    def skipped(self) -> dict[str, str]:
        """The images of both splits that cannot be read."""
        return self.train.skipped | self.dev.skipped


def read_data(args: argparse.Namespace, config: ClassifierConfig) -> ClassifierData:
    """Choose and decode the images, and build the network that they are for."""
    if args.backbone is not None:
        if not config.backbone:
            raise ConfigError(
                f"--preset {args.preset} has no backbone, got --backbone {args.backbone}; choose --preset finetuned"
            )
        config = replace(config, backbone=args.backbone)
    records = read_pacs(args.data)
    classes = classes_of(records)
    chosen = {split: choose(records, split, args) for split in ("train", "dev")}
    classifier = build_classifier(config, classes, weights=args.weights)
    preprocessing = classifier.preprocessing
    dev = decode(chosen["dev"], classes, preprocessing.size)
    return ClassifierData(
        config=config,
        classifier=classifier,
        train=decode(chosen["train"], classes, preprocessing.size),
        dev=dev,
        dev_inputs=np.stack([prepare(image, preprocessing) for image in dev.images]),
        fingerprint=data_fingerprint(records),
    )


def describe(args: argparse.Namespace, data: ClassifierData, model: keras.Model) -> dict[str, Any]:
    """Return what config.json says of the network and the images."""
    classifier = data.classifier
    return {
        "classes": list(classifier.classes),
        "domains": list(args.domains),
        "images": {"train": data.train.ids, "dev": data.dev.ids},
        "preprocessing": classifier.preprocessing.name,
        "layers": classifier.layers,
        "backbone": classifier.origin or {"name": "none"},
        "data": {"folder": str(args.data), "fingerprint": data.fingerprint},
    }


def initialize(run: Run) -> None:
    """Write the layers of the network, without which its weights cannot be loaded."""
    write_text(run.args.out / ARCHITECTURE, run.model.to_json() + "\n")


def stages(run: Run) -> list[Stage]:
    """Return the single stage of the training."""
    return [Stage(make_batches, make_task, run.config.epochs, callbacks=(FineTuning(run.config),))]


def make_batches(run: Run) -> ViewBatches:
    """Return random views of the training images, in seeded batches."""
    train = run.data.train
    preprocessing = run.data.classifier.preprocessing
    return ViewBatches(train.images, train.labels, config=run.config, preprocessing=preprocessing, seed=run.args.seed)


def make_task(run: Run, updates: int) -> ClassificationTask:
    """Return the compiled model that trains the classifier for so many updates; `FineTuning` sets its rate."""
    config = run.config
    classifier = run.data.classifier

    def smoothed_cross_entropy(labels: Any, probabilities: Any) -> Any:
        """Return float32 [B] for labels int [B] and probabilities float32 [B, C]."""
        targets = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), len(classifier.classes))
        return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=config.label_smoothing)

    task = ClassificationTask(classifier)
    optimizer = make_optimizer(OptimizerConfig("adam", config.head_rate, weight_decay=config.weight_decay), updates)
    compile_task(task, optimizer, smoothed_cross_entropy)
    return task


def validate(run: Run) -> dict[str, float]:
    """Return "dev_loss", the mean cross-entropy without label smoothing, and "dev_accuracy" in per cent, on dev."""
    inputs = run.data.dev_inputs
    labels = run.data.dev.labels
    outputs = []
    for start in range(0, len(inputs), _BATCH):
        outputs.append(ops.convert_to_numpy(run.model(inputs[start : start + _BATCH], training=False)))
    probabilities = np.concatenate(outputs)
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "dev_loss": -float(np.log(np.maximum(of_label, 1e-12)).mean()),
        "dev_accuracy": 100 * float((probabilities.argmax(axis=1) == labels).mean()),
    }


def report(run: Run, rows: list[Row]) -> Report:
    """Return what the command prints."""
    accuracy = round(rows[-1]["dev_accuracy"], 1)
    seconds = round(sum(row["seconds"] for row in rows), 1)
    num_train = len(run.data.train.ids)
    num_dev = len(run.data.dev.ids)
    values = {
        "out": str(run.args.out),
        "images": num_train,
        "dev_images": num_dev,
        "dev_accuracy": accuracy,
        "seconds": seconds,
    }
    text = f"{run.args.out}: {num_train} images, accuracy {accuracy} % on {num_dev} dev images, {seconds} s"
    return Report(values, text, run.data.skipped)


# The latest weights are kept: the rate falls to nearly 0, and dev is too small to choose between epochs.
SPEC = TrainingSpec(
    kind=KIND,
    configs=CLASSIFIERS,
    read_data=read_data,
    make_model=lambda data: data.classifier.model,
    describe=describe,
    initialize=initialize,
    stages=stages,
    validate=validate,
    report=report,
)
