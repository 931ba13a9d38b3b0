"""The classifiers that this package trains: how they are built and read.

config.json         the kind, every setting, the classes, what it was trained on
architecture.json   its layers, in the format of Keras
model.weights.h5    the best weights so far; beside them what `vislang.training.checkpoints` names
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from preimage.classifier.config import ClassifierConfig
from vislang.backbones.registry import BACKBONES, load_backbone
from vislang.core.errors import CheckpointError, ConfigError, unknown_name
from vislang.core.files import read_json
from vislang.images.preprocess import Preprocessing, find_preprocessing
from vislang.training.checkpoints import load_weights, read_settings

KIND = "classifier"
ARCHITECTURE = "architecture.json"
POOLED, DROPOUT, CLASSES = "pooled", "dropout", "classes"  # the layers behind the last map
_NEXT = "train it anew: python -m preimage.train"


@dataclass(frozen=True)
class Classifier:
    """A network that ends in a softmax."""

    model: Any  # a functional Keras model, float32 [B, S, S, 3] to probabilities float32 [B, C]
    preprocessing: Preprocessing
    layers: dict[str, str]  # {alias: layer}; "grid" is the last map
    classes: tuple[str, ...]
    origin: dict[str, Any]  # name and fingerprint of the backbone that it starts from; {} from scratch


def build_classifier(config: ClassifierConfig, classes: Sequence[str], *, weights: str | None = None) -> Classifier:
    """Build a network of two classes or more: with the weights of its backbone, which may be given as a file, or new.

    Its last layer starts at 0.
    """
    if len(classes) < 2:
        raise ConfigError(f"got the classes {list(classes)}, expected two or more")
    origin: dict[str, Any] = {}
    if config.backbone:
        if config.backbone not in BACKBONES:
            raise unknown_name("backbone", config.backbone, BACKBONES, "or '' for none")
        loaded: Any = load_backbone(config.backbone, weights=weights)
        image, grid, preprocessing = loaded.model.input, loaded.keras_layer("grid"), loaded.preprocessing
        last = loaded.model.get_layer(grid).output
        for layer in loaded.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):  # a few images would spoil its statistics
                layer.trainable = False
        origin = {"name": config.backbone, "fingerprint": loaded.fingerprint}
    else:
        preprocessing = find_preprocessing(config.preprocessing)
        image = keras.Input((preprocessing.size, preprocessing.size, 3), name="image")
        last = _blocks(image, config.channels)
        grid = f"relu{len(config.channels)}"
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED)(last)
    dropped = keras.layers.Dropout(config.dropout, name=DROPOUT)(pooled)
    output = keras.layers.Dense(len(classes), "softmax", kernel_initializer="zeros", name=CLASSES)(dropped)
    model = keras.Model(image, output, name=KIND)
    return Classifier(model, preprocessing, {"grid": grid}, tuple(classes), origin)


def _blocks(x: Any, channels: Sequence[int]) -> Any:
    """Return the output of blocks of convolution, normalisation, ReLU and, except in the last, max pooling."""
    for index, width in enumerate(channels, start=1):
        side = 5 if index == 1 else 3
        x = keras.layers.Conv2D(width, side, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{index}")(x)
        x = keras.layers.ReLU(name=f"relu{index}")(x)
        if index < len(channels):
            x = keras.layers.MaxPooling2D(2, name=f"pool{index}")(x)
    return x


def load_classifier(folder: str | Path) -> Classifier:
    """Read what `preimage.train` wrote.

    Raises:
        CheckpointError: missing, damaged, of another kind, or without weights yet.
    """
    folder = Path(folder)
    description = read_settings(folder, KIND)
    try:
        layers = read_json(folder / ARCHITECTURE, "layers of a classifier", _NEXT)
        model = keras.models.model_from_json(json.dumps(layers))
        if not isinstance(model, keras.Model):
            raise TypeError(f"{ARCHITECTURE} holds a {type(model).__name__}")
        preprocessing = find_preprocessing(description["preprocessing"])
        classes = tuple(map(str, description["classes"]))
        origin = dict(description.get("backbone", {}))
        classifier = Classifier(model, preprocessing, dict(description["layers"]), classes, origin)
    except Exception as error:  # files, settings and Keras each raise their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"{folder} holds no network that can be read ({reason}); {_NEXT}") from error
    load_weights(model, folder)
    return classifier
