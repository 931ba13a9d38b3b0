"""The five steps from an image to the input of a Caffe network, as a function and as a layer in front of the network.

Shorter side to 256, the middle 224 x 224, times 255, RGB to BGR, minus the mean. The mean is BGR, so the channels are
swapped before it is subtracted, whatever order a list of the steps may give.
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
    """Prepare one image.

    Args:
        image: float32 [H, W, 3], RGB, 0 to 1.
        mean: what is subtracted, BGR, 0 to 255: three numbers, or a mean image [size, size, 3].
        side: of the shorter side after step 1.
        size: of the crop, at most `side`.

    Returns:
        float32 [size, size, 3], BGR, about -125 to 150.

    Raises:
        ConfigError: a mean of another shape, or a crop larger than the image.
        DataError: no RGB image.
    """
    cropped = centre_crop(shorter_side(image, side), size)
    return (cropped * np.float32(255))[..., ::-1] - _checked_mean(mean, size)


def shorter_side(image: np.ndarray, side: int = SHORTER_SIDE) -> np.ndarray:
    """Step 1: resize so that the shorter side has `side` pixels and the aspect ratio stays.

    Bilinear with half-pixel centres; the filter widens with the reduction, so that nothing aliases.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not min(image.shape):
        raise DataError(f"got an array {image.shape}, expected an image [H, W, 3]")
    height, width = resized_size(image.shape[:2], side)
    planes = [Image.fromarray(np.ascontiguousarray(image[:, :, channel], np.float32)) for channel in range(3)]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, axis=-1)


def resized_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width after step 1; the longer side is rounded to the nearest pixel."""
    height, width = size
    shorter = min(height, width)
    return (height * side * 2 + shorter) // (2 * shorter), (width * side * 2 + shorter) // (2 * shorter)


def centre_crop(image: np.ndarray, size: int = CROP) -> np.ndarray:
    """Step 2: cut out the middle, from row ceil((H - size) / 2) and column ceil((W - size) / 2) on."""
    top = _crop_start(image.shape[0], size)
    left = _crop_start(image.shape[1], size)
    return image[top : top + size, left : left + size]


def _crop_start(side: int, size: int) -> int:
    if size > side:
        raise ConfigError(f"a crop of {size} from a side of {side}, expected at most the side")
    return (side - size + 1) // 2


def embed(model: keras.Model, image_size: tuple[int, int]) -> keras.Model:
    """Put the five steps in front of a network; the gradient reaches the image itself.

    Args:
        model: of float32 [B, S, S, 3], BGR minus mean; the crop is its S.
        image_size: height and width of the images.

    Returns:
        A model of float32 [B, H, W, 3], RGB, 0 to 1, with the same output as `model` on `five_steps`.
    """
    image = keras.Input((*image_size, 3), name="image")
    steps = FiveSteps(size=model.input_shape[1], name="five_steps")
    return keras.Model(image, model(steps(image)), name=f"{model.name}_on_images")


@keras.saving.register_keras_serializable("caffe")
class FiveSteps(keras.layers.Layer):
    """`five_steps` on float32 [B, H, W, 3]; the size of the images must be known."""

    def __init__(self, mean: Any = MEAN_BGR, side: int = SHORTER_SIDE, size: int = CROP, **kwargs: Any):
        super().__init__(**kwargs)
        self.options = {"mean": _checked_mean(mean, size).tolist(), "side": side, "size": size}

    def call(self, images: Any) -> Any:
        """Return float32 [B, size, size, 3]."""
        height, width = resized_size(images.shape[1:3], self.options["side"])
        x = ops.image.resize(images * 255.0, (height, width), "bilinear", antialias=True, data_format="channels_last")
        size = self.options["size"]
        top = _crop_start(height, size)
        left = _crop_start(width, size)
        x = ops.flip(x[:, top : top + size, left : left + size], axis=-1)
        return x - ops.convert_to_tensor(self.options["mean"], x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), **self.options}


def _checked_mean(mean: Any, size: int) -> np.ndarray:
    array = np.asarray(mean, np.float32)
    if array.shape not in ((3,), (size, size, 3)):
        raise ConfigError(f"a mean of shape {array.shape}, expected three numbers or an image {(size, size, 3)}")
    return array
