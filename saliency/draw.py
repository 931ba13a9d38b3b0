"""Explanations as images: a tile for each word, and videos with a timeline under their tiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from saliency.methods.ramanishka import SIDE, rendered
from saliency.word_maps import Explanation
from vislang.draw.heatmap import TILE, LabelledTiles, enlarge, overlay
from vislang.draw.video import written_video
from vislang.images.video import sampled_frames

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # Okabe and Ito 2008
_CURSOR = (200, 30, 30)
_PLOT = 120  # pixels
_AXIS = 22
_MARGIN = 12
_LINE = 17


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
        length: seconds of the clip, above 0.
    """

    image: Image.Image
    length: float

    def position(self, seconds: float) -> float:
        """Return the pixel, counted from the left, of a time."""
        share = min(seconds / self.length, 1.0)
        return _MARGIN + (self.image.width - 2 * _MARGIN) * share


def draw_timeline(explanation: Explanation, width: int) -> Timeline:
    """Draw the temporal saliency of each word over the time of the clip.

    Args:
        explanation: of a clip.
        width: pixels.
    """
    font = ImageFont.load_default(13)
    corners = _legend_corners(explanation.words, width, font)
    top = corners[-1][1] + _LINE + 4
    timeline = Timeline(
        Image.new("RGB", (width, top + _PLOT + top % 2), "white"), max(float(explanation.seconds[-1]), 1e-6)
    )
    draw = ImageDraw.Draw(timeline.image)
    bottom = timeline.image.height - _AXIS
    across = list(map(timeline.position, explanation.seconds))
    for index, word in enumerate(explanation.words):
        colour = _COLOURS[index % len(_COLOURS)]
        heights = bottom - (bottom - top) * explanation.in_time[:, index]
        draw.line(list(zip(across, heights, strict=True)), fill=colour, width=2)
        draw.text(corners[index], word, fill=colour, font=font)
    right = width - _MARGIN
    draw.line([(_MARGIN, bottom), (right, bottom)], fill="grey")
    draw.text((_MARGIN, bottom + 3), "0 s", fill="grey", font=font)
    end = f"{timeline.length:.1f} s"
    draw.text((right - font.getlength(end), bottom + 3), end, fill="grey", font=font)
    return timeline


def _legend_corners(
    words: Sequence[str], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[float, int]]:
    """Return the upper left corner of each word, in lines of a width."""
    corners = []
    across = float(_MARGIN)
    down = 4
    for word in words:
        length = font.getlength(word)
        if across > _MARGIN and across + length > width - _MARGIN:
            across = float(_MARGIN)
            down += _LINE
        corners.append((across, down))
        across += length + 12
    return corners


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
            enlarged = np.asarray(levels) / 255.0
        else:
            enlarged = enlarge(scores, size, explanation.seen)
        tiles.append(overlay(small, enlarged))
    return tiles


def _is_published_size(explanation: Explanation) -> bool:
    """Return whether the original's own drawing, made for 8 x 8 cells, is to be used."""
    return explanation.method == "ramanishka" and explanation.losses.shape[2:] == (8, 8)
