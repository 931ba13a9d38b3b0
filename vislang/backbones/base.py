"""A loaded backbone: images in, the features of all wanted layers out, in one forward pass."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.feature_name import FeatureName
from vislang.backbones.resize import at_input_size
from vislang.backbones.weights import fingerprint
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.preprocess import Preprocessing


class LoadedBackbone(ABC):
    """A frozen CNN with its preprocessing.

    Attributes:
        layers: {feature layer: shape of one image's feature}, such as {"pooled": (1280,), "grid": (7, 7, 1280)}.
        model: the Keras model behind it, or None.
        needs_decoded: whether `encode_decoded` has to be called, which also takes the images before preprocessing.
    """

    model: Any = None
    needs_decoded = False

    def __init__(self, name: str, preprocessing: Preprocessing, layers: dict[str, tuple[int | None, ...]]):
        self.name = name
        self.preprocessing = preprocessing
        self.layers = layers

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the weight arrays that lead to the feature layers."""
        return fingerprint(self._arrays())

    def fingerprint_of(self, layer: str) -> str:
        """The sha256 of all that the features of a layer depend on."""
        return self.fingerprint

    def own_name(self, text: str) -> str:
        """Return the name of a feature as `layers` has it, without its "layer:".

        Raises:
            ConfigError: it is of another preprocessing.
        """
        name = FeatureName.parse(text)
        if name.preprocessing not in ("", self.preprocessing.name):
            raise ConfigError(
                f"{text} is of another preprocessing than {self.preprocessing.name}, with which {self.name} was loaded;"
                f" name {name.stored} alone, and the preprocessing with --preprocessing {name.preprocessing}"
                f" (in Python, preprocessing={name.preprocessing!r})"
            )
        return name.stored

    def encode_decoded(
        self, images: Sequence[Image.Image], batch: np.ndarray, layers: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return what `encode` returns, computed from upright RGB images and the same images prepared."""
        return self.encode(batch, layers)

    def encode(self, batch: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Compute the features of prepared images.

        Args:
            batch: float32 [B, S, S, 3], made by the backbone's preprocessing.
            layers: names in `layers`, or names of the network's layers, bare or as "layer:NAME".

        Returns:
            {layer: float32 [B, ...]}, with the names as they were passed.

        Raises:
            ConfigError: an unknown layer, or images of another size than the network's.
        """
        batch = np.asarray(batch, np.float32)
        if batch.ndim != 4 or batch.shape[-1] != 3:
            raise ConfigError(f"backbone {self.name} got images {list(batch.shape)}, expected [B, S, S, 3]")
        outputs = self._forward(batch, tuple(map(self.own_name, layers)))
        return {layer: np.asarray(output, np.float32) for layer, output in zip(layers, outputs, strict=True)}

    @abstractmethod
    def _arrays(self) -> Sequence[Any]: ...

    @abstractmethod
    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> Sequence[Any]: ...


class KerasBackbone(LoadedBackbone):
    """A backbone held by a functional Keras model with one image input, rebuilt for the size of its preprocessing.

    Args:
        keras_layers: {feature layer: name of the Keras layer}, the deepest last; None: take the last spatial output as
            "grid" and its mean as "pooled".
        arrays: what the fingerprint is computed from; None: the weights that lead to the deepest layer.
    """

    def __init__(
        self,
        name: str,
        preprocessing: Preprocessing,
        model: Any,
        keras_layers: dict[str, str] | None,
        arrays: Sequence[np.ndarray] | None = None,
    ):
        self._keras_layers = keras_layers or _last_grid(name, model)
        self._file_arrays = arrays
        if any(side not in (None, preprocessing.size) for side in model.input_shape[1:3]):
            model = at_input_size(name, model, preprocessing.size)
        self.model = model
        self._heads: dict[tuple[str, ...], Callable[[np.ndarray], Sequence[Any]]] = {}
        shapes = {layer: tuple(self._output(layer).shape[1:]) for layer in self._keras_layers}
        super().__init__(name, preprocessing, shapes)

    def _output(self, layer: str) -> Any:
        """Return the symbolic output of a feature layer; the "pooled" of a map is its mean over space."""
        import keras

        names = {one.name for one in self.model.layers}
        keras_layer = self.keras_layer(layer)
        if keras_layer not in names:
            raise unknown_name(f"layer of backbone {self.name}", layer, [*self._keras_layers, *names])
        output = self.model.get_layer(keras_layer).output
        if isinstance(output, (list, tuple)):
            raise ConfigError(f"layer {layer} of backbone {self.name} has {len(output)} outputs, expected one")
        if layer == "pooled" and len(output.shape) == 4:
            return keras.ops.mean(output, axis=(1, 2))
        return output

    def keras_layer(self, layer: str) -> str:
        """Return the name of the Keras layer behind a feature layer."""
        return self._keras_layers.get(layer, layer)

    def _forward(self, batch: np.ndarray, layers: tuple[str, ...]) -> Sequence[Any]:
        if batch.shape[1:3] != (self.preprocessing.size,) * 2:
            raise ConfigError(
                f"backbone {self.name} got images {list(batch.shape)}, expected side {self.preprocessing.size}"
            )
        outputs = self.compiled_head(layers)(batch)
        # Keras unpacks a list of one
        if isinstance(outputs, (list, tuple)):
            return outputs
        return [outputs]

    def compiled_head(self, layers: tuple[str, ...]) -> Callable[[np.ndarray], Sequence[Any]]:
        """Return the compiled function from prepared images, float32 [B, S, S, 3], to some layers.

        Keras returns the output itself where there is one.
        """
        if layers not in self._heads:
            import keras

            from vislang.core.compile import compiled

            head = keras.Model(self.model.input, list(map(self._output, layers)))

            def features(images: Any) -> Any:
                return head(images, training=False)

            self._heads[layers] = compiled(features, ((None, *(self.preprocessing.size,) * 2, 3), "float32"))
        return self._heads[layers]

    def shape_of(self, layer: str) -> tuple[int | None, ...]:
        """Return the shape of one image's feature."""
        return tuple(self._output(layer).shape[1:])

    def _arrays(self) -> Sequence[Any]:
        if self._file_arrays is not None:
            return self._file_arrays
        import keras

        deepest = self.model.get_layer(list(self._keras_layers.values())[-1])
        return list(map(keras.ops.convert_to_numpy, keras.Model(self.model.input, deepest.output).weights))


def _last_grid(name: str, model: Any) -> dict[str, str]:
    maps = [layer.name for layer in model.layers if len(getattr(layer.output, "shape", ())) == 4]
    if not maps or len(model.inputs) != 1:
        raise ConfigError(f"{name} is no image network: expected one image input and a layer with output [B, h, w, C]")
    return {"pooled": maps[-1], "grid": maps[-1]}
