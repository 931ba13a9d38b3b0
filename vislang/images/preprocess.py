"""Preprocessing: how an image becomes the numbers that a backbone was trained on."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from vislang.core.errors import look_up
from vislang.images.decode import ImageSource, decode_image

RGB = 1
BGR = -1
TEN_CROPS = "ten-crop"
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a float32 array; the name is stored with every feature computed from it.

    A pixel becomes ((value 0..255 / divisor) - mean) / std, channel by channel, in BGR order if `step` is -1.
    """

    name: str
    # "squash": ignore the aspect ratio; "center-crop": shorter side first, then the middle; "ten-crop": also the four
    # corners, and all five mirrored, whose features are averaged
    geometry: str = "squash"
    size: int = 224  # side of the square result
    shorter_side: int = 224  # the shorter side before cropping; equals `size` when squashing
    step: int = RGB  # through the channels of an RGB image
    divisor: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


_VALUES = {
    "raw": Preprocessing("0..255"),
    "unit": Preprocessing("0..1", divisor=255.0),
    "tf": Preprocessing("-1..1", divisor=127.5, mean=(1.0, 1.0, 1.0)),
    "lite": Preprocessing("(0..255 - 127) / 128", divisor=128.0, mean=(127 / 128,) * 3),
    # ImageNet means of the Caffe models, in BGR order: Simonyan & Zisserman 2014; SqueezeNet rounds them.
    "bgr-mean": Preprocessing("BGR minus mean", step=BGR, mean=(103.939, 116.779, 123.68)),
    "bgr-104": Preprocessing("BGR minus rounded mean", step=BGR, mean=(104.0, 117.0, 123.0)),
    # The mean of illustration2vec's drawings: Saito & Matsui 2015.
    "bgr-drawn": Preprocessing("BGR minus mean", step=BGR, mean=(164.76139251, 167.47864617, 181.13838569)),
    "imagenet": Preprocessing("z-scores", divisor=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
_SIZES = (64, 96, 128, 160, 192, 224, 227, 240, 256, 260, 299, 320, 384, 448)


def _every_size() -> dict[str, Preprocessing]:
    found = {}
    for size in _SIZES:
        shorter_side = 256 if size == 227 else size * 8 // 7  # 224 of 256, the usual crop; AlexNet's 227 is also of 256
        for values, base in _VALUES.items():
            squash = f"squash-{size}-{values}/v1"
            found[squash] = replace(base, name=squash, size=size, shorter_side=size)
            for geometry in ("center-crop", TEN_CROPS):
                crop = f"{geometry}-{size}-{values}/v1"
                found[crop] = replace(base, name=crop, geometry=geometry, size=size, shorter_side=shorter_side)
    return found


PREPROCESSINGS = _every_size()


def find_preprocessing(name: str) -> Preprocessing:
    """Return a preprocessing by its name, such as "squash-224-tf/v1"."""
    return look_up(PREPROCESSINGS, name, "preprocessing", "see vislang/images/preprocess.py")


def prepare(source: ImageSource, preprocessing: Preprocessing | str, *, out: np.ndarray | None = None) -> np.ndarray:
    """Turn one image into a backbone's input; of "ten-crop", into the middle crop.

    Args:
        source: what `decode_image` takes.
        preprocessing: a preprocessing or its name.
        out: float32 [S, S, 3] to fill, such as a row of a batch; None: a new array.

    Returns:
        float32 [S, S, 3] in its channel order and range.

    Raises:
        DataError: the image cannot be decoded.
    """
    preprocessing = find_preprocessing(preprocessing) if isinstance(preprocessing, str) else preprocessing
    # Twice the final size is left to the antialiasing filter, so a large JPEG may be decoded at a fraction.
    image = decode_image(source, shorter_side=2 * preprocessing.shorter_side)
    box = None
    if preprocessing.geometry != "squash":
        box = _crop(image.size, preprocessing, 0.5, 0.5)
    return _prepared(image, box, preprocessing, out)


def prepare_ten_crops(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """Turn an RGB image into ten inputs, float32 [10, S, S, 3]: the corners and the middle, then all five mirrored."""
    places = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
    crops = [_prepared(image, _crop(image.size, preprocessing, *place), preprocessing) for place in places]
    five = np.stack(crops)
    return np.concatenate([five, five[:, :, ::-1]])


def _prepared(
    image: Image.Image, box: Box | None, preprocessing: Preprocessing, out: np.ndarray | None = None
) -> np.ndarray:
    """Resize a part of an image, None: all of it, and return its values as the network takes them."""
    side = (preprocessing.size, preprocessing.size)
    squared = image.resize(side, Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(squared)[:, :, :: preprocessing.step]  # uint8 [S, S, 3]
    values = np.divide(pixels, np.float32(preprocessing.divisor), out=out, dtype=np.float32)
    if any(preprocessing.mean):
        values -= _channels(preprocessing.mean)
    if preprocessing.std != (1.0, 1.0, 1.0):
        values /= np.array(preprocessing.std, np.float32)
    return values


def seen_part(size: tuple[int, int], preprocessing: Preprocessing | str) -> tuple[float, float, float, float]:
    """Return the part of an image of size (width, height) that a preprocessing keeps, in shares of its sides."""
    preprocessing = find_preprocessing(preprocessing) if isinstance(preprocessing, str) else preprocessing
    if preprocessing.geometry != "center-crop":
        return 0.0, 0.0, 1.0, 1.0
    (width, height) = size
    (left, top, right, bottom) = _crop(size, preprocessing, 0.5, 0.5)
    return left / width, top / height, right / width, bottom / height


def _channels(numbers: tuple[float, float, float]) -> np.ndarray:
    """Return one number where all channels share it: arithmetic with a scalar takes a third of the time."""
    if len(set(numbers)) == 1:
        return np.array(numbers[0], np.float32)
    return np.array(numbers, np.float32)


def _crop(size: tuple[int, int], preprocessing: Preprocessing, across: float, down: float) -> Box:
    """Return a square part of an image: left, top, right, bottom in its pixels.

    Resizing the part alone limits the memory of a 1x100000 strip.

    Args:
        size: width and height of the image.
        across: where the square lies, from 0 at the left edge to 1 at the right edge.
        down: the same from top to bottom.
    """
    width, height = size
    side = min(size) * preprocessing.size / preprocessing.shorter_side
    left = (width - side) * across
    top = (height - side) * down
    return left, top, left + side, top + side
