"""The small CNN for photographs that comes with the toolkit, distilled from MobileNetV2 and MobileNet."""

from typing import Any

import keras
from keras import ops

INPUT_SIZE = 240
CELLS = 10
CHANNELS = 512
_STEMS = {160: 4, 240: 6, 320: 8}  # input size: stride of the first layer
_STAGES = ((64, 64, 1), (160, 64, 4), (320, 128, 5))  # channels, inner channels and blocks at 40, 20, 10 cells a side


def build_compact(
    size: int = INPUT_SIZE, width: float = 1.0, channels: int = CHANNELS, conv: type[keras.layers.Layer] | None = None
) -> keras.Model:
    """Build the network with fresh weights.

    Feature layers: "grid", float32 [B, 10, 10, channels], and "pooled", [B, channels], its mean and the output. All
    values are >= 0. Activations are not normalised: the network is the same in training and in use, and a training step
    takes less than half as long.

    Args:
        size: 160, 240 or 320; the grid always has 10x10 cells.
        width: multiplies the channels of all layers but the last.
        channels: of the feature layers.
        conv: the convolution, called as conv(channels, size, strides, "same", name=...); None: Keras' own. Training
            uses `StandardisedConv2D`, and `fold` turns the result into a plain network.

    Returns:
        A model of float32 [B, size, size, 3], RGB in [-1, 1].
    """
    layer = conv or keras.layers.Conv2D

    def convolve(x: Any, channels: int, size: int, stride: int, name: str, **options: Any) -> Any:
        return layer(channels, size, stride, "same", name=name, **options)(x)

    def relu(x: Any, name: str) -> Any:
        return keras.layers.ReLU(name=name)(x)

    image = keras.Input((size, size, 3), name="image")
    x = image
    for stage, (depth, inner, blocks) in enumerate(_STAGES, start=1):
        depth = _wide(depth, width)
        inner = _wide(inner, width)
        kernel, stride = (3, 2) if stage > 1 else (_STEMS[size] * 3 // 2, _STEMS[size])
        x = relu(convolve(x, depth, kernel, stride, f"stage{stage}_down"), f"stage{stage}_down_relu")
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            y = relu(convolve(x, inner, 1, 1, f"{name}_narrow"), f"{name}_narrow_relu")
            y = relu(convolve(y, inner, 3, 1, f"{name}_look"), f"{name}_look_relu")
            # A block that starts as the identity lets deep stacks train without normalisation.
            y = convolve(y, depth, 1, 1, f"{name}_widen", **({"gain": 0.0} if conv else {}))
            x = keras.layers.Add(name=f"{name}_add")([x, y])
            x = relu(x, f"stage{stage}_end" if block == blocks else f"{name}_relu")
    grid = relu(convolve(x, channels, 1, 1, "grid_conv"), "grid")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pooled")(grid), name="compact")


def _wide(channels: int, width: float) -> int:
    return max(1, round(channels * width / 16)) * 16


class StandardisedConv2D(keras.layers.Layer):
    """A convolution whose kernel has, per output channel, mean 0 and a variance of gain^2 / fan-in.

    `gain` is the initial value of the learned gain; 1.7 keeps the variance after a ReLU.

    References: Qiao et al. 2019, arXiv:1903.10520; Brock et al. 2021, arXiv:2101.08692.
    """

    def __init__(
        self, channels: int, size: int, stride: int, padding: str, *, gain: float = 1.7, name: str | None = None
    ):
        super().__init__(name=name)
        self.channels = channels
        self.size = size
        self.stride = stride
        self.padding = padding
        self.first_gain = gain

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; the kernel is a matrix, which is what Muon orthogonalises."""
        inputs = int(input_shape[-1] or 0)
        self.kernel_shape = (self.size, self.size, inputs, self.channels)
        fan_in = self.size * self.size * inputs
        normal = keras.initializers.RandomNormal(stddev=fan_in**-0.5)
        self.kernel = self.add_weight(shape=(fan_in, self.channels), initializer=normal, name="kernel")
        first_gain = keras.initializers.Constant(self.first_gain)
        self.gain = self.add_weight(shape=(self.channels,), initializer=first_gain, name="gain")
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias")

    def plain_kernel(self) -> Any:
        """Return float32 [size, size, C, channels], the standardised kernel."""
        kernel = ops.cast(self.kernel, "float32")
        mean, variance = ops.moments(kernel, axes=(0,), keepdims=True)
        kernel = (kernel - mean) * ops.rsqrt(variance * kernel.shape[0] + 1e-6) * ops.cast(self.gain, "float32")
        return ops.reshape(kernel, self.kernel_shape)

    def call(self, x: Any) -> Any:
        """Convolve."""
        kernel = ops.cast(self.plain_kernel(), x.dtype)
        return ops.conv(x, kernel, strides=self.stride, padding=self.padding) + ops.cast(self.bias, x.dtype)


def fold(trained: keras.Model, plain: keras.Model) -> keras.Model:
    """Fill a plain network with the weights of one of `StandardisedConv2D`, and return it."""
    for layer in trained.layers:
        if isinstance(layer, StandardisedConv2D):
            plain.get_layer(layer.name).set_weights([layer.plain_kernel(), layer.bias])
    return plain
