"""A network to look into: RGB pictures in, features at any of its layers out, differentiable on the way.

A tap is the name of a layer; "pre:LAYER", its values before its activation; "scores", the class scores before the
softmax; or a name of the backbone's own, such as "pooled" and "grid". Of Caffe's networks also "blob:NAME".
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from preimage.networks.receptive_fields import Field, field_of
from vislang.backbones.feature_name import LAYER, FeatureName
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.preprocess import Recipe, find_recipe, prepare
from vislang.training.compile import compiled

Tensor = Any
SCORES = "scores"
_GREY = (123.68, 116.779, 103.939)  # RGB mean of ImageNet, for recipes that subtract none
_CHUNK = 16  # pictures encoded at a time


class Network:
    """A network with named taps.

    Args:
        name: as it was asked for.
        model: a functional Keras model with one square image input.
        recipe: how pictures are prepared for it.
        layers: {tap: layer}, names beside those of the layers.
        find: gives the symbolic output of taps that only their importer knows, or None.
        classes: their names, where the network knows them; see `preimage.networks.class_labels.class_names` for the
            others.

    Attributes:
        size: side S of its input in pixels.
        mean: float32 [3], its mean colour, RGB 0..255.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        recipe: Recipe,
        layers: dict[str, str] | None = None,
        find: Callable[[str], Any] | None = None,
        classes: Sequence[str] = (),
    ):
        self.name, self.model, self.recipe, self.classes = name, model, recipe, tuple(classes)
        self.size = recipe.size
        mean = np.array(recipe.mean[:: recipe.step], np.float32) * recipe.divisor
        self.mean = mean if mean.any() else np.array(_GREY, np.float32)
        self._layers, self._find = layers or {}, find
        self._heads: dict[tuple[str, ...], Any] = {}
        self._outputs: dict[str, Any] = {}
        self._encoders: dict[tuple[str, ...], Callable] = {}

    @property
    def taps(self) -> list[str]:
        """The names of all taps but those before activations."""
        names = [*self._layers, *(layer.name for layer in self.model.layers[1:])]
        return [*dict.fromkeys(names), *([SCORES] if self.has_classes else [])]

    @property
    def has_classes(self) -> bool:
        """Whether the network ends in a softmax."""
        return _is_softmax(self.model.layers[-1])

    def unclipped(self, tap: str) -> str:
        """Give the tap before a layer's ReLU, where its strongest values are not cut off; of other layers the tap.

        Of branches that end in a ReLU each and are concatenated, it is the concatenation of what lies before them.
        """
        layer = {layer.name: layer for layer in self.model.layers}.get(self._layers.get(tap, tap))
        if layer is None or not _is_clipped(layer):
            return tap
        return str(replace(FeatureName.parse(tap), before_relu=True))

    def output(self, tap: str) -> Any:
        """Give the symbolic output of a tap.

        Raises:
            ConfigError: an unknown tap, or scores of a network that has no classes.
        """
        if tap not in self._outputs:
            self._outputs[tap] = self._found(tap)
        return self._outputs[tap]

    def _found(self, tap: str) -> Any:
        if tap == SCORES:
            if not self.has_classes:
                raise ConfigError(
                    f"network {self.name} ends without a softmax and has no class scores; choose a layer, such as"
                    f" {self.model.layers[-1].name}"
                )
            return _before_activation(self.model.layers[-1])
        asked = FeatureName.parse(tap)
        name = self._layers.get(asked.layer, asked.layer)
        if asked.kind == LAYER and name in {layer.name for layer in self.model.layers}:
            layer = self.model.get_layer(name)
            output = _before_activation(layer) if asked.before_relu else layer.output
            return ops.mean(output, axis=(1, 2)) if tap == "pooled" and len(output.shape) == 4 else output
        if self._find is not None and not asked.before_relu:
            return self._find(tap)
        raise unknown_name(f"tap of network {self.name}", tap, self.taps)

    def shape(self, tap: str) -> tuple[int, ...]:
        """Give the shape of one picture's features at a tap."""
        return tuple(self.output(tap).shape[1:])

    def field(self, tap: str) -> Field:
        """Give the receptive fields of a tap."""
        return field_of(self.output(tap), self.size)

    def normalised(self, pictures: Tensor) -> Tensor:
        """Bring float32 [B, S, S, 3], RGB 0..255, to what the network was trained on."""
        recipe = self.recipe
        turned = pictures if recipe.step == 1 else ops.flip(pictures, axis=-1)
        values = turned / recipe.divisor - np.array(recipe.mean, np.float32)
        return values / np.array(recipe.deviation, np.float32)

    def prepare(self, taps: Sequence[str]) -> None:
        """Build the way to taps; it copies weights, which cannot be done while a graph is compiled.

        Raises:
            ConfigError: an unknown tap.
        """
        taps = tuple(taps)
        if taps and taps not in self._heads:
            self._heads[taps] = keras.Model(self.model.input, [self.output(tap) for tap in taps])

    def features(self, pictures: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """Give the features of tensors; what lies behind the last tap is not computed.

        Args:
            pictures: float32 [B, S, S, 3], RGB 0..255.
            taps: see the module.

        Returns:
            {tap: float32 [B, ...]}.
        """
        return self.features_of_input(self.normalised(pictures), taps) if taps else {}

    def features_of_input(self, values: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """Give the features of what is fed to the network as it is, float32 [B, S, S, 3]; see `features`."""
        taps = tuple(taps)
        self.prepare(taps)
        outputs = self._heads[taps](values, training=False)
        return dict(zip(taps, outputs if isinstance(outputs, (list, tuple)) else [outputs], strict=True))

    def pictures(self, sources: Sequence[Any]) -> np.ndarray:
        """Bring pictures to the network's size: float32 [B, S, S, 3], RGB 0..255.

        Args:
            sources: what `vislang.images.decode.decode_image` takes.

        Raises:
            DataError: one cannot be decoded.
        """
        plain = replace(self.recipe, step=1, divisor=1.0, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
        return np.stack([prepare(source, plain) for source in sources])

    def encode(self, pictures: np.ndarray, taps: Sequence[str]) -> dict[str, np.ndarray]:
        """Give the features of arrays.

        Args:
            pictures: float32 [B, S, S, 3], RGB 0..255.
            taps: see the module.

        Returns:
            {tap: float32 [B, ...]}.
        """
        taps, parts = tuple(taps), []
        if taps not in self._encoders:
            self.prepare(taps)
            shape = (None, self.size, self.size, 3)
            self._encoders[taps] = compiled(lambda x: list(self.features(x, taps).values()), (shape, "float32"))
        for first in range(0, len(pictures), _CHUNK):
            chunk = np.asarray(pictures[first : first + _CHUNK], np.float32)
            parts.append([ops.convert_to_numpy(value) for value in self._encoders[taps](chunk)])
        return {tap: np.concatenate(values) for tap, values in zip(taps, zip(*parts, strict=True), strict=True)}


def load_network(
    name: str = "compact",
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    recipe: str | None = None,
) -> Network:
    """Load a network to look into.

    Args:
        name: a name of `vislang.backbones.registry.BACKBONES`; a folder that `preimage.train` wrote; a .keras or .h5
            file
            (give a recipe); "caffe:NAME" of `vislang.backbones.caffe.load.NETWORKS`, or a .prototxt file, both with a
            .caffemodel as
            weights.
        weights: a file, instead of the usual places; "random" for tests and timing.
        size: side of the pictures, other than the network's own.
        recipe: of preprocessing, other than the network's own.

    Raises:
        ConfigError: an unknown name or recipe, or a size that the network cannot be rebuilt for.
        DataError: weights that are missing, damaged or of another network.
        CheckpointError: a folder of `preimage.train` that is damaged or not trained yet.
    """
    name = str(name)
    if name.startswith("caffe:") or name.endswith(".prototxt"):
        return _load_caffe(name, weights, size, recipe)
    from preimage.classifier.model import is_trained
    from vislang.backbones.registry import BACKBONES, load_backbone

    if size is not None and recipe is not None and size != find_recipe(recipe).size:
        raise ConfigError(f"got size {size} and recipe {recipe}, which says another; give one of them")
    if name not in BACKBONES and is_trained(name):
        return _load_trained(name, weights, size, recipe)
    backbone = load_backbone(name, weights=weights, recipe=recipe if size is None else str(size))
    if backbone.model is None:
        raise ConfigError(f"{name} is no Keras model, so no gradient passes it; give a .keras file or a name")
    return Network(name, backbone.model, backbone.recipe, {tap: backbone.layer_of(tap) for tap in backbone.taps})


def _load_trained(name: str, weights: str | Path | None, size: int | None, recipe: str | None) -> Network:
    from preimage.classifier.model import load_classifier
    from vislang.backbones.resize import at_input_size

    if weights is not None:
        raise ConfigError(f"network {name} holds its own weights, got {weights}; leave --weights out")
    trained = load_classifier(name)
    used = find_recipe(recipe) if recipe else trained.recipe
    if size is not None:
        used = find_recipe(used.name.replace(f"-{used.size}-", f"-{size}-"))
    model = trained.model if used.size == trained.recipe.size else at_input_size(name, trained.model, used.size)
    return Network(name, model, used, trained.layers, classes=trained.classes)


def _load_caffe(name: str, weights: str | Path | None, size: int | None, recipe: str | None) -> Network:
    from vislang.backbones.caffe import load as caffe

    if weights is None:
        raise ConfigError(f"network {name} comes without weights; expected --weights FILE.caffemodel")
    if name.startswith("caffe:"):
        model = caffe.load_named(name.removeprefix("caffe:"), weights)
    else:
        model = caffe.load(name, weights, size=None if size is None else (size, size))
    side = model.input_shape[1]
    drawn = "illust" in name
    used = find_recipe(recipe) if recipe else replace(_caffe_recipe(drawn), size=side, shorter_side=side)
    if size not in (None, side) or used.size != side:
        raise ConfigError(f"network {name} sees pictures of {side} pixels, got {size or used.size}")
    return Network(name, model, used, find=lambda tap: caffe.at_taps(model, [tap]).outputs[0])


def _caffe_recipe(drawn: bool) -> Recipe:
    return find_recipe("squash-224-bgr-drawn/v1" if drawn else "squash-224-bgr-mean/v1")


def _is_softmax(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    return type(layer).__name__ == "Softmax" or getattr(activation, "__name__", "") == "softmax"


def _is_clipped(layer: Any) -> bool:
    if type(layer).__name__ == "Concatenate":
        return all(_is_clipped(branch) for branch in _branches(layer))
    fused = getattr(getattr(layer, "activation", None), "__name__", "")
    return type(layer).__name__ == "ReLU" or fused in ("relu", "relu6")


def _branches(layer: Any) -> list[Any]:
    return [tensor._keras_history[0] for tensor in layer.input]


def _before_activation(layer: Any, end: str = "before") -> Any:
    """Give the symbolic output of a layer as it is before its own activation, or before that of its branches.

    Args:
        layer: of a functional model.
        end: of the names of the layers that are made; all names in a network differ.
    """
    if type(layer).__name__ == "Concatenate":
        parts = [_before_activation(branch, f"{end}_{layer.name}") for branch in _branches(layer)]
        return keras.layers.Concatenate(layer.axis, name=f"{layer.name}_{end}")(parts)
    if type(layer).__name__ in ("Softmax", "Activation", "ReLU"):
        return layer.input
    if getattr(layer, "activation", None) is None:
        return layer.output
    config = {**layer.get_config(), "activation": "linear", "name": f"{layer.name}_{end}"}
    twin = type(layer).from_config(config)
    output = twin(layer.input)
    twin.set_weights(layer.get_weights())
    return output
