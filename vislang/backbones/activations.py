"""Activations of Keras layers: their names, and the values before them."""

from typing import Any


def activation_name(layer: Any) -> str:
    """Return the name of the activation that a layer holds, "linear" where it holds none."""
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def is_softmax(layer: Any) -> bool:
    """Return whether a layer is, or ends in, a softmax."""
    return type(layer).__name__ == "Softmax" or activation_name(layer) == "softmax"


def ends_in_relu(layer: Any) -> bool:
    """Return whether a layer is, or ends in, a ReLU; a concatenation does if all of its branches do."""
    if type(layer).__name__ == "Concatenate":
        return all(ends_in_relu(branch) for branch in _branches(layer))
    return type(layer).__name__ == "ReLU" or activation_name(layer) in ("relu", "relu6")


def before_activation(layer: Any, suffix: str = "before") -> Any:
    """Return the symbolic output of a layer before its own activation, or before those of its branches.

    The suffix keeps the names of the layers that are made unique.
    """
    import keras

    if type(layer).__name__ == "Concatenate":
        parts = [before_activation(branch, f"{suffix}_{layer.name}") for branch in _branches(layer)]
        return keras.layers.Concatenate(layer.axis, name=f"{layer.name}_{suffix}")(parts)
    if type(layer).__name__ in ("Softmax", "Activation", "ReLU"):
        return layer.input
    if getattr(layer, "activation", None) is None:
        return layer.output
    config = {**layer.get_config(), "activation": "linear", "name": f"{layer.name}_{suffix}"}
    linear = type(layer).from_config(config)
    output = linear(layer.input)
    linear.set_weights(layer.get_weights())
    return output


def _branches(layer: Any) -> list[Any]:
    return [tensor._keras_history[0] for tensor in layer.input]
