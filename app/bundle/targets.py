"""What the pupil is taught: what its teachers see in each view, on disk.

A teacher's grid, 10x10 at 320 px, is standardised per channel and projected onto its leading principal directions: some
hundred numbers per cell hold most of its variance, and the lessons of many views fit on a disk.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.backbones.base import LoadedBackbone
from vislang.core.errors import DataError
from vislang.core.files import UNREADABLE, whole_file
from vislang.core.seeds import stream
from vislang.images.augment import WHOLE, View, as_input, random_view, show

SIDE = 320  # of what a teacher is shown
_FITTED_ON = 1500  # views that the directions are fitted on
_BATCH = 32


@dataclass(frozen=True)
class Subject:
    """What of one teacher is taught: (x - mean) / deviation, projected.

    Attributes:
        mean: float32 [F].
        directions: float32 [F, K], orthogonal, divided by the channels' deviations.
        kept: share of the standardised variance, 0 to 1.
    """

    mean: np.ndarray
    directions: np.ndarray
    kept: float

    def of(self, grid: np.ndarray) -> np.ndarray:
        """Project float32 [..., F] to [..., K]."""
        return (grid - self.mean) @ self.directions


def fit_subject(grids: np.ndarray, width: int) -> Subject:
    """Fit to grids, float32 [V, cells, F]; exact, in float64. Channels that never change are left out."""
    rows = grids.reshape(-1, grids.shape[-1]).astype(np.float64)
    mean = rows.mean(axis=0)
    deviation = rows.std(axis=0)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    scaled = (rows - mean) * scale
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(-values)[:width]
    directions = (vectors[:, order] * scale[:, None]).astype(np.float32)
    return Subject(mean.astype(np.float32), directions, float(values[order].sum() / values.sum()))


@dataclass(frozen=True)
class Lessons:
    """Photographs, their views, and what the teachers see in each.

    Attributes:
        images: N photographs.
        teachers: they see 320x320 RGB in [-1, 1] and have a tap "grid" of 10x10 cells.
        widths: how many directions of each teacher are taught.
        hints: layers of the first teacher, whose outputs for the first view are kept as well.
        views: how many of each photograph.
        smallest: see `random_view`.
        colours: see `random_view`.
        seed: of the views.
        folder: where the targets are kept; they are made once, view by view, and taken up when a run was stopped.
    """

    images: Sequence[Image.Image]
    teachers: Sequence[LoadedBackbone]
    widths: tuple[int, ...]
    hints: tuple[str, ...]
    views: int
    smallest: float
    colours: float
    seed: int
    folder: Path

    def view(self, image: int, number: int) -> View:
        """Give the view of an image that always has this number."""
        return random_view(stream(self.seed, "view", image, number), self.smallest, self.colours)

    def path(self, number: int) -> Path:
        """Say where the targets of one view of all images are kept: float16 [N, cells, sum of widths]."""
        return self.folder / f"view-{number:02d}.npy"

    def hint_path(self, layer: str) -> Path:
        """Say where a layer's outputs for the first view of all images are kept: float16 [N, h, w, C]."""
        return self.folder / f"hint-{layer}.npy"

    def prepare(self, progress: Callable[[int], None]) -> list[Subject]:
        """Ask the teachers about every view that has no targets yet, and give what is taught of each teacher.

        Args:
            progress: called with the number of views just dealt with.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        subjects = self._subjects()
        for number in range(self.views):
            if self.path(number).is_file():
                progress(len(self.images))
                continue
            layers = self.hints if number == 0 else ()
            rows: dict[Path, list[np.ndarray]] = {}
            for path in [*map(self.hint_path, layers), self.path(number)]:
                rows[path] = []
            shown = [(image, self.view(n, number)) for n, image in enumerate(self.images)]
            for grids, hints in self._ask(shown, layers):
                for kept, block in zip(rows.values(), [*hints, _taught(subjects, grids)], strict=True):
                    kept.append(block.astype(np.float16))
                progress(len(grids[0]))
            for path, blocks in rows.items():  # the view itself comes last: where it is, its hints are
                with whole_file(path) as part, part.open("wb") as file:
                    np.save(file, np.concatenate(blocks))
        return subjects

    def targets_of_whole(self, subjects: Sequence[Subject], images: Sequence[Image.Image], name: str) -> np.ndarray:
        """Give float16 [D, cells, sum of widths] of other photographs, shown whole and as they are; kept by `name`."""
        path = self.folder / f"whole-{name}.npy"
        if not path.is_file():
            asked = self._ask([(image, WHOLE) for image in images])
            rows = np.concatenate([_taught(subjects, grids).astype(np.float16) for grids, _ in asked])
            with whole_file(path) as part, part.open("wb") as file:
                np.save(file, rows)
        return np.load(path)

    def _ask(
        self, shown: Sequence[tuple[Image.Image, View]], hints: Sequence[str] = ()
    ) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
        """Give, block by block, for each teacher float32 [B, cells, F], and the first one's hints, [B, h, w, C].

        The next block is drawn meanwhile.
        """

        def draw(start: int) -> np.ndarray:
            return as_input(np.stack([show(image, view, SIDE) for image, view in shown[start : start + _BATCH]]))

        with ThreadPoolExecutor(1) as beside:
            starts = range(0, len(shown), _BATCH)
            drawn = beside.submit(draw, 0)
            for start in starts:
                pictures = drawn.result()
                if start != starts[-1]:
                    drawn = beside.submit(draw, start + _BATCH)
                seen = self.teachers[0].encode(pictures, ["grid", *hints])
                grids = [seen["grid"], *(teacher.encode(pictures, ["grid"])["grid"] for teacher in self.teachers[1:])]
                yield [grid.reshape(len(grid), -1, grid.shape[-1]) for grid in grids], [seen[hint] for hint in hints]

    def _subjects(self) -> list[Subject]:
        path = self.folder / "subjects.npz"
        numbers = range(len(self.teachers))
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as saved:
                    return [
                        Subject(saved[f"mean{n}"], saved[f"directions{n}"], float(saved[f"kept{n}"])) for n in numbers
                    ]
            except (*UNREADABLE, KeyError) as error:
                raise DataError(f"{path} cannot be read ({error}); delete the folder to start again") from error
        chosen = stream(self.seed, "subjects").choice(
            len(self.images), min(_FITTED_ON, len(self.images)), replace=False
        )
        asked = [grids for grids, _ in self._ask([(self.images[n], self.view(n, 0)) for n in chosen.tolist()])]
        grids = []
        for n in numbers:
            grids.append(np.concatenate([block[n] for block in asked]))
        subjects = [fit_subject(seen, width) for seen, width in zip(grids, self.widths, strict=True)]
        arrays: dict[str, Any] = {}
        for number, subject in enumerate(subjects):
            arrays[f"mean{number}"] = subject.mean
            arrays[f"directions{number}"] = subject.directions
            arrays[f"kept{number}"] = np.array(subject.kept)
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
        return subjects


def _taught(subjects: Sequence[Subject], grids: Sequence[np.ndarray]) -> np.ndarray:
    """Give float32 [B, cells, sum of widths] for each teacher's [B, cells, F]."""
    return np.concatenate([subject.of(grid) for subject, grid in zip(subjects, grids, strict=True)], axis=-1)
