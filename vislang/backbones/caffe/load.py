"""Caffe networks as Keras models with named layers: `load` for a prototxt, `load_named` for one that is defined here.

    model = caffe.load("deploy.prototxt", "VGG_CNN_S.caffemodel")
    seen = caffe.at_layers(model, ["conv5", "blob:conv5"])(images)

Images are float32 [B, H, W, 3] as Caffe's networks were trained on them: BGR, 0 to 255, minus a mean (see
`vislang.backbones.caffe.preprocess`). The name of a layer means that layer's own output: "conv5" is the convolution
before the ReLU that Caffe writes over it. "blob:conv5" is the blob's final value, after that ReLU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from vislang.backbones.caffe.build import build
from vislang.backbones.caffe.caffemodel import RandomWeights, read_caffemodel, read_mean
from vislang.backbones.caffe.network import read_network
from vislang.backbones.caffe.registry import NETWORKS
from vislang.backbones.feature_name import BLOB, FeatureName
from vislang.core.errors import look_up

__all__ = ["NETWORKS", "at_layers", "load", "load_named", "read_mean", "layer_names"]


def load(prototxt: str | Path, caffemodel: str | Path, *, size: tuple[int, int] | None = None) -> keras.Model:
    """Load a network of Caffe's, with the new or the old list of layers.

    Args:
        prototxt: its definition.
        caffemodel: its weights, found by the names of the layers.
        size: height and width of the input, other than the file says.

    Returns:
        A model of float32 [B, H, W, C], whose layers are named as Caffe's ("/" becomes "_"); its outputs are the blobs
        that no layer reads, such as the class probabilities [B, 1000].

    Raises:
        DataError: files that are missing, damaged, hostile or do not fit, or a kind of layer that is not supported.
    """
    return build(read_network(prototxt, size), read_caffemodel(caffemodel))


def load_named(name: str, caffemodel: str | Path) -> keras.Model:
    """Build a network of NETWORKS with the user's weights.

    Args:
        name: such as "VGG_CNN_S".
        caffemodel: its weights; "random": fixed random numbers, for tests and timing only.

    Raises:
        ConfigError: an unknown name.
        DataError: weights that are missing, damaged or of another network.
    """
    network = look_up(NETWORKS, name, "Caffe network")
    return build(network, RandomWeights() if str(caffemodel) == "random" else read_caffemodel(caffemodel))


def layer_names(model: keras.Model) -> list[str]:
    """Return the names of all feature layers: the layers in their order, and then the blobs."""
    layers, blobs = _layers_and_blobs(model)
    return [*layers, *(f"blob:{blob}" for blob in blobs)]


def at_layers(model: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Return a model with the same input and weights whose output is {layer: its value}.

    Layers are named bare or as "layer:NAME", or "blob:NAME".

    Raises:
        ConfigError: an unknown layer.
    """
    return keras.Model(model.input, {layer: _output(model, layer) for layer in layers})


def _output(model: keras.Model, text: str) -> Any:
    layers, blobs = _layers_and_blobs(model)
    name = FeatureName.parse(text)
    layer = name.layer
    if name.kind == BLOB:
        layer = look_up(blobs, layer, "blob")
    return model.get_layer(look_up(layers, layer, "layer")).output


def _layers_and_blobs(model: keras.Model) -> tuple[dict[str, str], dict[str, str]]:
    """Return {layer: Keras' layer} and {blob: layer}; a model stored by Keras has forgotten its blobs."""
    layers = getattr(model, "caffe_layers", None) or {layer.name: layer.name for layer in model.layers}
    return dict(layers), dict(getattr(model, "caffe_blobs", {}))
