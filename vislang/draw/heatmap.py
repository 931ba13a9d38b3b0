"""Maps as images: enlarged smoothly, blended with images, and in labelled tiles."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 240  # pixels of the longer side of a tile
_LABEL = 26
_SIDE = 96  # pixels of a transparent map, or as many as it has cells; the page enlarges it
_DENSEST = 0.65  # weight of the colour where a map is 1
_GAP = 4
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)
_FAINT = (150, 150, 150)

Box = tuple[float, float, float, float]


def enlarge(scores: np.ndarray, size: tuple[int, int], seen: Box = (0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
    """Resize a map to an image by bicubic interpolation, each cell at its place.

    Args:
        scores: float [R, C].
        size: width and height of the image in pixels.
        seen: the part of the image that the cells divide, (left, top, right, bottom) in shares of its sides; outside of
            it the map has its minimum.

    Returns:
        float32 [H, W], within the range of the scores.
    """
    width, height = size
    left = round(seen[0] * width)
    top = round(seen[1] * height)
    across = max(1, round(seen[2] * width) - left)
    down = max(1, round(seen[3] * height) - top)
    inner = Image.fromarray(np.asarray(scores, np.float32)).resize((across, down), Image.Resampling.BICUBIC)
    enlarged = np.full((height, width), float(np.min(scores)), np.float32)
    part = np.clip(np.asarray(inner), np.min(scores), np.max(scores))  # bicubic interpolation overshoots
    enlarged[top : top + down, left : left + across] = part
    return enlarged


def overlay(image: Image.Image, scores: np.ndarray, *, alpha: float = 0.5) -> Image.Image:
    """Blend an RGB image with a map in colours: float [H, W] of its size, clipped to 0..1, with weight `alpha`."""
    levels = (np.clip(scores, 0.0, 1.0) * 255).astype(np.uint8)
    return Image.blend(image, Image.fromarray(colour_table()[levels]), alpha)


def transparent_map(scores: np.ndarray) -> Image.Image:
    """Return a map, float [R, C], 0 to 1, as a square RGBA image to lay over an image, clear where it is 0."""
    side = max(_SIDE, *scores.shape)
    return tint(enlarge(scores, (side, side)))


def tint(scores: np.ndarray) -> Image.Image:
    """Return a map, float [H, W] clipped to 0..1, as an RGBA image of its size, clear where it is 0."""
    levels = (np.clip(scores, 0.0, 1.0) * 255).astype(np.uint8)
    alpha = (_DENSEST * levels).astype(np.uint8)
    return Image.fromarray(np.dstack([colour_table()[levels], alpha]))


@functools.cache
def colour_table() -> np.ndarray:
    """Return Matplotlib's colour map "jet", uint8 [256, 3]; drawing through Matplotlib takes 27 times as long."""
    import matplotlib

    return (matplotlib.colormaps["jet"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


class LabelledTiles:
    """Equal tiles with a word under each, drawn again and again for the frames of a video.

    Args:
        words: one for each tile.
        image_size: width and height of the images.
        faint: which words are drawn faintly, such as unknown ones; none: no word is.
        tile: pixels of the longer side of a tile.

    Attributes:
        tile_size: width and height of a tile.
        size: width and height of the whole, even numbers, as video encoders need them.
    """

    def __init__(
        self,
        words: Sequence[str],
        image_size: tuple[int, int],
        *,
        faint: Sequence[bool] = (),
        tile: int = TILE,
    ):
        width, height = image_size
        scale = tile / max(image_size)
        self.tile_size = (max(1, round(width * scale)), max(1, round(height * scale)))
        columns = max(1, math.ceil(math.sqrt(len(words) * self.tile_size[1] / self.tile_size[0])))
        across = self.tile_size[0] + _GAP
        down = self.tile_size[1] + _LABEL
        self._corners = []
        for index in range(len(words)):
            row, column = divmod(index, columns)
            self._corners.append((_GAP + column * across, _GAP + row * down))
        rows = math.ceil(len(words) / columns)
        self.size = (_even(columns * across + _GAP), _even(rows * down + _GAP))
        self._paper = self._draw_words(words, faint or [False] * len(words))

    def _draw_words(self, words: Sequence[str], faint: Sequence[bool]) -> Image.Image:
        paper = Image.new("RGB", self.size, _PAPER)
        draw = ImageDraw.Draw(paper)
        font = ImageFont.load_default(16)
        width, height = self.tile_size
        for word, is_faint, (left, top) in zip(words, faint, self._corners, strict=True):
            text = shortened(word, font, width)
            start = left + (width - font.getlength(text)) / 2
            draw.text((start, top + height + 3), text, fill=_FAINT if is_faint else _INK, font=font)
        return paper

    def draw(self, tiles: Sequence[Image.Image]) -> Image.Image:
        """Return the whole with these tiles, RGB images of `tile_size`."""
        sheet = self._paper.copy()
        for tile, corner in zip(tiles, self._corners, strict=True):
            sheet.paste(tile, corner)
        return sheet


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Return a text, cut and ended with "…" if it is wider than `width` pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _even(length: int) -> int:
    return length + length % 2
