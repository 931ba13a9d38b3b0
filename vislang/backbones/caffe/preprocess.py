"""The five steps from a picture to the input of a Caffe network, as functions and as layers of the network itself.

Shorter side to 256, the middle 224 x 224, times 255, RGB to BGR, minus the mean. The mean is BGR, so the channels have
to be swapped before it is subtracted, whatever order a list of the steps may give.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from vislang.core.errors import ConfigError, DataError

MEAN_BGR = (103.939, 116.779, 123.68)  # Simonyan & Zisserman 2014, rounded by its authors
SHORTER_SIDE = 256
CROP = 224


def five_steps(image: np.ndarray, mean: Any = MEAN_BGR, *, side: int = SHORTER_SIDE, size: int = CROP) -> np.ndarray:
    """Prepare one picture.

    Args:
        image: float32 [H, W, 3], RGB, 0 to 1.
        mean: what is subtracted, BGR, 0 to 255: three numbers, or a mean picture [size, size, 3].
        side: of the shorter side after step 1.
        size: of the crop, at most `side`.

    Returns:
        float32 [size, size, 3], BGR, about -125 to 150.

    Raises:
        ConfigError: a mean of another shape, or a crop larger than the picture.
        DataError: no RGB picture.
    """
    cropped = centre_crop(shorter_side(image, side), size)
    return subtract_mean(swap_channels(times_255(cropped)), mean)


def shorter_side(image: np.ndarray, side: int = SHORTER_SIDE) -> np.ndarray:
    """Step 1: resize so that the shorter side has `side` pixels and the aspect ratio stays.

    Bilinear with half-pixel centres; the filter widens with the reduction, so that nothing aliases.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not min(image.shape):
        raise DataError(f"got an array {image.shape}, expected a picture [H, W, 3]")
    height, width = resized_size(image.shape[:2], side)
    planes = [Image.fromarray(np.ascontiguousarray(image[:, :, channel], np.float32)) for channel in range(3)]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, axis=-1)


def resized_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Give height and width after step 1; the longer side is rounded to the nearest pixel."""
    height, width = size
    shorter = min(height, width)
    return (height * side * 2 + shorter) // (2 * shorter), (width * side * 2 + shorter) // (2 * shorter)


def centre_crop(image: np.ndarray, size: int = CROP) -> np.ndarray:
    """Step 2: cut out the middle, from row ceil((H - size) / 2) and column ceil((W - size) / 2) on."""
    top = crop_start(image.shape[0], size)
    left = crop_start(image.shape[1], size)
    return image[top : top + size, left : left + size]


def crop_start(side: int, size: int) -> int:
    """Give where the crop begins on a side."""
    if size > side:
        raise ConfigError(f"a crop of {size} from a side of {side}, expected at most the side")
    return (side - size + 1) // 2


def times_255(image: np.ndarray) -> np.ndarray:
    """Step 3: from 0 to 1, to 0 to 255."""
    return image * np.float32(255)


def swap_channels(image: np.ndarray) -> np.ndarray:
    """Step 5, done fourth: RGB to BGR."""
    return image[..., ::-1]


def subtract_mean(image: np.ndarray, mean: Any = MEAN_BGR) -> np.ndarray:
    """Step 4, done last: subtract three numbers or a picture, in BGR."""
    return image - _checked_mean(mean, image.shape[0])


def embed(
    model: keras.Model,
    image_size: tuple[int, int],
    mean: Any = MEAN_BGR,
    *,
    side: int = SHORTER_SIDE,
) -> keras.Model:
    """Put the five steps in front of a network: times 255, shorter side, crop, then each channel minus its mean.

    Args:
        model: of float32 [B, S, S, 3], BGR minus mean; the crop is its S.
        image_size: height and width of the pictures.
        mean: as in `five_steps`.
        side: as in `five_steps`.

    Returns:
        A model of float32 [B, H, W, 3], RGB, 0 to 1, with the same output as `model` on `five_steps`; the gradient
        reaches the picture itself.
    """
    size = model.input_shape[1]
    image = keras.Input((*image_size, 3), name="image")
    x = keras.layers.Rescaling(255.0, name="times_255")(image)
    x = CentreCrop(size, name="centre_crop")(ShorterSide(side, name="shorter_side")(x))
    x = SubtractMean(_checked_mean(mean, size).tolist(), name="subtract_mean")(SwapChannels(name="swap_channels")(x))
    return keras.Model(image, model(x), name=f"{model.name}_on_pictures")


@keras.saving.register_keras_serializable("caffe")
class ShorterSide(keras.layers.Layer):
    """Step 1 on float32 [B, H, W, 3]; the size of the pictures must be known."""

    def __init__(self, side: int = SHORTER_SIDE, **kwargs: Any):
        super().__init__(**kwargs)
        self.side = side

    def call(self, images: Any) -> Any:
        """Resize."""
        size = resized_size(images.shape[1:3], self.side)
        return ops.image.resize(images, size, "bilinear", antialias=True, data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "side": self.side}


@keras.saving.register_keras_serializable("caffe")
class CentreCrop(keras.layers.Layer):
    """Step 2 on float32 [B, H, W, 3]; Keras' own layer rounds the other way."""

    def __init__(self, size: int = CROP, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size

    def call(self, images: Any) -> Any:
        """Crop."""
        top, left = (crop_start(side, self.size) for side in images.shape[1:3])
        return images[:, top : top + self.size, left : left + self.size]

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("caffe")
class SwapChannels(keras.layers.Layer):
    """RGB to BGR on float32 [B, H, W, 3]."""

    def call(self, images: Any) -> Any:
        """Swap."""
        return ops.flip(images, axis=-1)


@keras.saving.register_keras_serializable("caffe")
class SubtractMean(keras.layers.Layer):
    """Subtract three numbers or a picture from float32 [B, S, S, 3]."""

    def __init__(self, mean: Any = MEAN_BGR, **kwargs: Any):
        super().__init__(**kwargs)
        self.mean = mean

    def call(self, images: Any) -> Any:
        """Subtract."""
        return images - ops.convert_to_tensor(self.mean, images.dtype)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "mean": self.mean}


def _checked_mean(mean: Any, size: int) -> np.ndarray:
    array = np.asarray(mean, np.float32)
    if array.shape not in ((3,), (size, size, 3)):
        raise ConfigError(f"a mean of shape {array.shape}, expected three numbers or a picture {(size, size, 3)}")
    return array
