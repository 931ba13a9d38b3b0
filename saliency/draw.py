"""Explanations as images: a tile for each word, and videos with a timeline under their tiles."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from saliency.methods.ramanishka import SIDE, rendered
from saliency.word_maps import Explanation
from vislang.draw.heatmap import TILE, LabelledTiles, enlarge, overlay, shortened, tint
from vislang.draw.video import written_video
from vislang.images.video import sampled_frames

_CURSOR = (200, 30, 30)
_RAIL = "#DDDDDD"
_SOFT = "#666666"
_ROW = 24  # pixels of a word's row in the timeline
_CURVE = 18  # of which its curve has these
_DOT = 3
_AXIS = 26
_MARGIN = 12
_TICK = 60  # pixels between two times
_MOST_OF_WORDS = 0.4  # of the width is for words


@dataclass(frozen=True)
class _Colours:
    word: str
    line: str
    area: str


_KNOWN = _Colours("#141414", "#0072B2", "#B3D4E7")
_UNKNOWN = _Colours("#969696", "#969696", "#E4E4E4")


def draw_words(image: Image.Image, explanation: Explanation, *, tile: int = TILE) -> Image.Image:
    """Draw a tile for each word: the image under the word's map, and the word; unknown words faintly.

    Args:
        image: RGB, the image that was explained.
        tile: pixels of the longer side of a tile.
    """
    tiles = _labelled_tiles(image, explanation, tile)
    return tiles.draw(_maps_over(image, explanation, explanation.maps[0], tiles.tile_size))


def write_clip(
    path: str | Path,
    source: str | Path,
    explanation: Explanation,
    *,
    fps: float,
    tile: int = TILE,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write a video: the frames that were explained, a tile for each word, and a timeline of the words.

    Args:
        path: the video to write.
        source: the video that was explained.
        explanation: of it, at this rate.
        fps: frames per second, of both.
        tile: pixels of the longer side of a tile.
        progress: called with 1 for each frame.

    Raises:
        DataError: the video cannot be read again or not be written.
    """
    first = next(sampled_frames(source, fps)).image
    tiles = _labelled_tiles(first, explanation, tile)
    width, height = tiles.size
    timeline = draw_timeline(explanation, width)
    size = (width, height + timeline.image.height)
    with written_video(path, size, fps) as add:
        for frame, maps in zip(sampled_frames(source, fps), explanation.maps, strict=False):
            canvas = Image.new("RGB", size)
            canvas.paste(tiles.draw(_maps_over(frame.image, explanation, maps, tiles.tile_size)), (0, 0))
            canvas.paste(timeline.image, (0, height))
            across = timeline.position(frame.seconds)
            ImageDraw.Draw(canvas).line([(across, height), (across, size[1])], _CURSOR, 2)
            add(canvas)
            if progress is not None:
                progress(1)


@dataclass(frozen=True)
class Timeline:
    """The temporal saliency of words, drawn.

    Attributes:
        image: RGB, an even number of pixels high.
        left: pixel, counted from the left, of time 0.
        length: seconds of the clip, above 0.
    """

    image: Image.Image
    left: int
    length: float

    def position(self, seconds: float) -> float:
        """Return the pixel, counted from the left, of a time."""
        share = min(seconds / self.length, 1.0)
        return self.left + (self.image.width - _MARGIN - self.left) * share


def draw_timeline(explanation: Explanation, width: int) -> Timeline:
    """Draw the temporal saliency of the words over the time of the clip, a row for each, and a dot at its maximum.

    Args:
        explanation: of a clip.
        width: pixels.
    """
    font = ImageFont.load_default(13)
    words = [shortened(word, font, _MOST_OF_WORDS * width) for word in explanation.words]
    left = round(max(map(font.getlength, words))) + 2 * _MARGIN
    height = _MARGIN + _ROW * len(words) + _AXIS
    length = max(float(explanation.seconds[-1]), 1e-6)
    timeline = Timeline(Image.new("RGB", (width, height + height % 2), "white"), left, length)
    draw = ImageDraw.Draw(timeline.image)
    across = list(map(timeline.position, explanation.seconds))
    for index, word in enumerate(words):
        bottom = _MARGIN + _ROW * (index + 1)
        colours = _KNOWN
        if explanation.unknown[index]:
            colours = _UNKNOWN
        heights = bottom - _CURVE * explanation.in_time[:, index]
        curve = list(zip(across, heights, strict=True))
        draw.polygon([(across[0], bottom), *curve, (across[-1], bottom)], fill=colours.area)
        draw.line([(left, bottom), (width - _MARGIN, bottom)], fill=_RAIL)
        draw.line(curve, fill=colours.line, width=2)
        highest = curve[int(explanation.in_time[:, index].argmax())]
        draw.circle(highest, _DOT, fill=colours.line)
        draw.text((left - _MARGIN, bottom), word, fill=colours.word, font=font, anchor="rs")
    bottom = _MARGIN + _ROW * len(words)
    for seconds in _ticks(length, (width - left) // _TICK):
        place = timeline.position(seconds)
        draw.line([(place, bottom), (place, bottom + 4)], fill=_SOFT)
        text = f"{seconds:g} s"
        draw.text((min(place, width - font.getlength(text) / 2 - 2), bottom + 6), text, _SOFT, font, anchor="mt")
    return timeline


def _ticks(length: float, most: int) -> list[float]:
    """Return round times from 0 to `length` seconds, about `most` of them, and at least a tenth of a second apart."""
    wanted = max(length / max(most, 1), 0.1)
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)
    return [round(step * number, 6) for number in range(int(length / step + 1e-9) + 1)]


def _labelled_tiles(image: Image.Image, explanation: Explanation, tile: int) -> LabelledTiles:
    size = image.size
    if _is_published_size(explanation):
        size = (SIDE, SIDE)
    return LabelledTiles(explanation.words, size, faint=explanation.unknown, tile=tile)


def _maps_over(
    image: Image.Image, explanation: Explanation, maps: np.ndarray, size: tuple[int, int]
) -> list[Image.Image]:
    """Return an RGB image of a size for each of the maps [T, R, C]."""
    small = image.resize(size, Image.Resampling.BILINEAR)
    tiles = []
    for scores in maps:
        if _is_published_size(explanation):
            levels = Image.fromarray(rendered(scores)).resize(size, Image.Resampling.BILINEAR)
            tiles.append(overlay(small, np.asarray(levels) / 255.0))
        else:
            colours = tint(enlarge(scores, size, explanation.seen))
            tiles.append(small.copy())
            tiles[-1].paste(colours, mask=colours)
    return tiles


def _is_published_size(explanation: Explanation) -> bool:
    """Return whether the original's own drawing, made for 8 x 8 cells, is to be used."""
    return explanation.method == "ramanishka" and explanation.losses.shape[2:] == (8, 8)
