"""The objects of drawn scenes: fourteen shapes in eight colours, as softly shaded cut-outs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SUPERSAMPLE = 3  # drawn three times larger and reduced, for smooth edges

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 44, 48),
    "orange": (248, 138, 30),
    "yellow": (250, 216, 50),
    "green": (58, 176, 76),
    "blue": (44, 98, 222),
    "purple": (136, 62, 186),
    "pink": (250, 142, 186),
    "white": (246, 246, 248),
}

_BROWN = (124, 84, 52)
_DARK = (44, 46, 58)
_WINDOW = (190, 226, 246)


Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene."""

    name: str  # a key of `SHAPES`
    colour: str  # a key of `COLOURS`
    size: str  # "small", "medium" or "big"
    centre: tuple[float, float]  # (x, y) in pixels
    box: Box  # (x0, y0, x1, y1) in pixels around the mask; x1 and y1 are outside
    mask: np.ndarray  # bool [H, W], True where it is visible


class Pen:
    """Draws into a square whose corners are (0, 0) and (1, 1), y downwards, in tones of an RGB colour."""

    def __init__(self, colour: tuple[int, int, int], pixels: int):
        self.base = colour
        self.dark = tuple(int(value * 0.72) for value in colour)
        self.light = tuple(int(value + (255 - value) * 0.45) for value in colour)
        self.image = Image.new("RGBA", (pixels, pixels), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._pixels = pixels

    def oval(self, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...]) -> None:
        """Fill an ellipse."""
        self._draw.ellipse(self._scaled(x0, y0, x1, y1), fill=(*fill, 255))

    def bar(self, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...], corner: float = 0.0) -> None:
        """Fill a rectangle with corners of radius `corner`."""
        self._draw.rounded_rectangle(self._scaled(x0, y0, x1, y1), radius=corner * self._pixels, fill=(*fill, 255))

    def face(self, points: list[tuple[float, float]], fill: tuple[int, ...]) -> None:
        """Fill a polygon."""
        corners = [(x * self._pixels, y * self._pixels) for x, y in points]
        self._draw.polygon(corners, fill=(*fill, 255))

    def half(self, x0: float, y0: float, x1: float, y1: float, start: int, end: int, fill: tuple[int, ...]) -> None:
        """Fill a slice of an ellipse, in degrees clockwise from three o'clock."""
        self._draw.pieslice(self._scaled(x0, y0, x1, y1), start, end, fill=(*fill, 255))

    def _scaled(self, *corners: float) -> list[float]:
        return [value * self._pixels for value in corners]


def _ball(pen: Pen) -> None:
    pen.oval(0.06, 0.06, 0.94, 0.94, pen.base)
    pen.half(0.06, 0.06, 0.94, 0.94, 60, 120, pen.light)
    pen.half(0.06, 0.06, 0.94, 0.94, 240, 300, pen.light)
    pen.oval(0.38, 0.38, 0.62, 0.62, pen.dark)


def _box(pen: Pen) -> None:
    pen.face([(0.06, 0.32), (0.3, 0.1), (0.94, 0.1), (0.7, 0.32)], pen.light)
    pen.face([(0.7, 0.32), (0.94, 0.1), (0.94, 0.7), (0.7, 0.92)], pen.dark)
    pen.bar(0.06, 0.32, 0.7, 0.92, pen.base)


def _star(pen: Pen) -> None:
    points = []
    for step in range(10):
        angle = math.pi * step / 5 - math.pi / 2
        radius = 0.21
        if step % 2 == 0:
            radius = 0.5
        points.append((0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle)))
    pen.face(points, pen.base)
    pen.face([points[9], points[0], (0.5, 0.53)], pen.light)
    pen.face([points[1], points[2], (0.5, 0.53)], pen.light)
    pen.face([points[7], points[8], (0.5, 0.53)], pen.light)


def _heart(pen: Pen) -> None:
    points = []
    for step in range(60):
        t = 2 * math.pi * step / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((0.5 + x / 35, 0.46 - y / 35))
    pen.face(points, pen.base)
    pen.oval(0.18, 0.2, 0.38, 0.38, pen.light)


def _house(pen: Pen) -> None:
    pen.bar(0.14, 0.42, 0.86, 0.94, pen.base)
    pen.face([(0.02, 0.46), (0.5, 0.05), (0.98, 0.46)], pen.dark)
    pen.bar(0.54, 0.6, 0.74, 0.94, _BROWN)
    pen.bar(0.23, 0.56, 0.45, 0.76, _WINDOW)


def _tree(pen: Pen) -> None:
    pen.bar(0.43, 0.6, 0.57, 0.98, _BROWN)
    for x, y, radius in ((0.3, 0.48, 0.24), (0.7, 0.48, 0.24), (0.5, 0.28, 0.27), (0.5, 0.52, 0.24)):
        pen.oval(x - radius, y - radius, x + radius, y + radius, pen.base)
    pen.oval(0.32, 0.1, 0.56, 0.32, pen.light)


def _car(pen: Pen) -> None:
    pen.face([(0.2, 0.5), (0.32, 0.26), (0.68, 0.26), (0.84, 0.5)], pen.base)
    pen.face([(0.29, 0.49), (0.36, 0.32), (0.48, 0.32), (0.48, 0.49)], _WINDOW)
    pen.face([(0.53, 0.49), (0.53, 0.32), (0.65, 0.32), (0.74, 0.49)], _WINDOW)
    pen.bar(0.02, 0.47, 0.98, 0.74, pen.base, 0.08)
    for x in (0.14, 0.62):
        pen.oval(x, 0.6, x + 0.24, 0.84, _DARK)
        pen.oval(x + 0.08, 0.68, x + 0.16, 0.76, (200, 200, 206))


def _boat(pen: Pen) -> None:
    pen.bar(0.47, 0.04, 0.52, 0.68, _BROWN)
    pen.face([(0.55, 0.07), (0.94, 0.6), (0.55, 0.6)], pen.light)
    pen.face([(0.44, 0.16), (0.16, 0.6), (0.44, 0.6)], pen.light)
    pen.face([(0.03, 0.66), (0.97, 0.66), (0.78, 0.94), (0.22, 0.94)], pen.base)


def _fish(pen: Pen) -> None:
    pen.face([(0.62, 0.5), (0.98, 0.22), (0.9, 0.5), (0.98, 0.78)], pen.dark)
    pen.face([(0.3, 0.3), (0.48, 0.12), (0.62, 0.34)], pen.dark)
    pen.oval(0.02, 0.24, 0.76, 0.78, pen.base)
    pen.half(0.2, 0.36, 0.56, 0.7, 300, 60, pen.light)
    pen.oval(0.12, 0.38, 0.23, 0.49, (255, 255, 255))
    pen.oval(0.14, 0.41, 0.2, 0.47, _DARK)


def _bird(pen: Pen) -> None:
    pen.face([(0.66, 0.55), (0.99, 0.42), (0.95, 0.68)], pen.dark)
    pen.oval(0.2, 0.36, 0.8, 0.82, pen.base)
    pen.oval(0.1, 0.16, 0.46, 0.52, pen.base)
    pen.face([(0.13, 0.28), (-0.02, 0.37), (0.13, 0.42)], (240, 170, 40))
    pen.oval(0.2, 0.27, 0.28, 0.35, _DARK)
    pen.face([(0.4, 0.5), (0.76, 0.5), (0.62, 0.76)], pen.light)
    for x in (0.42, 0.56):
        pen.bar(x, 0.8, x + 0.04, 0.97, (210, 140, 40))


def _flower(pen: Pen) -> None:
    pen.bar(0.475, 0.5, 0.525, 0.98, (52, 130, 62))
    pen.half(0.24, 0.7, 0.5, 0.94, 180, 360, (66, 150, 72))
    for step in range(6):
        x = 0.5 + 0.21 * math.cos(step * math.pi / 3)
        y = 0.33 + 0.21 * math.sin(step * math.pi / 3)
        pen.oval(x - 0.14, y - 0.14, x + 0.14, y + 0.14, pen.base)
    pen.oval(0.4, 0.23, 0.6, 0.43, (120, 78, 40))


def _mushroom(pen: Pen) -> None:
    pen.bar(0.36, 0.46, 0.64, 0.94, (240, 228, 208), 0.08)
    pen.half(0.04, 0.08, 0.96, 0.98, 180, 360, pen.base)
    for x, y, radius in ((0.28, 0.38, 0.08), (0.52, 0.24, 0.09), (0.74, 0.42, 0.07)):
        pen.oval(x - radius, y - radius, x + radius, y + radius, pen.light)


def _umbrella(pen: Pen) -> None:
    pen.bar(0.475, 0.4, 0.525, 0.88, _DARK)
    pen.half(0.475, 0.78, 0.695, 0.98, 0, 180, _DARK)
    pen.half(0.525, 0.8, 0.645, 0.93, 0, 180, (230, 230, 234))
    pen.half(0.02, 0.06, 0.98, 0.98, 180, 360, pen.base)
    pen.half(0.34, 0.06, 0.66, 0.98, 180, 360, pen.light)


def _balloon(pen: Pen) -> None:
    pen.bar(0.49, 0.7, 0.515, 1.0, _DARK)
    pen.face([(0.43, 0.77), (0.57, 0.77), (0.5, 0.66)], pen.dark)
    pen.oval(0.2, 0.01, 0.8, 0.72, pen.base)
    pen.oval(0.3, 0.1, 0.44, 0.3, pen.light)


SHAPES: dict[str, Callable[[Pen], None]] = {
    "ball": _ball,
    "box": _box,
    "star": _star,
    "heart": _heart,
    "house": _house,
    "tree": _tree,
    "car": _car,
    "boat": _boat,
    "fish": _fish,
    "bird": _bird,
    "flower": _flower,
    "mushroom": _mushroom,
    "umbrella": _umbrella,
    "balloon": _balloon,
}


def cut_out(shape: str, colour: str, pixels: int, random: np.random.Generator) -> Image.Image:
    """Draw one object alone, `pixels` a side before reduction: RGBA, alpha 0 outside the object.

    `random` decides the tone (a little), rotation and direction.
    """
    tone = np.clip(np.array(COLOURS[colour]) + random.normal(0, 7, 3), 0, 255).astype(int)
    pen = Pen((int(tone[0]), int(tone[1]), int(tone[2])), pixels)
    SHAPES[shape](pen)
    image = pen.image
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(float(random.uniform(-9, 9)), Image.Resampling.BILINEAR)
    return _shaded(image)


def _shaded(image: Image.Image) -> Image.Image:
    """Light the object from the upper left, with a soft dark rim that sets it off from any background."""
    pixels = np.asarray(image, np.float32)
    rim = np.asarray(image.getchannel("A").filter(ImageFilter.GaussianBlur(image.width / 40)), np.float32) / 255
    ramp = np.linspace(1.0, -1.0, image.width, dtype=np.float32)
    light = 1.0 + 0.11 * (ramp[:, None] + ramp[None, :]) / 2
    tone = light * np.clip(0.45 + 0.55 * (rim - 0.45) / 0.4, 0.45, 1.0)
    shaded = np.clip(pixels[..., :3] * tone[..., None], 0, 255)
    return Image.fromarray(np.concatenate([shaded, pixels[..., 3:]], axis=2).astype(np.uint8), "RGBA")
