"""From the errors of cells to a map over the image.

Letters: H x W pixels of the image, h x w cells.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

Array = np.ndarray


def cell_map(errors: Sequence[Array], shape: tuple[int, int], *, places: str, power: float) -> Array:
    """Combine the errors of all directions, float64 [h, w], or [h-1, w-1] with "half_cell".

    Args:
        errors: down and up [h-1, w], right and left [h, w-1]; or one [h, w] where there are no directions.
        shape: (h, w).
        places: "cell": the mean over the directions that a cell was predicted from; "half_cell": the sum, each cropped
            to (h-1) x (w-1) from the top left, as the original does, which mixes cells that are half a cell apart.
        power: of the result.
    """
    height, width = shape
    if places == "half_cell":
        return sum(np.asarray(one, np.float64)[: height - 1, : width - 1] for one in errors) ** power
    total = np.zeros(shape)
    count = np.zeros(shape)
    whole = slice(None)
    if len(errors) == 1:
        targets = [(whole, whole)]
    else:
        first = slice(1, None)
        last = slice(None, -1)
        targets = [(first, whole), (last, whole), (whole, first), (whole, last)]
    for one, target in zip(errors, targets, strict=True):
        total[target] += one
        count[target] += 1
    return (total / count) ** power


def scaled_by(image: Array, factor: float) -> Array:
    """Resize an image uint8 [H, W, 3] bicubically; a factor of 1 returns it as it is."""
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def map_of_size(scores: Array, size: tuple[int, int]) -> Array:
    """Resize a map float32 [h, w] bilinearly to a width and height: float32 [H, W]."""
    if scores.shape == size[::-1]:
        return scores
    return np.asarray(Image.fromarray(scores.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def resized_map(cells: Array, stride: int, size: tuple[int, int]) -> Array:
    """Resize a map bilinearly to the image, float32 [H, W].

    Args:
        cells: float [h, w].
        stride: pixels of a cell.
        size: width and height of the image.
    """
    height, width = cells.shape
    large = Image.fromarray(cells.astype(np.float32)).resize(
        (width * stride, height * stride), Image.Resampling.BILINEAR
    )
    return np.asarray(large)[: size[1], : size[0]]


def centred_map(cells: Array, stride: int, size: tuple[int, int]) -> Array:
    """Enlarge a map bilinearly and centre it on zeros, as the original's code does: float32 [H, W].

    Neither smoothed nor rounded to 8 bits: whoever scores or draws a map smooths it, once.

    Args:
        cells: float [h, w], the power already taken.
        stride: pixels of a cell.
        size: width and height of the image.
    """
    height, width = cells.shape
    large = Image.fromarray(cells.astype(np.float32)).resize(
        (width * stride, height * stride), Image.Resampling.BILINEAR
    )
    canvas = np.zeros(size[::-1], np.float32)
    above, before = (max(0, (have - need) // 2) for have, need in zip(size[::-1], large.size[::-1], strict=True))
    part = np.asarray(large)[: size[1], : size[0]]
    canvas[above : above + part.shape[0], before : before + part.shape[1]] = part
    return canvas
