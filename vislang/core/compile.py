"""Compiling a function of arrays once, whatever their sizes, for the backend in use."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from vislang.core.errors import ConfigError

Spec = tuple[tuple[int | None, ...], str]  # shape, None where sizes differ from call to call, and dtype


def compiled(function: Callable[..., Any], *inputs: Spec, model: Any = None) -> Callable[..., Any]:
    """Compile a function of arrays; on TensorFlow one trace serves every size where a shape is None.

    Args:
        function: takes one array for each of `inputs`.
        *inputs: their shapes and dtypes.
        model: with `variables`, which it reads anew at each call, as they change while it trains; on JAX those of
            others are read once for each size.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, input_signature=[tf.TensorSpec(*spec) for spec in inputs], autograph=False)
    if keras.backend.backend() == "jax":
        return _compiled_by_jax(function, model)
    return function


def _compiled_by_jax(function: Callable[..., Any], model: Any) -> Callable[..., Any]:
    import jax

    if model is None:
        return jax.jit(function)

    @jax.jit
    def with_variables(values: list[Any], *arrays: Any) -> Any:
        with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
            return function(*arrays)

    return lambda *arrays: with_variables([variable.value for variable in model.variables], *arrays)


def compiled_gradient(function: Callable[..., Any], *inputs: Spec) -> Callable[..., tuple[Any, Any]]:
    """Compile a function of arrays together with the gradient of its sum by its first argument.

    Args:
        function: takes one array for each of `inputs` and returns an array.
        *inputs: as for `compiled`.

    Returns:
        a function that returns the value of `function`, and the gradient, of the shape of the first argument.

    Raises:
        ConfigError: a backend other than TensorFlow and JAX.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def with_gradient(first: Any, *others: Any) -> tuple[Any, Any]:
            first = tf.convert_to_tensor(first)  # an array where functions run eagerly
            with tf.GradientTape() as tape:
                tape.watch(first)
                value = function(first, *others)
            return value, tape.gradient(value, first, unconnected_gradients="zero")

        return compiled(with_gradient, *inputs)
    if keras.backend.backend() == "jax":
        import jax

        def with_sum(*arguments: Any) -> tuple[Any, Any]:
            value = function(*arguments)
            return value.sum(), value

        gradient = jax.value_and_grad(with_sum, has_aux=True)

        def swapped(*arguments: Any) -> tuple[Any, Any]:
            (_, value), slope = gradient(*arguments)
            return value, slope

        return jax.jit(swapped)
    raise ConfigError(
        f"KERAS_BACKEND is {keras.backend.backend()}, expected tensorflow or jax, for gradients of images"
    )


def outside_of_graphs() -> contextlib.AbstractContextManager:
    """Return a context in which networks can be built and loaded, even while a function that needs them is compiled."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.init_scope()
    if keras.backend.backend() == "jax":
        import jax

        return jax.ensure_compile_time_eval()
    return contextlib.nullcontext()


def on_host(function: Callable[..., Any], like: Any, *inputs: Any) -> Any:
    """Call a function of NumPy arrays from inside a compiled graph; no gradient passes it.

    Args:
        function: takes and returns NumPy arrays.
        like: a tensor of the shape and dtype of its result.
        *inputs: tensors that it is given as arrays.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        result = tf.numpy_function(function, inputs, like.dtype, stateful=False)
        return tf.stop_gradient(tf.ensure_shape(result, like.shape))
    if keras.backend.backend() == "jax":
        import jax

        def of_arrays(*values: Any) -> Any:
            # JAX passes arrays of its own; computing with them would wait for the graph that waits for this function.
            return function(*map(np.asarray, values))

        shape = jax.ShapeDtypeStruct(like.shape, like.dtype)
        return jax.lax.stop_gradient(jax.pure_callback(of_arrays, shape, *inputs))
    return keras.ops.convert_to_tensor(function(*map(keras.ops.convert_to_numpy, inputs)))
