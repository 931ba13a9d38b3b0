"""The same network at another input size: convolutions and global pooling take images of any size."""

import copy
from typing import Any

from vislang.core.errors import ConfigError


def at_input_size(name: str, model: Any, size: int | None) -> Any:
    """Rebuild a functional model with one image input for square images of another side, with the same weights.

    Args:
        name: of the backbone, for the message.
        model: the Keras model.
        size: in pixels; None: images of any size.

    Raises:
        ConfigError: a layer whose weights depend on the size, such as a dense layer over a flattened map.
    """
    config = copy.deepcopy(model.get_config())
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            shape = list(layer["config"]["batch_shape"])
            layer["config"]["batch_shape"] = [shape[0], size, size, *shape[3:]]
        build = layer.get("build_config")
        if build:  # shapes of the old size; Keras works them out again
            layer["build_config"] = None
    try:
        resized = type(model).from_config(config)
        resized.set_weights(model.get_weights())
    except (ValueError, TypeError) as error:
        old = tuple(model.input_shape[1:3])
        raise ConfigError(
            f"backbone {name} takes images of {old} and cannot be rebuilt for {size or 'others'}; choose a"
            " preprocessing of its own size"
        ) from error
    return resized
