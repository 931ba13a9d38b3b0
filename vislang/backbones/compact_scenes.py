"""The small CNN for drawn scenes that comes with the toolkit; it takes a millisecond."""

from pathlib import Path

import keras

INPUT_SIZE = 64
SCENES_WEIGHTS = Path(__file__).resolve().parent.parent / "pretrained" / "compact-scenes.weights.h5"


def build_compact_scenes(num_channels: int = 128) -> keras.Model:
    """Build the network with fresh weights.

    Feature layers: "grid", float32 [B, 8, 8, num_channels], and "pooled", float32 [B, num_channels], its mean and the
    output. All values are >= 0. The bundled weights, SCENES_WEIGHTS, have 128 channels.

    Returns:
        A model of float32 [B, 64, 64, 3], RGB in [-1, 1].
    """
    image = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="image")
    x = _conv(24, 5, 2, "conv1")(image)  # [B, 32, 32, 24]
    x = _conv(32, 3, 1, "conv2")(x)
    x = _conv(64, 3, 2, "conv3")(x)  # [B, 16, 16, 64]
    x = _conv(64, 3, 1, "conv4")(x)
    x = _conv(96, 3, 2, "conv5")(x)  # [B, 8, 8, 96]
    x = _conv(96, 3, 1, "conv6")(x)
    grid = _conv(num_channels, 3, 1, "grid")(x)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pooled")(grid), name="compact_scenes")


def _conv(channels: int, size: int, stride: int, name: str) -> keras.layers.Layer:
    # No batch normalisation: a frozen network is then the same in training and use, and in half precision.
    return keras.layers.Conv2D(
        channels, size, stride, padding="same", activation="relu", kernel_initializer="he_normal", name=name
    )
