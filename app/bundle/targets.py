"""What the student learns: the teachers' features of each view, stored on disk.

A teacher's grid, 10x10 at 320 pixels, is standardised per channel and projected onto its leading principal directions:
some hundred numbers per cell hold most of its variance, and the targets of many views fit on a disk.
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
from vislang.core.files import UNREADABLE, whole_file, write_array
from vislang.core.seeds import stream
from vislang.images.augment import WHOLE, View, as_input, random_view, show

SIDE = 320  # pixels of a teacher's input
_NUM_FITTED = 1500  # views that the projections are fitted on
_BATCH = 32


@dataclass(frozen=True)
class TeacherProjection:
    """The map from a teacher's features to the student's targets.

    Attributes:
        mean: float32 [F].
        directions: float32 [F, K], orthogonal, divided by the standard deviations of the channels.
        explained: share of the standardised variance in these directions, 0 to 1.
    """

    mean: np.ndarray
    directions: np.ndarray
    explained: float

    def project(self, grid: np.ndarray) -> np.ndarray:
        """Project float32 [..., F] to [..., K]."""
        return (grid - self.mean) @ self.directions


def fit_projection(grids: np.ndarray, width: int) -> TeacherProjection:
    """Fit the `width` leading principal directions, in float64; channels that never change are left out.

    Args:
        grids: float32 [V, cells, F].
        width: number of directions.
    """
    rows = grids.reshape(-1, grids.shape[-1]).astype(np.float64)
    mean = rows.mean(axis=0)
    std = rows.std(axis=0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 1e-6)
    scaled = (rows - mean) * scale
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(-values)[:width]
    directions = (vectors[:, order] * scale[:, None]).astype(np.float32)
    return TeacherProjection(mean.astype(np.float32), directions, float(values[order].sum() / values.sum()))


@dataclass(frozen=True)
class TeacherTargets:
    """Images, their views, and the teachers' projected features of each view.

    Attributes:
        images: N images.
        teachers: they read 320x320 RGB in [-1, 1] and have a layer "grid" of 10x10 cells.
        widths: number of directions of each teacher.
        hints: layers of the first teacher whose activations for the first view are stored as well.
        views: number of views of each image.
        min_area: `smallest` of `random_view`.
        colour_jitter: `colours` of `random_view`.
        seed: of the views.
        folder: where the targets are stored, view by view; an interrupted `prepare` resumes after the last view.
    """

    images: Sequence[Image.Image]
    teachers: Sequence[LoadedBackbone]
    widths: tuple[int, ...]
    hints: tuple[str, ...]
    views: int
    min_area: float
    colour_jitter: float
    seed: int
    folder: Path

    def view(self, image: int, index: int) -> View:
        """Return a view of an image; equal indices give equal views."""
        return random_view(stream(self.seed, "view", image, index), self.min_area, self.colour_jitter)

    def path(self, index: int) -> Path:
        """Return the file with the targets of one view of all images: float16 [N, cells, sum of widths]."""
        return self.folder / f"view-{index:02d}.npy"

    def hint_path(self, layer: str) -> Path:
        """Return the file with a layer's activations for the first view of all images: float16 [N, h, w, C]."""
        return self.folder / f"hint-{layer}.npy"

    def prepare(self, progress: Callable[[int], None]) -> list[TeacherProjection]:
        """Compute the targets of every view that has none yet, and return the projection of each teacher.

        Args:
            progress: called with the number of views just encoded.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        projections = self._projections()
        for index in range(self.views):
            if self.path(index).is_file():
                progress(len(self.images))
            else:
                self._prepare_view(index, projections, progress)
        return projections

    def _prepare_view(
        self, index: int, projections: Sequence[TeacherProjection], progress: Callable[[int], None]
    ) -> None:
        layers: Sequence[str] = ()
        if index == 0:
            layers = self.hints
        cells: list[np.ndarray] = []
        hints: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
        views = [(image, self.view(row, index)) for row, image in enumerate(self.images)]
        for batch in self._encode(views, layers):
            cells.append(_project(projections, batch.grids).astype(np.float16))
            for layer in layers:
                hints[layer].append(batch.hints[layer].astype(np.float16))
            progress(len(batch.grids[0]))
        for layer, blocks in hints.items():
            write_array(self.hint_path(layer), np.concatenate(blocks))
        write_array(self.path(index), np.concatenate(cells))  # last: where it is, its hints are

    def full_image_targets(
        self, projections: Sequence[TeacherProjection], images: Sequence[Image.Image], name: str
    ) -> np.ndarray:
        """Return float16 [D, cells, sum of widths] of other images, not cropped; stored under `name`."""
        path = self.folder / f"whole-{name}.npy"
        if not path.is_file():
            rows = []
            for batch in self._encode([(image, WHOLE) for image in images]):
                rows.append(_project(projections, batch.grids).astype(np.float16))
            write_array(path, np.concatenate(rows))
        return np.load(path)

    def _encode(
        self, views: Sequence[tuple[Image.Image, View]], hints: Sequence[str] = ()
    ) -> Iterator["_EncodedViews"]:
        """Yield the teachers' features of the views, batch by batch; the next batch is rendered meanwhile."""

        def render(start: int) -> np.ndarray:
            return as_input(np.stack([show(image, view, SIDE) for image, view in views[start : start + _BATCH]]))

        with ThreadPoolExecutor(1) as pool:
            starts = range(0, len(views), _BATCH)
            rendered = pool.submit(render, 0)
            for start in starts:
                inputs = rendered.result()
                if start != starts[-1]:
                    rendered = pool.submit(render, start + _BATCH)
                features = self.teachers[0].encode(inputs, ["grid", *hints])
                grids = [features["grid"]]
                for teacher in self.teachers[1:]:
                    grids.append(teacher.encode(inputs, ["grid"])["grid"])
                cells = [grid.reshape(len(grid), -1, grid.shape[-1]) for grid in grids]
                yield _EncodedViews(cells, {hint: features[hint] for hint in hints})

    def _projections(self) -> list[TeacherProjection]:
        path = self.folder / "projections.npz"
        if path.is_file():
            return _read_projections(path, len(self.teachers))
        count = min(_NUM_FITTED, len(self.images))
        # The name of the stream decides which views are drawn, and so the weights of the bundled network.
        chosen = stream(self.seed, "subjects").choice(len(self.images), count, replace=False)
        batches = list(self._encode([(self.images[row], self.view(row, 0)) for row in chosen.tolist()]))
        projections = []
        for teacher, width in enumerate(self.widths):
            grids = np.concatenate([batch.grids[teacher] for batch in batches])
            projections.append(fit_projection(grids, width))
        arrays: dict[str, Any] = {}
        for teacher, projection in enumerate(projections):
            arrays[f"mean{teacher}"] = projection.mean
            arrays[f"directions{teacher}"] = projection.directions
            arrays[f"explained{teacher}"] = np.array(projection.explained)
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
        return projections


@dataclass(frozen=True)
class _EncodedViews:
    """The teachers' features of B views.

    Attributes:
        grids: float32 [B, cells, F] of each teacher.
        hints: float32 [B, h, w, C] of each hint layer of the first teacher.
    """

    grids: list[np.ndarray]
    hints: dict[str, np.ndarray]


def _read_projections(path: Path, count: int) -> list[TeacherProjection]:
    """Read what `TeacherTargets.prepare` stored.

    Raises:
        DataError: a damaged file.
    """
    projections = []
    try:
        with np.load(path, allow_pickle=False) as saved:
            for teacher in range(count):
                explained = float(saved[f"explained{teacher}"])
                projections.append(TeacherProjection(saved[f"mean{teacher}"], saved[f"directions{teacher}"], explained))
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); delete the folder to start again") from error
    return projections


def _project(projections: Sequence[TeacherProjection], grids: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 [B, cells, sum of widths] for each teacher's [B, cells, F]."""
    parts = [projection.project(grid) for projection, grid in zip(projections, grids, strict=True)]
    return np.concatenate(parts, axis=-1)
