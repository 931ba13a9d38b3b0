"""Images in rows, as one image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

_GAP = 4
_PAPER = 255


def image_grid(rows: Sequence[Any]) -> Image.Image:
    """Draw rows of images of one size, float or uint8 [B, S, S, 3] each, RGB 0..255; a shorter row ends in white."""
    height, width = np.asarray(rows[0]).shape[1:3]
    columns = max(map(len, rows))
    size = (len(rows) * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3)
    paper = np.full(size, _PAPER, np.uint8)
    for row, images in enumerate(rows):
        top = _GAP + row * (height + _GAP)
        for column, image in enumerate(images):
            left = _GAP + column * (width + _GAP)
            paper[top : top + height, left : left + width] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Image.fromarray(paper)
