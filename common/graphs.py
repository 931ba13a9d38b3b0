"""Compiling a function of arrays once, whatever their sizes, for the backend in use."""

from collections.abc import Callable
from typing import Any

import keras

Spec = tuple[tuple[int | None, ...], str]  # shape, None where sizes differ from call to call, and dtype


def compiled(function: Callable[..., Any], *inputs: Spec) -> Callable[..., Any]:
    """Compile a function of arrays; on TensorFlow one trace serves every size where a shape is None.

    Args:
        function: takes one array for each of `inputs`.
        *inputs: their shapes and dtypes.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, input_signature=[tf.TensorSpec(*spec) for spec in inputs], autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def on_host(function: Callable[..., Any], like: Any, *inputs: Any) -> Any:
    """Call a function of NumPy arrays from inside a compiled graph; no gradient passes it.

    Args:
        function: takes and gives NumPy arrays.
        like: a tensor of the shape and dtype of its result.
        *inputs: tensors that it is given as arrays.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        result = tf.numpy_function(function, inputs, like.dtype, stateful=False)
        return tf.stop_gradient(tf.ensure_shape(result, like.shape))
    if keras.backend.backend() == "jax":
        import jax

        shape = jax.ShapeDtypeStruct(like.shape, like.dtype)
        return jax.lax.stop_gradient(jax.pure_callback(function, shape, *inputs))
    return keras.ops.convert_to_tensor(function(*map(keras.ops.convert_to_numpy, inputs)))
