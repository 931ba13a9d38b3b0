"""Random views of photographs for training: cropped, mirrored, in other light."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance


@dataclass(frozen=True)
class View:
    """One view of a photograph."""

    box: tuple[float, float, float, float]  # left, top, right, bottom of the crop, 0 to 1
    flipped: bool  # whether it is mirrored
    gains: tuple[float, float, float]  # of brightness, contrast and colour; 1 leaves them unchanged


def random_view(random: np.random.Generator, smallest: float, colours: float) -> View:
    """Draw a view of at least a share `smallest` of the area, with gains that differ from 1 by at most `colours`."""
    area = random.uniform(smallest, 1.0)
    ratio = 1.0 if smallest == 1 else np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
    width = min(1.0, (area * ratio) ** 0.5)
    height = min(1.0, (area / ratio) ** 0.5)
    left = random.uniform(0, 1 - width)
    top = random.uniform(0, 1 - height)
    brightness, contrast, colour = 1 + random.uniform(-colours, colours, 3)
    return View((left, top, left + width, top + height), bool(random.random() < 0.5), (brightness, contrast, colour))


def show(image: Image.Image, view: View, side: int) -> np.ndarray:
    """Return uint8 [side, side, 3], RGB."""
    left, top, right, bottom = view.box
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    shown = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    if view.flipped:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changes = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for change, gain in zip(changes, view.gains, strict=True):
        if gain != 1:
            shown = change(shown).enhance(gain)
    return np.asarray(shown)
