"""Explanations as pictures: a tile for each word of a picture, and videos with a timeline under their tiles."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from saliency.methods.ramanishka import SIDE, rendered
from saliency.word_maps import Explanation
from vislang.draw.heatmap import LabelledTiles, enlarge, overlay
from vislang.draw.video import written_video
from vislang.images.video import sampled_frames

_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # Okabe and Ito 2008
_TIMELINE, _MARGIN, _LINE = 120, 12, 17  # pixels
_CURSOR = (200, 30, 30)


def draw_words(picture: Image.Image, explanation: Explanation, *, tile: int = 240) -> Image.Image:
    """Draw a tile for each word: the picture under the word's map, and the word; unknown words faintly.

    Args:
        picture: RGB, the one that was explained.
        explanation: of it.
        tile: pixels of the longer side of a tile.
    """
    sheet = _sheet(picture, explanation, tile)
    return sheet.draw(_tiles(picture, explanation, explanation.maps[0], sheet.tile_size))


def write_clip(
    path: str | Path,
    source: str | Path,
    explanation: Explanation,
    *,
    rate: float,
    tile: int = 240,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write a video: the frames that were explained, a tile for each word, and when each word's moment is.

    Args:
        path: the video to write.
        source: the video that was explained.
        explanation: of it, at this rate.
        rate: frames a second, of both.
        tile: pixels of the longer side of a tile.
        progress: called with 1 for each frame.

    Raises:
        DataError: the video cannot be read again or not be written.
    """
    maps = explanation.maps
    first = next(sampled_frames(source, rate)).picture
    sheet = _sheet(first, explanation, tile)
    width, height = sheet.size
    timeline, place_of = draw_timeline(explanation, width)
    with written_video(path, (width, height + timeline.height), rate) as add:
        for frame, of_frame in zip(sampled_frames(source, rate), maps, strict=False):
            canvas = Image.new("RGB", (width, height + timeline.height))
            canvas.paste(sheet.draw(_tiles(frame.picture, explanation, of_frame, sheet.tile_size)), (0, 0))
            canvas.paste(timeline, (0, height))
            across = place_of(frame.seconds)
            ImageDraw.Draw(canvas).line([(across, height), (across, height + timeline.height)], _CURSOR, 2)
            add(canvas)
            if progress is not None:
                progress(1)


def draw_timeline(explanation: Explanation, width: int) -> tuple[Image.Image, Callable[[float], float]]:
    """Draw the temporal saliency of each word over the time of the clip.

    Args:
        explanation: of a clip.
        width: pixels.

    Returns:
        the picture, and a function from seconds to the place across in it.
    """
    font = ImageFont.load_default(13)
    legend, top = _legend(explanation.words, width, font)
    canvas = Image.new("RGB", (width, top + _TIMELINE + top % 2), "white")
    draw = ImageDraw.Draw(canvas)
    left, right, bottom = _MARGIN, width - _MARGIN, canvas.height - 22
    length = max(float(explanation.seconds[-1]), 1e-6)

    def place_of(seconds: float) -> float:
        return left + (right - left) * min(seconds / length, 1.0)

    for (word, place, colour), values in zip(legend, explanation.in_time.T, strict=True):
        heights = bottom - (bottom - top) * values
        draw.line(list(zip(map(place_of, explanation.seconds), heights, strict=True)), fill=colour, width=2)
        draw.text(place, word, fill=colour, font=font)
    draw.line([(left, bottom), (right, bottom)], fill="grey")
    draw.text((left, bottom + 3), "0 s", fill="grey", font=font)
    end = f"{length:.1f} s"
    draw.text((right - font.getlength(end), bottom + 3), end, fill="grey", font=font)
    return canvas, place_of


def _legend(
    words: Sequence[str], width: int, font: ImageFont.FreeTypeFont
) -> tuple[list[tuple[str, tuple[float, int], str]], int]:
    """Give each word with its place and colour, in lines of a width, and where the last line ends."""
    across, down, placed = float(_MARGIN), 4, []
    for number, word in enumerate(words):
        if across > _MARGIN and across + font.getlength(word) > width - _MARGIN:
            across, down = float(_MARGIN), down + _LINE
        placed.append((word, (across, down), _LINES[number % len(_LINES)]))
        across += font.getlength(word) + 12
    return placed, down + _LINE + 4


def _sheet(picture: Image.Image, explanation: Explanation, tile: int) -> LabelledTiles:
    size = (SIDE, SIDE) if _is_published_size(explanation) else picture.size
    return LabelledTiles(explanation.words, size, faint=explanation.unknown, tile=tile)


def _tiles(
    picture: Image.Image, explanation: Explanation, maps: np.ndarray, size: tuple[int, int]
) -> list[Image.Image]:
    """Give a tile for each map [T, R, C]."""
    small = picture.resize(size, Image.Resampling.BILINEAR)
    if _is_published_size(explanation):
        return [overlay(small, _resized(rendered(one), size)) for one in maps]
    return [overlay(small, enlarge(one, size, explanation.seen)) for one in maps]


def _is_published_size(explanation: Explanation) -> bool:
    """Say whether the original's own drawing, made for 8 x 8 cells, is to be used."""
    return explanation.method == "original" and explanation.losses.shape[2:] == (8, 8)


def _resized(levels: np.ndarray, size: tuple[int, int]) -> Any:
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR)) / 255.0
