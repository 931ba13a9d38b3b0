"""Preprocessing recipes: how a picture becomes the numbers that one backbone was trained on."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from vislang.core.errors import unknown_name
from vislang.images.decode import ImageSource, decode_image

__all__ = ["RECIPES", "ImageSource", "Recipe", "decode_image", "find_recipe", "prepare", "seen_part"]

RGB = 1
BGR = -1


@dataclass(frozen=True)
class Recipe:
    """One way from a picture to a float32 array; its name is stored with every feature made through it.

    A pixel becomes ((value 0..255 / divisor) - mean) / deviation, channel by channel, in BGR order if `step` is -1.
    """

    name: str
    geometry: str = "squash"  # "squash": ignore the aspect ratio; "center-crop": shorter side first, then the middle
    size: int = 224  # side of the square result
    shorter_side: int = 224  # the shorter side before cropping; equals `size` when squashing
    step: int = RGB  # through the channels of an RGB picture
    divisor: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)


_VALUES = {
    "raw": Recipe("0..255"),
    "unit": Recipe("0..1", divisor=255.0),
    "tf": Recipe("-1..1", divisor=127.5, mean=(1.0, 1.0, 1.0)),
    # ImageNet means of the Caffe models, in BGR order: Simonyan & Zisserman 2014; SqueezeNet rounds them.
    "bgr-mean": Recipe("BGR minus mean", step=BGR, mean=(103.939, 116.779, 123.68)),
    "bgr-104": Recipe("BGR minus rounded mean", step=BGR, mean=(104.0, 117.0, 123.0)),
    # The mean of illustration2vec's drawings: Saito & Matsui 2015.
    "bgr-drawn": Recipe("BGR minus mean", step=BGR, mean=(164.76139251, 167.47864617, 181.13838569)),
    "imagenet": Recipe("z-scores", divisor=255.0, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
}
_SIZES = (64, 96, 128, 160, 192, 224, 227, 240, 256, 299, 320, 384, 448)


def _all_recipes() -> dict[str, Recipe]:
    recipes = {}
    for size in _SIZES:
        shorter_side = 256 if size == 227 else size * 8 // 7  # 224 of 256, the usual crop; AlexNet's 227 is also of 256
        for values, base in _VALUES.items():
            squash = f"squash-{size}-{values}/v1"
            crop = f"center-crop-{size}-{values}/v1"
            recipes[squash] = replace(base, name=squash, size=size, shorter_side=size)
            recipes[crop] = replace(base, name=crop, geometry="center-crop", size=size, shorter_side=shorter_side)
    return recipes


RECIPES = _all_recipes()


def find_recipe(name: str) -> Recipe:
    """Look a recipe up, such as "squash-224-tf/v1".

    Raises:
        ConfigError: no such recipe; the message names the nearest.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES, "see vislang/images/preprocess.py")
    return RECIPES[name]


def prepare(source: ImageSource, recipe: Recipe | str, *, out: np.ndarray | None = None) -> np.ndarray:
    """Turn one picture into a backbone's input.

    Args:
        source: what `decode_image` takes.
        recipe: a recipe or its name.
        out: float32 [S, S, 3] to fill, such as a place in a batch; None: a new array.

    Returns:
        float32 [S, S, 3] in the recipe's channel order and range.

    Raises:
        DataError: the picture cannot be decoded.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    # Twice the final size is left to the antialiasing filter, so a large JPEG may be decoded at a fraction.
    image = decode_image(source, shorter_side=2 * recipe.shorter_side)
    side = (recipe.size, recipe.size)
    squared = image.resize(side, Image.Resampling.BILINEAR, box=_box(image.size, recipe))
    pixels = np.asarray(squared)[:, :, :: recipe.step]  # uint8 [S, S, 3]
    values = np.divide(pixels, np.float32(recipe.divisor), out=out, dtype=np.float32)
    if any(recipe.mean):
        values -= _channels(recipe.mean)
    if recipe.deviation != (1.0, 1.0, 1.0):
        values /= np.array(recipe.deviation, np.float32)
    return values


def seen_part(size: tuple[int, int], recipe: Recipe | str) -> tuple[float, float, float, float]:
    """Give the box of a picture that a recipe lets through, in shares of its sides.

    Args:
        size: width and height of the picture.
        recipe: a recipe or its name.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    box = _box(size, recipe)
    if box is None:
        return 0.0, 0.0, 1.0, 1.0
    (width, height) = size
    (left, top, right, bottom) = box
    return left / width, top / height, right / width, bottom / height


def _channels(numbers: tuple[float, float, float]) -> np.ndarray:
    """Give one number where all channels share it: arithmetic with a scalar takes a third of the time."""
    if len(set(numbers)) == 1:
        return np.array(numbers[0], np.float32)
    return np.array(numbers, np.float32)


def _box(size: tuple[int, int], recipe: Recipe) -> tuple[float, float, float, float] | None:
    """Give the part of the picture that is kept; resizing it alone keeps a 1x100000 strip from filling the memory."""
    if recipe.geometry == "squash":
        return None
    width, height = size
    side = min(size) * recipe.size / recipe.shorter_side
    left = (width - side) / 2
    top = (height - side) / 2
    return left, top, left + side, top + side
