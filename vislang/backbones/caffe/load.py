"""Caffe networks as Keras models with named taps: `load` for a prototxt, `load_named` for one that is defined here.

    model = caffe.load("deploy.prototxt", "VGG_CNN_S.caffemodel")
    seen = caffe.at_taps(model, ["conv5", "blob:conv5"])(images)

Images are float32 [B, H, W, 3] as Caffe's networks were trained on them: BGR, 0 to 255, minus a mean (see
`vislang.backbones.caffe.preprocess`). A tap is the name of a layer and means that layer's own output: "conv5" is the
convolution
before the ReLU that Caffe writes over it. "blob:conv5" is what is left in the blob in the end, behind that ReLU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from vislang.backbones.caffe.build import build
from vislang.backbones.caffe.caffemodel import RandomWeights, read_caffemodel, read_mean
from vislang.backbones.caffe.network import read_network
from vislang.backbones.caffe.registry import NETWORKS, find_network
from vislang.backbones.feature_name import BLOB, FeatureName
from vislang.core.errors import unknown_name

__all__ = ["NETWORKS", "at_taps", "load", "load_named", "read_mean", "tap_names"]


def load(prototxt: str | Path, caffemodel: str | Path, *, size: tuple[int, int] | None = None) -> keras.Model:
    """Load a network of Caffe's, with the new or the old list of layers.

    Args:
        prototxt: its definition.
        caffemodel: its weights, found by the names of the layers.
        size: height and width of the input, other than the file says.

    Returns:
        A model of float32 [B, H, W, C], channels last, whose layers are called as Caffe's ("/" becomes "_"); its
        output is what no layer reads, such as the class probabilities [B, 1000].

    Raises:
        DataError: files that are missing, damaged, hostile or do not fit, or a kind of layer that is not supported.
    """
    return build(read_network(prototxt, size), read_caffemodel(caffemodel))


def load_named(name: str, caffemodel: str | Path) -> keras.Model:
    """Build a network of NETWORKS with the user's weights.

    Args:
        name: such as "VGG_CNN_S".
        caffemodel: its weights; "random": numbers that are always the same, for tests and timing only.

    Raises:
        ConfigError: an unknown name.
        DataError: weights that are missing, damaged or of another network.
    """
    network = find_network(name)
    return build(network, RandomWeights() if str(caffemodel) == "random" else read_caffemodel(caffemodel))


def tap_names(model: keras.Model) -> list[str]:
    """Give the names of all taps: the layers in their order, and then the blobs."""
    layers, blobs = _taps(model)
    return [*layers, *(f"blob:{blob}" for blob in blobs)]


def at_taps(model: keras.Model, taps: Sequence[str]) -> keras.Model:
    """Give a model with the same input and weights whose output is {tap: its value}.

    Args:
        model: from `load` or `load_named`.
        taps: names of layers, bare or as "layer:NAME", or "blob:NAME".

    Raises:
        ConfigError: an unknown tap.
    """
    return keras.Model(model.input, {tap: _output(model, tap) for tap in taps})


def _output(model: keras.Model, tap: str) -> Any:
    layers, blobs = _taps(model)
    name = FeatureName.parse(tap)
    layer = name.layer
    if name.kind == BLOB:
        if layer not in blobs:
            raise unknown_name("tap", tap, [f"blob:{blob}" for blob in blobs])
        layer = blobs[layer]
    elif layer not in layers:
        raise unknown_name("tap", tap, layers)
    return model.get_layer(layers[layer]).output


def _taps(model: keras.Model) -> tuple[dict[str, str], dict[str, str]]:
    """Give {layer: Keras' layer} and {blob: layer}; a model stored by Keras has forgotten its blobs."""
    layers = getattr(model, "caffe_layers", None) or {layer.name: layer.name for layer in model.layers}
    return dict(layers), dict(getattr(model, "caffe_blobs", {}))
