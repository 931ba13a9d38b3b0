"""Tiny random networks that several tests look into."""

from dataclasses import replace

import keras
import numpy as np

from preimage.networks.network import Network
from vislang.backbones.weights import fill_randomly
from vislang.images.preprocess import find_preprocessing

SIZE = 16


def tiny_model(size: int = SIZE, classes: int = 4) -> keras.Model:
    """Return a network with a batch normalisation, a pooling, a shortcut and class scores."""
    image = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    y = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="deep")(x)
    y = keras.layers.BatchNormalization(name="normal")(y)
    x = keras.layers.Add(name="sum")([x, y])
    x = keras.layers.ReLU(6.0, name="second")(x)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", name="third")(x)
    x = keras.layers.ReLU(name="last")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dense(classes, activation="softmax", name="classes")(x)
    model = fill_randomly(keras.Model(image, x))
    random = np.random.default_rng(1)
    model.get_layer("normal").set_weights([random.uniform(0.5, 2, 6) for _ in range(4)])
    model.get_layer("first").bias.assign(random.normal(size=6) * 0.1)
    return model


def tiny_network(size: int = SIZE, preprocessing: str = "squash-64-tf/v1") -> Network:
    """Return the tiny model as a network."""
    return Network("tiny", tiny_model(size), replace(find_preprocessing(preprocessing), size=size, shorter_side=size))


def photographs(count: int, size: int = SIZE) -> np.ndarray:
    """Draw smooth images, float32 [count, size, size, 3], RGB 0..255."""
    random = np.random.default_rng(2)
    coarse = random.uniform(20, 235, (count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, size // 4, size // 4, 1))).astype(np.float32)
