"""Boxes and their words drawn legibly on an image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Colours that the colour-blind can tell apart (Okabe and Ito 2008), without black and yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_SIDE = 900  # least pixels of the longer side of a drawing, so that words have room
_PAD = 4

Rectangle = tuple[float, float, float, float]


def draw_regions(image: Image.Image, boxes: np.ndarray, words: Sequence[str]) -> Image.Image:
    """Draw boxes with a label each.

    Args:
        image: RGB, any size; small ones are enlarged.
        boxes: float [N, 4], (left, top, right, bottom) in shares of the sides.
        words: N labels, each placed at its box's upper edge, or where it covers least of the others.

    Returns:
        a new RGB image whose longer side is 900 pixels or more.
    """
    scale = max(1.0, _SIDE / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    canvas = image.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(14, round(canvas.height / 42)))
    corners = boxes * np.array([canvas.width - 1, canvas.height - 1] * 2)
    for index, box in enumerate(corners):
        draw.rectangle(tuple(box), outline=_COLOURS[index % len(_COLOURS)], width=3)
    taken: list[Rectangle] = []
    for index, (box, text) in enumerate(zip(corners, words, strict=True)):
        lines = _wrap(draw, font, text, canvas.width - 2 * _PAD)
        _, _, width, height = draw.multiline_textbbox((0, 0), lines, font=font)
        label = _free_place(box, width + 2 * _PAD, height + 2 * _PAD, canvas.size, taken)
        taken.append(label)
        draw.rectangle(label, fill=_COLOURS[index % len(_COLOURS)])
        draw.multiline_text((label[0] + _PAD, label[1] + _PAD), lines, fill="white", font=font)
    return canvas


def _wrap(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str, width: float
) -> str:
    """Break a text so that no line is wider than `width`, unless one word is."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _free_place(
    box: np.ndarray, width: float, height: float, size: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle:
    """Return the place of a label: at its box's upper edge, or further down, where it covers least of the others."""
    left = float(np.clip(box[0], 0, max(size[0] - width, 0)))
    lowest = max(size[1] - height, 0)
    tops = np.unique(np.clip([box[1], box[1] - height, *np.arange(box[1], box[3], height), box[3]], 0, lowest))
    nearest_first = tops[np.argsort(np.abs(tops - box[1]), kind="stable")]
    places = [(left, float(top), left + width, float(top) + height) for top in nearest_first]
    return min(places, key=lambda place: sum(_shared_area(place, other) for other in taken))


def _shared_area(one: Rectangle, other: Rectangle) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
