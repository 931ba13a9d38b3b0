"""Images of noise in files, all of one size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int) -> None:
    """Draw noise; files of all seeds have one size."""
    noise = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(path, compress_level=0)


def draw_folder(folder: Path, names: Sequence[str]) -> Path:
    """Draw a file for each name, seeded by its place, and return the folder."""
    folder.mkdir()
    for number, name in enumerate(names):
        draw(folder / name, number)
    return folder
