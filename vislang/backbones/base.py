"""A loaded backbone: images in, the outputs of all wanted taps out, in one forward pass."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.feature_name import FeatureName
from vislang.backbones.resize import at_input_size
from vislang.backbones.weights import fingerprint
from vislang.core.errors import ConfigError, unknown_name
from vislang.images.preprocess import Recipe


class LoadedBackbone(ABC):
    """A frozen CNN with its recipe.

    Attributes:
        name: as it was asked for.
        recipe: how pictures are prepared for it.
        taps: {tap: shape of one image's feature}, such as {"pooled": (1280,), "grid": (7, 7, 1280)}.
        model: the Keras model behind it, or None.
        needs_pictures: whether `encode_pictures` has to be called, with the pictures as they were before the recipe.
    """

    model: Any = None
    needs_pictures = False

    def __init__(self, name: str, recipe: Recipe, taps: dict[str, tuple[int | None, ...]]):
        self.name = name
        self.recipe = recipe
        self.taps = taps

    @functools.cached_property
    def fingerprint(self) -> str:
        """The sha256 of the weight arrays that lead to the taps."""
        return fingerprint(self._arrays())

    def fingerprint_of(self, tap: str) -> str:
        """The sha256 of all that the features of a tap hang on."""
        return self.fingerprint

    def own_name(self, text: str) -> str:
        """Return the name of a feature as `taps` has it, without its "layer:".

        Raises:
            ConfigError: it is of another preprocessing.
        """
        name = FeatureName.parse(text)
        if name.preprocessing not in ("", self.recipe.name):
            raise ConfigError(
                f"{text} is of another preprocessing than {self.recipe.name}, with which {self.name} was loaded; name"
                f" {name.stored} alone and load the backbone with recipe {name.preprocessing}"
            )
        return name.stored

    def encode_pictures(
        self, pictures: Sequence[Image.Image], batch: np.ndarray, taps: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Give the features of pictures that are also there as `encode` takes them; see there."""
        return self.encode(batch, taps)

    def encode(self, batch: np.ndarray, taps: Sequence[str]) -> dict[str, np.ndarray]:
        """Give the features of prepared images.

        Args:
            batch: float32 [B, S, S, 3], made by the backbone's recipe.
            taps: names in `taps`, or names of layers, bare or as "layer:NAME".

        Returns:
            {tap: float32 [B, ...]}, with the names as they were asked for.

        Raises:
            ConfigError: an unknown tap, or images of another size than the network's.
        """
        batch = np.asarray(batch, np.float32)
        if batch.ndim != 4 or batch.shape[-1] != 3:
            raise ConfigError(f"backbone {self.name} got images {list(batch.shape)}, expected [B, S, S, 3]")
        outputs = self._forward(batch, tuple(map(self.own_name, taps)))
        return {tap: np.asarray(output, np.float32) for tap, output in zip(taps, outputs, strict=True)}

    @abstractmethod
    def _arrays(self) -> Sequence[Any]: ...

    @abstractmethod
    def _forward(self, batch: np.ndarray, taps: tuple[str, ...]) -> Sequence[Any]: ...


class KerasBackbone(LoadedBackbone):
    """A backbone held by a Keras model.

    Args:
        name: as it was asked for.
        recipe: how pictures are prepared; a network of another size is rebuilt for its size.
        model: a functional model with one image input.
        layers: {tap: layer}, the deepest last; None: take the last spatial output as "grid" and its mean as "pooled".
    """

    def __init__(self, name: str, recipe: Recipe, model: Any, layers: dict[str, str] | None):
        self._layers = layers or _last_grid(name, model)
        if any(side not in (None, recipe.size) for side in model.input_shape[1:3]):
            model = at_input_size(name, model, recipe.size)
        self.model = model
        self._heads: dict[tuple[str, ...], Any] = {}
        super().__init__(name, recipe, {tap: tuple(self._output(tap).shape[1:]) for tap in self._layers})

    def _output(self, tap: str) -> Any:
        """Give the symbolic output of a tap; the "pooled" of a map is its mean over space."""
        import keras

        layers = {layer.name for layer in self.model.layers}
        layer = self.layer_of(tap)
        if layer not in layers:
            raise unknown_name(f"tap of backbone {self.name}", tap, [*self._layers, *layers])
        output = self.model.get_layer(layer).output
        if isinstance(output, (list, tuple)):
            raise ConfigError(f"tap {tap} of backbone {self.name} has {len(output)} outputs, expected one")
        if tap == "pooled" and len(output.shape) == 4:
            return keras.ops.mean(output, axis=(1, 2))
        return output

    def layer_of(self, tap: str) -> str:
        """Give the name of the layer that a tap reads."""
        return self._layers.get(tap, tap)

    def _forward(self, batch: np.ndarray, taps: tuple[str, ...]) -> Sequence[Any]:
        if batch.shape[1:3] != (self.recipe.size,) * 2:
            raise ConfigError(f"backbone {self.name} got images {list(batch.shape)}, expected side {self.recipe.size}")
        if taps not in self._heads:
            import keras

            head = keras.Model(self.model.input, list(map(self._output, taps)))
            head.compile(jit_compile=False)  # on a CPU, XLA makes MobileNets nine times slower
            self._heads[taps] = head
        outputs = self._heads[taps].predict_on_batch(batch)
        # Keras unpacks a list of one
        if isinstance(outputs, list):
            return outputs
        return [outputs]

    def _arrays(self) -> Sequence[Any]:
        import keras

        deepest = self.model.get_layer(list(self._layers.values())[-1])
        return list(map(keras.ops.convert_to_numpy, keras.Model(self.model.input, deepest.output).weights))


def _last_grid(name: str, model: Any) -> dict[str, str]:
    maps = []
    for layer in model.layers:
        if len(getattr(layer.output, "shape", ())) == 4:
            maps.append(layer.name)
    if not maps or len(model.inputs) != 1:
        raise ConfigError(f"{name} is no image network: expected one image input and a layer with output [B, h, w, C]")
    return {"pooled": maps[-1], "grid": maps[-1]}
