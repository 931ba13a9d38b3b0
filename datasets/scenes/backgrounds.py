"""The places that a drawn scene can be in: eight painted backgrounds, square RGB images."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[float, float, float]


def _scaled(corners: Sequence[float], pixels: int) -> list[float]:
    """Return coordinates in pixels, from shares of the image's side."""
    return [value * pixels for value in corners]


def _ramp(pixels: int, top: Colour, bottom: Colour) -> Image.Image:
    """Return a vertical gradient from one colour to another."""
    share = np.linspace(0, 1, pixels)[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.broadcast_to(column, (pixels, pixels, 3)).astype(np.uint8))


def _ground(image: Image.Image, top: Colour, bottom: Colour, random: np.random.Generator, share: float) -> None:
    """Paint a softly waving ground over the lower part of the image."""
    pixels = image.width
    x = np.linspace(0, 2 * np.pi, pixels)
    edge = share + 0.025 * np.sin(x * random.uniform(0.6, 1.6) + random.uniform(0, 6))
    below = (np.arange(pixels)[:, None] > edge[None, :] * pixels).astype(np.uint8) * 255
    image.paste(_ramp(pixels, top, bottom), mask=Image.fromarray(below))


def _dots(
    image: Image.Image, colour: Colour, count: int, size: float, span: tuple[float, float], random: np.random.Generator
) -> None:
    """Paint dots between two heights, which are shares of the image's side, as `size` is."""
    pen = ImageDraw.Draw(image)
    for _ in range(count):
        x = random.uniform(0, 1)
        y = random.uniform(*span)
        r = size * random.uniform(0.5, 1.0)
        pen.ellipse(_scaled((x - r, y - r, x + r, y + r), image.width), fill=tuple(map(int, colour)))


def _meadow(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (128, 196, 244), (214, 238, 252))
    clouds = Image.new("L", image.size)
    pen = ImageDraw.Draw(clouds)
    for _ in range(3):
        x = random.uniform(0, 0.9)
        y = random.uniform(0.04, 0.22)
        for step in range(3):
            left = x + step * 0.06
            pen.ellipse(_scaled((left, y, left + 0.14, y + 0.09), pixels), fill=200)
    image.paste((255, 255, 255), mask=clouds.filter(ImageFilter.GaussianBlur(pixels / 70)))
    _ground(image, (146, 206, 106), (84, 158, 70), random, random.uniform(0.42, 0.55))
    return image


def _night(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (12, 16, 44), (44, 52, 104))
    _dots(image, (236, 236, 214), 45, 0.007, (0, 0.8), random)
    x = random.uniform(0.06, 0.8)
    y = random.uniform(0.04, 0.14)
    glow = Image.new("L", image.size)
    ImageDraw.Draw(glow).ellipse(_scaled((x, y, x + 0.11, y + 0.11), pixels), fill=255)
    image.paste((250, 244, 210), mask=glow.filter(ImageFilter.GaussianBlur(pixels / 90)))
    _ground(image, (26, 38, 48), (14, 22, 30), random, random.uniform(0.8, 0.88))
    return image


def _beach(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (170, 224, 248), (230, 246, 252))
    horizon = random.uniform(0.22, 0.3)
    _ground(image, (60, 164, 196), (96, 206, 214), random, horizon)
    _ground(image, (250, 250, 244), (250, 250, 244), random, horizon + 0.2)
    _ground(image, (240, 216, 160), (222, 188, 124), random, horizon + 0.23)
    _dots(image, (204, 168, 108), 40, 0.005, (0.6, 1.0), random)
    return image


def _snow(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (168, 184, 204), (208, 218, 230))
    _ground(image, (222, 230, 240), (196, 208, 226), random, random.uniform(0.45, 0.6))
    _dots(image, (255, 255, 255), 70, 0.011, (0, 1), random)
    return image


def _sunset(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (84, 48, 110), (255, 156, 84))
    x = random.uniform(0.2, 0.8)
    y = random.uniform(0.5, 0.6)
    glow = Image.new("L", image.size)
    ImageDraw.Draw(glow).ellipse(_scaled((x - 0.12, y - 0.12, x + 0.12, y + 0.12), pixels), fill=235)
    image.paste((255, 226, 130), mask=glow.filter(ImageFilter.GaussianBlur(pixels / 60)))
    _ground(image, (104, 58, 78), (58, 34, 58), random, random.uniform(0.66, 0.76))
    return image


def _sea(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (70, 186, 206), (8, 70, 122))
    rays = Image.new("L", image.size)
    pen = ImageDraw.Draw(rays)
    for left in np.arange(0.0, 1.2, 0.24) + random.uniform(-0.1, 0.1):
        corners = (left, 0, left + 0.1, 0, left - 0.08, 1, left - 0.3, 1)
        pen.polygon(_scaled(corners, pixels), fill=40)
    image.paste((255, 255, 255), mask=rays.filter(ImageFilter.GaussianBlur(pixels / 50)))
    _dots(image, (168, 226, 238), 22, 0.014, (0, 1), random)
    _ground(image, (150, 160, 130), (112, 122, 104), random, random.uniform(0.88, 0.93))
    return image


def _boards(pixels: int, random: np.random.Generator) -> Image.Image:
    image = _ramp(pixels, (180, 132, 86), (158, 110, 68))
    pen = ImageDraw.Draw(image)
    height = pixels / 6
    for row in range(7):
        top = (row - random.uniform(0.3, 0.4)) * height
        shade = int(random.integers(-12, 12))
        pen.rectangle([0, top, pixels, top + height], fill=(172 + shade, 124 + shade, 78 + shade))
        for _ in range(5):
            y = top + random.uniform(0.1, 0.9) * height
            x = random.uniform(-0.2, 0.8) * pixels
            streak = [x, y, x + random.uniform(0.1, 0.5) * pixels, y]
            pen.line(streak, fill=(150 + shade, 102 + shade, 60 + shade), width=max(1, pixels // 190))
        pen.line([0, top, pixels, top], fill=(104, 68, 40), width=max(1, pixels // 110))
    return image


def _bricks(pixels: int, random: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (pixels, pixels), (196, 192, 186))
    pen = ImageDraw.Draw(image)
    height = pixels / 9
    width = pixels / 4.5
    gap = pixels / 110
    shift = random.uniform(0, 1)
    for row in range(10):
        for column in range(-1, 7):
            left = (column + shift + (row % 2) / 2 - 1) * width
            grey = int(random.integers(128, 156))
            brick = [left + gap, row * height + gap, left + width - gap, (row + 1) * height - gap]
            pen.rounded_rectangle(brick, radius=gap * 2, fill=(grey, grey - 4, grey - 8))
    return image


# Each is called with the side in pixels and a generator that decides horizons, tones and details.
BACKGROUNDS: dict[str, Callable[[int, np.random.Generator], Image.Image]] = {
    "meadow": _meadow,
    "night": _night,
    "beach": _beach,
    "snow": _snow,
    "sunset": _sunset,
    "sea": _sea,
    "boards": _boards,
    "bricks": _bricks,
}
