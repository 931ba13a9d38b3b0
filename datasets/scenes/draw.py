"""One drawn scene: coloured objects over a background, with sentences and exact boxes and masks."""

import itertools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from datasets.scenes.backgrounds import BACKGROUNDS
from datasets.scenes.captions import Writer
from datasets.scenes.shapes import COLOURS, SHAPES, SUPERSAMPLE, Box, SceneObject, cut_out
from vislang.core.errors import DataError
from vislang.core.seeds import stream

SIDE = 128  # pixels of a finished scene
SCENE_SPLITS = ("train", "dev", "test")

_SIZE_RANGES = {"small": (30, 36), "medium": (42, 50), "big": (58, 68)}  # pixels of a side
_COUNT_CHANCES = (0.1, 0.42, 0.48)  # of one, two and three objects
_GAP = 3  # pixels between boxes, so that no object hides another
_CLEARLY = 10  # pixels by which the offset along one axis exceeds that along the other

_HELD_OUT = {0: "test", 3: "test", 5: "dev"}  # entries of the Latin square of shapes and colours


@dataclass(frozen=True)
class Phrase:
    """Words of a caption that name objects."""

    caption: int  # index of the caption
    words: tuple[int, int]  # (first, after the last) in `captions[caption].split()`
    objects: tuple[int, ...]  # indices of the objects that they name
    boxes: tuple[Box, ...]  # their boxes, in the same order


@dataclass(frozen=True)
class SceneNotes:
    """The annotations of a scene: five captions, objects in the order of placement, and phrases of the captions."""

    captions: tuple[str, ...]
    objects: tuple[SceneObject, ...]
    phrases: tuple[Phrase, ...]
    background: str


@dataclass(frozen=True)
class Scene(SceneNotes):
    """The annotations of a scene, and its image: uint8 [H, W, 3], RGB."""

    image: np.ndarray


def pairs_of_split(split: str) -> tuple[tuple[str, str], ...]:
    """Return the (colour, shape) pairs of a split; no pair is in two splits.

    Each shape has five colours in train, one in dev and two in test, and each colour is in every split.

    Raises:
        DataError: no such split.
    """
    if split not in SCENE_SPLITS:
        raise DataError(f"scenes have no split {split!r}, expected one of {', '.join(SCENE_SPLITS)}")
    pairs = []
    for row, shape in enumerate(SHAPES):
        for column, colour in enumerate(COLOURS):
            # A Latin square: odd steps through 8 colours visit all of them.
            if _HELD_OUT.get((column + 3 * row) % len(COLOURS), "train") == split:
                pairs.append((colour, shape))
    return tuple(pairs)


def draw_scene(seed: int, index: int, split: str = "train") -> Scene:
    """Draw the scene of an index in a split, which decides the pairs of colour and shape; the same for equal arguments.

    Raises:
        DataError: no such split.
    """
    random = stream(seed, "scene", split, index)
    place = str(random.choice(list(BACKGROUNDS)))
    count = 1 + int(random.choice(3, p=_COUNT_CHANCES))
    pairs = _choose_pairs(split, count, random)
    sizes, boxes = _layout(count, random)
    canvas = BACKGROUNDS[place](SIDE * SUPERSAMPLE, random)
    objects = []
    for (colour, shape), size, box in zip(pairs, sizes, boxes, strict=True):
        mask = _paste(canvas, cut_out(shape, colour, (box[2] - box[0]) * SUPERSAMPLE, random), box)
        objects.append(_placed_object(colour, shape, size, mask))
    image = _with_grain(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), random)
    captions = []
    phrases = []
    for caption, sentence in enumerate(Writer(objects, place, SIDE, random).sentences()):
        captions.append(" ".join(sentence.words))
        for start, end, indices in sentence.spans:
            named = tuple(objects[index].box for index in indices)
            phrases.append(Phrase(caption, (start, end), indices, named))
    return Scene(tuple(captions), tuple(objects), tuple(phrases), place, image)


def _choose_pairs(split: str, count: int, random: np.random.Generator) -> list[tuple[str, str]]:
    """Choose pairs of different shapes, so that a noun names one object."""
    pairs = pairs_of_split(split)
    colour_of: dict[str, str] = {}
    while len(colour_of) < count:
        colour, shape = pairs[int(random.integers(len(pairs)))]
        colour_of.setdefault(shape, colour)
    return [(colour, shape) for shape, colour in colour_of.items()]


def _layout(count: int, random: np.random.Generator) -> tuple[list[str], list[Box]]:
    """Find sizes and boxes that do not touch and whose relations are clear."""
    while True:
        sizes = [str(random.choice(list(_SIZE_RANGES))) for _ in range(count)]
        boxes: list[Box] = []
        for size in sizes:
            side = int(random.integers(*_SIZE_RANGES[size]))
            x, y = random.integers(2, SIDE - side - 2, 2)
            boxes.append((int(x), int(y), int(x) + side, int(y) + side))
        if all(_are_apart(one, other) for one, other in itertools.combinations(boxes, 2)):
            return sizes, boxes


def _are_apart(one: Box, other: Box) -> bool:
    across = abs(one[0] + one[2] - other[0] - other[2]) / 2
    down = abs(one[1] + one[3] - other[1] - other[3]) / 2
    reach = (one[2] - one[0] + other[2] - other[0]) / 2 + _GAP
    return max(across, down) >= reach and abs(across - down) >= _CLEARLY


def _paste(canvas: Image.Image, cutout: Image.Image, box: Box) -> np.ndarray:
    """Paste an object over a soft shadow; return bool [H, W], the pixels of the finished scene that it half covers."""
    corner = (box[0] * SUPERSAMPLE, box[1] * SUPERSAMPLE)
    alpha = cutout.getchannel("A")
    shadow = alpha.filter(ImageFilter.GaussianBlur(2 * SUPERSAMPLE)).point(lambda value: value * 0.35)
    canvas.paste((16, 18, 30), (corner[0] + SUPERSAMPLE, corner[1] + 2 * SUPERSAMPLE), shadow)
    canvas.paste(cutout, corner, alpha)
    mask = np.zeros((SIDE, SIDE), bool)
    side = box[2] - box[0]
    mask[box[1] : box[3], box[0] : box[2]] = np.asarray(alpha.resize((side, side), Image.Resampling.BOX)) >= 128
    return mask


def _with_grain(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """Return uint8 [H, W, 3] with the noise and colour cast of a cheap camera: no two backgrounds are equal."""
    noise = random.normal(0, 2.0, (SIDE, SIDE, 1)) + random.normal(0, 4.0, 3)
    return np.clip(np.asarray(image, np.float64) + noise, 0, 255).astype(np.uint8)


def _placed_object(colour: str, shape: str, size: str, mask: np.ndarray) -> SceneObject:
    """Return an object with the box around its mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return SceneObject(shape, colour, size, centre, box, mask)
