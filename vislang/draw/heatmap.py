"""The one place that draws maps: laid over pictures, enlarged smoothly, and set side by side with their words."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 240  # pixels of the longer side of a tile
_LABEL = 26
_GAP = 4
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (150, 150, 150)

Box = tuple[float, float, float, float]


def enlarged(scores: np.ndarray, size: tuple[int, int], seen: Box = (0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
    """Bring a map to a picture's size, cell for cell where the cells were.

    Args:
        scores: float [R, C].
        size: width and height of the picture in pixels.
        seen: the part of the picture that the cells divide, in shares of its sides; outside of it the map is its
            smallest number.

    Returns:
        float32 [H, W].
    """
    width, height = size
    left, top, right, bottom = seen
    box = round(left * width), round(top * height), max(1, round(right * width)), max(1, round(bottom * height))
    inner = Image.fromarray(np.asarray(scores, np.float32))
    inner = inner.resize((max(1, box[2] - box[0]), max(1, box[3] - box[1])), Image.Resampling.BICUBIC)
    whole = np.full((height, width), float(np.min(scores)), np.float32)
    part = np.clip(np.asarray(inner), np.min(scores), np.max(scores))  # bicubic overshoots
    whole[box[1] : box[1] + part.shape[0], box[0] : box[0] + part.shape[1]] = part
    return whole


def overlay(picture: Image.Image, scores: np.ndarray, *, alpha: float = 0.5, colours: str = "jet") -> Image.Image:
    """Lay a map over a picture.

    Args:
        picture: RGB.
        scores: float [H, W] of the picture's size, 0 to 1; other numbers are cut off.
        alpha: how much of the colour is seen, 0 to 1.
        colours: name of a matplotlib colour map.
    """
    levels = (np.clip(scores, 0.0, 1.0) * 255).astype(np.uint8)
    return Image.blend(picture, Image.fromarray(colour_table(colours)[levels]), alpha)


def veil(scores: np.ndarray, *, side: int = 96, colours: str = "jet") -> Image.Image:
    """Give a map as a picture to lay over another: see-through where it is low, half covering where it is high.

    Args:
        scores: float [R, C], 0 to 1.
        side: pixels of the result, small: whoever shows it enlarges it.
        colours: name of a matplotlib colour map.
    """
    smooth = np.clip(enlarged(scores, (side, side)), 0.0, 1.0)
    alpha = (255 * (0.1 + 0.5 * smooth)).astype(np.uint8)
    return Image.fromarray(np.dstack([colour_table(colours)[(smooth * 255).astype(np.uint8)], alpha]))


@functools.cache
def colour_table(name: str) -> np.ndarray:
    """Give uint8 [256, 3], a matplotlib colour map; drawing through matplotlib itself takes 27 times as long."""
    import matplotlib

    return (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)


class TileSheet:
    """A sheet of equal tiles with a word under each, drawn again and again for the frames of a video.

    Args:
        words: one for each tile.
        picture_size: width and height of the pictures.
        faint: which words are written faintly, such as unknown ones.
        tile: pixels of the longer side of a tile.
        columns: tiles in a row; None: about as many as rows.
    """

    def __init__(
        self,
        words: Sequence[str],
        picture_size: tuple[int, int],
        *,
        faint: Sequence[bool] = (),
        tile: int = TILE,
        columns: int | None = None,
    ):
        scale = tile / max(picture_size)
        self.tile_size = max(1, round(picture_size[0] * scale)), max(1, round(picture_size[1] * scale))
        self.columns = columns or max(1, math.ceil(math.sqrt(len(words) * self.tile_size[1] / self.tile_size[0])))
        rows = math.ceil(len(words) / self.columns)
        across, down = self.tile_size[0] + _GAP, self.tile_size[1] + _LABEL
        self.size = _even(self.columns * across + _GAP), _even(rows * down + _GAP)
        self._places = [
            (_GAP + number % self.columns * across, _GAP + number // self.columns * down)
            for number in range(len(words))
        ]
        self._paper = self._with_words(words, list(faint) or [False] * len(words))

    def _with_words(self, words: Sequence[str], faint: Sequence[bool]) -> Image.Image:
        paper = Image.new("RGB", self.size, _PAPER)
        draw, font = ImageDraw.Draw(paper), ImageFont.load_default(16)
        for word, pale, (left, top) in zip(words, faint, self._places, strict=True):
            text = word
            while len(text) > 1 and draw.textlength(text, font=font) > self.tile_size[0]:
                text = text[:-2] + "…" if text.endswith("…") else text[:-1] + "…"
            middle = left + (self.tile_size[0] - draw.textlength(text, font=font)) / 2
            draw.text((middle, top + self.tile_size[1] + 3), text, fill=_FAINT if pale else _INK, font=font)
        return paper

    def drawn(self, tiles: Sequence[Image.Image]) -> Image.Image:
        """Give the sheet with these tiles, each of `tile_size`."""
        sheet = self._paper.copy()
        for tile, place in zip(tiles, self._places, strict=True):
            sheet.paste(tile, place)
        return sheet


def _even(length: int) -> int:
    """Round up to an even number, which video encoders need."""
    return length + length % 2
