"""Drawn scenes as lessons for a small CNN: pictures of 64x64 and what stands in each cell of an 8x8 grid."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from datasets.scenes.backgrounds import BACKGROUNDS
from datasets.scenes.draw import SIDE, Scene, draw_scene
from datasets.scenes.shapes import COLOURS, SHAPES

_CELLS = 8
_COVERED = 0.3  # share of a cell that a thing must cover to name it
_PART = 250  # scenes that one process draws at a time


@dataclass(frozen=True)
class Lessons:
    """Drawn scenes as the network sees them, and what it should say. N scenes; class 0 of cells is "nothing".

    Attributes:
        images: uint8 [N, 64, 64, 3].
        cell_shape: int32 [N, 8, 8], 1 + number of the shape.
        cell_colour: int32 [N, 8, 8], 1 + number of the colour.
        colour_of: int32 [N, shapes], the colour of each shape, -1 where it is absent.
        background: int32 [N].
    """

    images: np.ndarray
    cell_shape: np.ndarray
    cell_colour: np.ndarray
    colour_of: np.ndarray
    background: np.ndarray


def draw_lessons(split: str, count: int, seed: int, workers: int = 2) -> Lessons:
    """Draw `count` scenes of a split and their answers; the number of processes changes the time only."""
    starts = range(0, count, _PART)
    parts = [(split, seed, start, min(start + _PART, count)) for start in starts]
    if workers < 2 or len(parts) < 2:
        drawn = [_draw_part(part) for part in parts]
    else:
        with ProcessPoolExecutor(workers) as pool:
            drawn = list(pool.map(_draw_part, parts))
    return Lessons(*(np.concatenate(arrays) for arrays in zip(*drawn, strict=True)))


def _draw_part(part: tuple[str, int, int, int]) -> tuple[np.ndarray, ...]:
    split, seed, start, stop = part
    answers = [_answers(draw_scene(seed, index, split)) for index in range(start, stop)]
    return tuple(np.stack(arrays) for arrays in zip(*answers, strict=True))


def _answers(scene: Scene) -> tuple[np.ndarray, ...]:
    """Turn one scene into the rows of `Lessons`."""
    shapes, colours, places = list(SHAPES), list(COLOURS), list(BACKGROUNDS)
    image = np.asarray(Image.fromarray(scene.image).resize((64, 64), Image.Resampling.BICUBIC))
    cell_shape, cell_colour = np.zeros((2, _CELLS, _CELLS), np.int32)
    colour_of = np.full(len(shapes), -1, np.int32)
    pixels = SIDE // _CELLS
    for thing in scene.objects:
        shape, colour = shapes.index(thing.name), colours.index(thing.colour)
        covered = thing.mask.reshape(_CELLS, pixels, _CELLS, pixels).mean(axis=(1, 3)) >= _COVERED
        cell_shape[covered], cell_colour[covered], colour_of[shape] = shape + 1, colour + 1, colour
    return image, cell_shape, cell_colour, colour_of, np.asarray(places.index(scene.background), np.int32)


def lesson_batch(
    lessons: Lessons, rows: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Give the chosen scenes varied: half of them mirrored, half in other colours, light and tint different.

    Args:
        lessons: N scenes.
        rows: int [B].
        random: decides the variation.

    Returns:
        float32 [B, 64, 64, 3] in -1..1, and the answers by head, -1 where the recolouring made them unknown:
        cell_shape and cell_colour int32 [B, 8, 8, 2], both of shape and colour; present float32 [B, shapes + colours];
        background int32 [B]; colour_of int32 [B, shapes].
    """
    mirrored, recoloured = random.random((2, len(rows))) < 0.5
    images = lessons.images[rows].astype(np.float32)
    cells = np.stack([lessons.cell_shape[rows], lessons.cell_colour[rows]], axis=-1)
    images[mirrored], cells[mirrored] = images[mirrored, :, ::-1], cells[mirrored, :, ::-1]
    images = _vary(images, recoloured, random)
    colour_of = lessons.colour_of[rows]
    shapes = np.where(recoloured[:, None], colour_of >= 0, -1)
    colours = np.where(recoloured[:, None], -1, (colour_of[:, :, None] == np.arange(len(COLOURS))).any(axis=1))
    cells[recoloured, ..., 1] = -1
    return images / 127.5 - 1, {
        "cell_shape": cells,
        "cell_colour": cells,
        "present": np.concatenate([shapes, colours], axis=1).astype(np.float32),
        "background": lessons.background[rows],
        "colour_of": np.where(recoloured[:, None], -1, colour_of),
    }


def _vary(images: np.ndarray, recoloured: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Vary light and tint a little; give the recoloured ones any hue, so that shapes are learned without colour."""
    count = len(images)
    for row in np.flatnonzero(recoloured):
        mix = random.dirichlet((0.35, 0.35, 0.35), 3)  # each new channel is a blend of the old ones, most of one
        images[row] = images[row] @ mix.T.astype(np.float32)
    gain, shift = random.uniform(0.85, 1.15, (count, 1, 1, 1)), random.normal(0, 8, (count, 1, 1, 3))
    return np.clip(images * gain + shift + random.normal(0, 4, images.shape), 0, 255).astype(np.float32)
