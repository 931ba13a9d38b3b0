"""Caffe's layers that Keras lacks. One Caffe layer is one Keras layer, channels last, [B, H, W, C] or [B, C].

Reference: Jia et al. 2014, arXiv:1408.5093, and the sources of BVLC/caffe.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

LOWEST = float(np.finfo(np.float32).min)  # what Caffe starts a maximum from


class CaffeLayer(keras.layers.Layer):
    """A layer whose options are attributes and are stored with a model."""

    def __init__(self, options: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        self.options = options
        for name, value in options.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)  # JSON turns tuples into lists

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("caffe")
class Convolution(CaffeLayer):
    """A convolution with `pad` zeros on each side, in `groups` of channels that are convolved separately.

    The output has floor((H + 2 pad - dilation (kernel - 1) - 1) / stride) + 1 rows. Weights: kernel
    [kh, kw, C / groups, filters] and bias [filters]. Pairs of numbers are of height and width.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pad: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        options = {"filters": filters, "kernel_size": kernel_size, "strides": strides, "pad": pad}
        super().__init__({**options, "dilation": dilation, "groups": groups, "use_bias": use_bias}, **kwargs)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights, which are then read from a file."""
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        """Convolve."""
        rows, columns = self.pad
        channels = x.shape[-1]
        if rows or columns:
            x = ops.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
        if self.groups == 1:
            y = self._convolve(x, self.kernel)
        elif self.groups == channels and self.strides[0] == self.strides[1] and self.dilation == (1, 1):
            kernel = ops.reshape(self.kernel, (*self.kernel_size, channels, self.filters // channels))
            y = ops.depthwise_conv(x, kernel, self.strides, "valid", data_format="channels_last")
        else:  # TensorFlow has no grouped convolution on a CPU
            parts = ops.split(x, self.groups, -1)
            kernels = ops.split(self.kernel, self.groups, -1)
            y = ops.concatenate([self._convolve(a, b) for a, b in zip(parts, kernels, strict=True)], -1)
        if self.use_bias:
            return y + self.bias
        return y

    def _convolve(self, x: Any, kernel: Any) -> Any:
        if self.dilation == (1, 1):
            return ops.conv(x, kernel, self.strides, "valid", data_format="channels_last")
        # TensorFlow refuses strides with dilation: every position, and then each so many.
        y = ops.conv(x, kernel, 1, "valid", data_format="channels_last", dilation_rate=self.dilation)
        return y[:, :: self.strides[0], :: self.strides[1]]


def pooled_side(side: int, kernel: int, stride: int, pad: int, *, ceil: bool = True) -> int:
    """Return the number of Caffe's windows along a side: ceil((side + 2 pad - kernel) / stride) + 1.

    With padding, a last window that would start after the image is left out. `ceil` is False for `round_mode: FLOOR`.
    """
    room = side + 2 * pad - kernel
    windows = (-(-room // stride) if ceil else room // stride) + 1
    if pad and (windows - 1) * stride >= side + pad:
        return windows - 1
    return windows


@keras.saving.register_keras_serializable("caffe")
class Pooling(CaffeLayer):
    """Pooling with `pooled_side` windows, of which the last may reach over the edge.

    `method` "MAX" is over the part of a window within the image. "AVE" is the sum over that part, divided by the size
    of the window clipped to the image with its padding. Pairs of numbers are of height and width.
    """

    def __init__(
        self,
        method: str,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pad: tuple[int, int] = (0, 0),
        ceil: bool = True,
        **kwargs: Any,
    ):
        options = {"method": method, "kernel_size": kernel_size, "strides": strides, "pad": pad, "ceil": ceil}
        super().__init__(options, **kwargs)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output; a side that is not known before the call is None."""
        batch, *sides, channels = input_shape
        pooled: list[int | None] = []
        for axis, side in enumerate(sides):
            if side is None:
                pooled.append(None)
                continue
            windows = pooled_side(side, self.kernel_size[axis], self.strides[axis], self.pad[axis], ceil=self.ceil)
            pooled.append(windows)
        return (batch, *pooled, channels)

    def call(self, x: Any) -> Any:
        """Pool."""
        sides = [self._side(axis, x.shape[1 + axis]) for axis in (0, 1)]
        edges = ((0, 0), *(edge for edge, _ in sides), (0, 0))
        if self.method == "MAX":
            x = ops.pad(x, edges, constant_values=LOWEST)
            return ops.max_pool(x, self.kernel_size, self.strides, "valid", data_format="channels_last")
        mean = ops.average_pool(ops.pad(x, edges), self.kernel_size, self.strides, "valid", "channels_last")
        counts = np.outer(*(counts for _, counts in sides))[:, :, None]
        return mean * ops.cast(math.prod(self.kernel_size) / counts, mean.dtype)

    def _side(self, axis: int, side: int) -> tuple[tuple[int, int], np.ndarray]:
        """Return the padding before and after, and the number of cells of each window that an average counts."""
        kernel = self.kernel_size[axis]
        stride = self.strides[axis]
        pad = self.pad[axis]
        starts = np.arange(pooled_side(side, kernel, stride, pad, ceil=self.ceil)) * stride - pad
        behind = max(0, int(starts[-1]) + kernel - side)
        return (pad, behind), np.minimum(starts + kernel, side + pad) - starts


@keras.saving.register_keras_serializable("caffe")
class LRN(CaffeLayer):
    """Local response normalisation: x / (k + alpha / n * sum of squares)^beta.

    Across channels the sum is over the n channels around each. Within a channel it is over n x n cells around each,
    alpha is divided by n^2, and k is 1 whatever is set, as in Caffe. n is odd.

    References: Krizhevsky et al. 2012, section 3.3 (where alpha is not divided by n).
    """

    def __init__(self, n: int, alpha: float, beta: float, k: float = 1.0, within: bool = False, **kwargs: Any):
        super().__init__({"n": n, "alpha": alpha, "beta": beta, "k": k, "within": within}, **kwargs)

    def call(self, x: Any) -> Any:
        """Normalise."""
        squares = ops.square(x)
        around = self.n // 2
        if self.within:
            padded = ops.pad(squares, ((0, 0), (around, around), (around, around), (0, 0)))
            mean = ops.average_pool(padded, self.n, 1, "valid", "channels_last")
            return x * ops.power(1.0 + self.alpha * mean, -self.beta)
        padded = ops.pad(squares, ((0, 0), (0, 0), (0, 0), (around, around)))
        channels = x.shape[-1]
        total = sum(padded[..., shift : shift + channels] for shift in range(self.n))
        return x * ops.power(self.k + self.alpha / self.n * total, -self.beta)


@keras.saving.register_keras_serializable("caffe")
class InnerProduct(CaffeLayer):
    """A matrix product over the whole blob, flattened as [H, W, C]: the weights were reordered for that.

    Weights: kernel [H * W * C, units] and bias [units].
    """

    def __init__(self, units: int, use_bias: bool = True, **kwargs: Any):
        super().__init__({"units": units, "use_bias": use_bias}, **kwargs)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights, which are then read from a file."""
        shape = (math.prod(input_shape[1:]), self.units)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        """Multiply."""
        y = ops.matmul(ops.reshape(x, (-1, self.kernel.shape[0])), self.kernel)
        if self.use_bias:
            return y + self.bias
        return y


@keras.saving.register_keras_serializable("caffe")
class Scale(CaffeLayer):
    """Multiply each channel by a factor, and add a number to it if `use_bias`."""

    def __init__(self, use_bias: bool = False, **kwargs: Any):
        super().__init__({"use_bias": use_bias}, **kwargs)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Create the weights, which are then read from a file."""
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        if self.use_bias:
            self.beta = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="beta")

    def call(self, x: Any) -> Any:
        """Scale."""
        if self.use_bias:
            return x * self.gamma + self.beta
        return x * self.gamma


@keras.saving.register_keras_serializable("caffe")
class Eltwise(CaffeLayer):
    """Combine blobs of one shape elementwise: "SUM" (with `coefficients`, if there are any), "PROD" or "MAX"."""

    def __init__(self, operation: str, coefficients: tuple[float, ...] = (), **kwargs: Any):
        super().__init__({"operation": operation, "coefficients": coefficients}, **kwargs)

    def call(self, blobs: list[Any]) -> Any:
        """Combine."""
        if self.operation == "SUM" and self.coefficients:
            blobs = [blob * factor for blob, factor in zip(blobs, self.coefficients, strict=True)]
        combine = {"SUM": ops.add, "PROD": ops.multiply, "MAX": ops.maximum}[self.operation]
        result = blobs[0]
        for blob in blobs[1:]:
            result = combine(result, blob)
        return result


@keras.saving.register_keras_serializable("caffe")
class Flatten(CaffeLayer):
    """A vector in Caffe's order: [B, H, W, C] is read as [B, C, H, W]."""

    def __init__(self, **kwargs: Any):
        super().__init__({}, **kwargs)

    def call(self, x: Any) -> Any:
        """Flatten."""
        if len(x.shape) == 4:
            x = ops.transpose(x, (0, 3, 1, 2))
        return ops.reshape(x, (-1, math.prod(x.shape[1:])))
