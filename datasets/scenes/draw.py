"""One drawn scene: coloured things placed over a background, with sentences and exact boxes and masks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from datasets.scenes.backgrounds import BACKGROUNDS, background
from datasets.scenes.captions import Writer
from datasets.scenes.shapes import COLOURS, SHAPES, SUPERSAMPLE, cut_out
from vislang.core.errors import DataError
from vislang.core.seeds import stream

SIDE = 128  # pixels of a finished scene
SCENE_SPLITS = ("train", "dev", "test")

_SIZE_RANGES = {"small": (30, 36), "medium": (42, 50), "big": (58, 68)}  # pixels of a side
_COUNT_CHANCES = (0.1, 0.42, 0.48)  # of one, two and three things
_GAP = 3  # pixels between boxes, so that no thing hides another
_CLEARLY = 10  # pixels by which "left of" must outdo "above"

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SceneObject:
    """One thing of a scene.

    Attributes:
        name: a key of `SHAPES`.
        colour: a key of `COLOURS`.
        size: "small", "medium" or "big".
        centre: (x, y) in pixels.
        box: (x0, y0, x1, y1) in pixels around the mask; x1 and y1 are outside.
        mask: bool [H, W], True where it is seen.
    """

    name: str
    colour: str
    size: str
    centre: tuple[float, float]
    box: Box
    mask: np.ndarray


@dataclass(frozen=True)
class Phrase:
    """Words of a caption that name things.

    Attributes:
        caption: which of the five.
        words: (first, after the last) in `captions[caption].split()`.
        objects: numbers of the things named.
        boxes: theirs, in the same order.
    """

    caption: int
    words: tuple[int, int]
    objects: tuple[int, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class SceneNotes:
    """All that is known about a scene.

    Attributes:
        captions: five sentences.
        objects: what is in it.
        phrases: what the words of the captions stand for.
        background: a key of `BACKGROUNDS`.
    """

    captions: tuple[str, ...]
    objects: tuple[SceneObject, ...]
    phrases: tuple[Phrase, ...]
    background: str


@dataclass(frozen=True)
class Scene(SceneNotes):
    """The notes of a scene and the picture itself.

    Attributes:
        image: uint8 [H, W, 3], RGB.
    """

    image: np.ndarray


def pairs_of_split(split: str) -> tuple[tuple[str, str], ...]:
    """Give the (colour, shape) pairs a split may show; those of two splits never meet.

    Each shape comes in five colours in train, one in dev and two in test, and each colour in every split.

    Raises:
        DataError: no such split.
    """
    if split not in SCENE_SPLITS:
        raise DataError(f"scenes have no split {split!r}, expected one of {', '.join(SCENE_SPLITS)}")
    return tuple(
        (colour, shape)
        for row, shape in enumerate(SHAPES)
        for column, colour in enumerate(COLOURS)
        # A Latin square: odd steps through 8 colours visit all of them.
        if {0: "test", 3: "test", 5: "dev"}.get((column + 3 * row) % len(COLOURS), "train") == split
    )


def draw_scene(seed: int, index: int, split: str = "train") -> Scene:
    """Draw one scene; equal arguments give equal scenes.

    Args:
        seed: of the data set.
        index: which scene of the split.
        split: decides which pairs of colour and shape may occur.
    """
    random = stream(seed, "scene", split, index)
    place = str(random.choice(list(BACKGROUNDS)))
    count = 1 + int(random.choice(3, p=_COUNT_CHANCES))
    pairs = _choose_pairs(split, count, random)
    sizes, boxes = _layout(count, random)
    canvas = background(place, SIDE * SUPERSAMPLE, random)
    alphas = [
        _paste(canvas, cut_out(shape, colour, (box[2] - box[0]) * SUPERSAMPLE, random), box)
        for (colour, shape), box in zip(pairs, boxes, strict=True)
    ]
    objects = tuple(
        _finished(colour, shape, size, alpha) for (colour, shape), size, alpha in zip(pairs, sizes, alphas, strict=True)
    )
    image = _with_grain(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), random)
    sentences = Writer(objects, place, SIDE, random).sentences()
    phrases = tuple(
        Phrase(number, (start, end), things, tuple(objects[thing].box for thing in things))
        for number, sentence in enumerate(sentences)
        for start, end, things in sentence.spans
    )
    return Scene(tuple(" ".join(sentence.words) for sentence in sentences), objects, phrases, place, image)


def _choose_pairs(split: str, count: int, random: np.random.Generator) -> list[tuple[str, str]]:
    """Choose pairs with different shapes, so that a noun names one thing."""
    pairs = pairs_of_split(split)
    chosen: list[tuple[str, str]] = []
    while len(chosen) < count:
        pair = pairs[int(random.integers(len(pairs)))]
        if pair[1] not in {shape for _, shape in chosen}:
            chosen.append(pair)
    return chosen


def _layout(count: int, random: np.random.Generator) -> tuple[list[str], list[Box]]:
    """Find sizes and boxes that do not touch and whose relations are clear."""
    while True:
        sizes = [str(random.choice(list(_SIZE_RANGES))) for _ in range(count)]
        boxes: list[Box] = []
        for size in sizes:
            side = int(random.integers(*_SIZE_RANGES[size]))
            x, y = random.integers(2, SIDE - side - 2, 2)
            boxes.append((int(x), int(y), int(x) + side, int(y) + side))
        if all(_apart(one, other) for number, one in enumerate(boxes) for other in boxes[:number]):
            return sizes, boxes


def _apart(one: Box, other: Box) -> bool:
    across = abs(one[0] + one[2] - other[0] - other[2]) / 2
    down = abs(one[1] + one[3] - other[1] - other[3]) / 2
    reach = (one[2] - one[0] + other[2] - other[0]) / 2 + _GAP
    return max(across, down) >= reach and abs(across - down) >= _CLEARLY


def _paste(canvas: Image.Image, thing: Image.Image, box: Box) -> np.ndarray:
    """Paste the thing over a soft shadow.

    Returns:
        bool [H, W], the pixels of the finished scene of which it covers at least half.
    """
    corner = (box[0] * SUPERSAMPLE, box[1] * SUPERSAMPLE)
    alpha = thing.getchannel("A")
    shadow = alpha.filter(ImageFilter.GaussianBlur(2 * SUPERSAMPLE)).point(lambda value: value * 0.35)
    canvas.paste((16, 18, 30), (corner[0] + SUPERSAMPLE, corner[1] + 2 * SUPERSAMPLE), shadow)
    canvas.paste(thing, corner, alpha)
    mask = np.zeros((SIDE, SIDE), bool)
    side = box[2] - box[0]
    mask[box[1] : box[3], box[0] : box[2]] = np.asarray(alpha.resize((side, side), Image.Resampling.BOX)) >= 128
    return mask


def _with_grain(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """Add the noise and the colour cast of a cheap camera, so that no two scenes share a pixel-exact background."""
    noise = random.normal(0, 2.0, (SIDE, SIDE, 1)) + random.normal(0, 4.0, 3)
    return np.clip(np.asarray(image, np.float64) + noise, 0, 255).astype(np.uint8)


def _finished(colour: str, shape: str, size: str, mask: np.ndarray) -> SceneObject:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return SceneObject(shape, colour, size, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), box, mask)
