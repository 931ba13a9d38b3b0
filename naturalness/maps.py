"""From the errors of cells to a map over the image.

Letters: H x W pixels of the image, h x w cells.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

Array = np.ndarray
_BLUR = 0.03  # standard deviation of the original's Gaussian, as a share of height and width


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


def original_map(cells: Array, stride: int, size: tuple[int, int]) -> Array:
    """Process a map as the original's code: 8 bits, enlarged, centred on zeros, blurred, 8 bits: uint8 [H, W].

    Args:
        cells: float [h, w], the power already taken.
        stride: pixels of a cell.
        size: width and height of the image, at least those of the enlarged map.
    """
    from scipy.ndimage import gaussian_filter

    levels = Image.fromarray(_eight_bits(cells))
    large = levels.resize((cells.shape[1] * stride, cells.shape[0] * stride), Image.Resampling.BILINEAR)
    canvas = np.zeros(size[::-1])
    above, before = (max(0, (have - need) // 2) for have, need in zip(size[::-1], large.size[::-1], strict=True))
    part = np.asarray(large, np.float64)[: size[1], : size[0]]
    canvas[above : above + part.shape[0], before : before + part.shape[1]] = part
    return _eight_bits(gaussian_filter(canvas, (_BLUR * size[1], _BLUR * size[0])))


def _eight_bits(values: Array) -> Array:
    low = float(values.min())
    high = float(values.max())
    return np.round((values - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)
