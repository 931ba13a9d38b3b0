"""Drawn scenes labelled cell by cell, to train a small CNN: images of 64x64 and what each cell of an 8x8 grid shows."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from datasets.scenes.backgrounds import BACKGROUNDS
from datasets.scenes.draw import SIDE, Scene, draw_scene
from datasets.scenes.shapes import COLOURS, SHAPES

_CELLS = 8
_COVERED = 0.3  # share of a cell that an object must cover to label it
_PART = 250  # scenes that one process draws at a time


@dataclass(frozen=True)
class LabelledScenes:
    """Images and labels of N scenes. Class 0 of cells is "nothing"."""

    images: np.ndarray  # uint8 [N, 64, 64, 3], RGB
    cell_shape: np.ndarray  # int32 [N, 8, 8], 1 + index of the shape
    cell_colour: np.ndarray  # int32 [N, 8, 8], 1 + index of the colour
    colour_of: np.ndarray  # int32 [N, shapes], index of the colour of each shape, -1 where the shape is absent
    background: np.ndarray  # int32 [N], index of the background


def draw_labelled_scenes(split: str, count: int, seed: int, workers: int = 2) -> LabelledScenes:
    """Draw `count` scenes of a split with their labels; equal arguments but `workers` give equal scenes."""
    parts = [(split, seed, start, min(start + _PART, count)) for start in range(0, count, _PART)]
    if workers < 2 or len(parts) < 2:
        return _joined(list(map(_draw_part, parts)))
    with ProcessPoolExecutor(workers) as pool:
        return _joined(list(pool.map(_draw_part, parts)))


def _draw_part(part: tuple[str, int, int, int]) -> LabelledScenes:
    split, seed, start, stop = part
    return _joined([_labelled(draw_scene(seed, index, split)) for index in range(start, stop)])


def _joined(parts: list[LabelledScenes]) -> LabelledScenes:
    arrays = {}
    for field in fields(LabelledScenes):
        arrays[field.name] = np.concatenate([getattr(part, field.name) for part in parts])
    return LabelledScenes(**arrays)


def _labelled(scene: Scene) -> LabelledScenes:
    """Return the image and labels of one scene, with N = 1."""
    image = np.asarray(Image.fromarray(scene.image).resize((64, 64), Image.Resampling.BICUBIC))
    cell_shape = np.zeros((_CELLS, _CELLS), np.int32)
    cell_colour = np.zeros((_CELLS, _CELLS), np.int32)
    colour_of = np.full(len(SHAPES), -1, np.int32)
    pixels = SIDE // _CELLS
    for thing in scene.objects:
        shape = list(SHAPES).index(thing.name)
        colour = list(COLOURS).index(thing.colour)
        covered = thing.mask.reshape(_CELLS, pixels, _CELLS, pixels).mean(axis=(1, 3)) >= _COVERED
        cell_shape[covered] = shape + 1
        cell_colour[covered] = colour + 1
        colour_of[shape] = colour
    background = np.array([list(BACKGROUNDS).index(scene.background)], np.int32)
    return LabelledScenes(image[None], cell_shape[None], cell_colour[None], colour_of[None], background)


def augmented_batch(
    scenes: LabelledScenes, rows: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return augmented scenes: half of them mirrored, half recoloured, with varied brightness and tint.

    Args:
        scenes: N scenes.
        rows: int [B], which of them.
        random: decides the augmentation.

    Returns:
        float32 [B, 64, 64, 3] in -1..1, and the labels of each head, -1 where the recolouring made them unknown:
        cell_shape and cell_colour int32 [B, 8, 8, 2], both of shape and colour; present float32 [B, shapes + colours];
        background int32 [B]; colour_of int32 [B, shapes].
    """
    mirrored, recoloured = random.random((2, len(rows))) < 0.5
    images = scenes.images[rows].astype(np.float32)
    cells = np.stack([scenes.cell_shape[rows], scenes.cell_colour[rows]], axis=-1)
    images[mirrored] = images[mirrored, :, ::-1]
    cells[mirrored] = cells[mirrored, :, ::-1]
    images = _recolour(images, recoloured, random)
    colour_of = scenes.colour_of[rows]
    shapes = np.where(recoloured[:, None], colour_of >= 0, -1)
    colours = np.where(recoloured[:, None], -1, (colour_of[:, :, None] == np.arange(len(COLOURS))).any(axis=1))
    cells[recoloured, ..., 1] = -1
    return images / 127.5 - 1, {
        "cell_shape": cells,
        "cell_colour": cells,
        "present": np.concatenate([shapes, colours], axis=1).astype(np.float32),
        "background": scenes.background[rows],
        "colour_of": np.where(recoloured[:, None], -1, colour_of),
    }


def _recolour(images: np.ndarray, recoloured: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Vary brightness and tint of float32 [B, 64, 64, 3], 0..255; give the recoloured [B] images any hue."""
    count = len(images)
    for row in np.flatnonzero(recoloured):
        mix = random.dirichlet((0.35, 0.35, 0.35), 3)  # each new channel is a blend of the old ones, mostly of one
        images[row] = images[row] @ mix.T.astype(np.float32)
    gain = random.uniform(0.85, 1.15, (count, 1, 1, 1))
    shift = random.normal(0, 8, (count, 1, 1, 3))
    return np.clip(images * gain + shift + random.normal(0, 4, images.shape), 0, 255).astype(np.float32)
