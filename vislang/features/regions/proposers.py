"""Methods that propose boxes, by name, and the ones that need no trained model."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.boxes import areas
from vislang.core.errors import ConfigError, look_up
from vislang.features.regions.detector import DetectorProposer
from vislang.features.regions.proposals import Proposer
from vislang.features.regions.roi_align import roi_align

_SMALLEST = 0.01  # share of the image that a segment covers; more is the image itself
_LARGEST = 0.95
_FEWEST = 16  # pixels of the shorter side that OpenCV is given


def load_proposer(name: str) -> Proposer:
    """Make a proposer: "grid", "selective", "edges", "detector" or "detector:WHERE".

    Raises:
        ConfigError: an unknown name, or a library that is not installed.
        DataError: a detector that is missing or damaged.
    """
    kind, colon, argument = name.partition(":")
    proposer = look_up(PROPOSERS, kind, "proposals")
    if colon and kind != "detector":
        raise ConfigError(f"proposals got {name!r}; only detector takes a place, such as detector:model.pb")
    return proposer(name, argument)


class GridProposer(Proposer):
    """Boxes of several sizes and shapes on a lattice, scored by `contrast`; needs neither weights nor a library."""

    def __init__(self, name: str, argument: str):
        self._boxes = _lattice()
        super().__init__(name, hashlib.sha256(b"grid/v1").hexdigest())

    def propose(self, image: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lattice and its scores."""
        return self._boxes, contrast(grid, self._boxes)


def contrast(grid: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Score boxes by how far their mean feature is from that of a frame around them, half as wide again.

    The distance is multiplied by the fourth root of the area, which compensates the noise of small means as the number
    of samples does in a t statistic.

    Args:
        grid: float [H, W, F].
        boxes: float [K, 4] in shares of the sides, with area.

    Returns:
        float [K], 1 for the largest; 0 for boxes that leave no frame around.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.float32)
    half = (boxes[:, 2:] - boxes[:, :2]) / 4
    around = np.clip(np.concatenate([boxes[:, :2] - half, boxes[:, 2:] + half], axis=1), 0.0, 1.0)
    inside, outer = (roi_align(grid[None], one[None])[0] for one in (boxes, around))
    small = areas(boxes)[:, None]
    large = areas(around)[:, None]
    frame = (outer * large - inside * small) / np.maximum(large - small, 1e-6)
    scores = np.linalg.norm(inside - frame, axis=1) * small[:, 0] ** 0.25
    scores = np.where(large[:, 0] - small[:, 0] > 1e-3 * large[:, 0], scores, 0.0)
    return scores / max(float(scores.max(initial=0.0)), 1e-6)


def _lattice() -> np.ndarray:
    boxes = []
    for side in (0.2, 0.3, 0.45, 0.65, 0.9):
        for stretch in (0.5, 1.0, 2.0):
            width = min(1.0, side * stretch**0.5)
            height = min(1.0, side / stretch**0.5)
            for left in _starts(width):
                for top in _starts(height):
                    boxes.append((left, top, left + width, top + height))
    return np.unique(np.array(boxes, np.float32), axis=0)


def _starts(length: float) -> np.ndarray:
    return np.linspace(0.0, 1.0 - length, max(1, round((1.0 - length) / (0.4 * length)) + 1))


class SelectiveSearch(Proposer):
    """Segments merged by colour and texture (Uijlings et al. 2013), by OpenCV; scored by `contrast`, not at random."""

    def __init__(self, name: str, argument: str):
        self._cv2 = _opencv()
        super().__init__(name, _fingerprint(b"selective/v2", self._cv2))

    def propose(self, image: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return OpenCV's segments except the smallest and largest."""
        search = self._cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        pixels = _small(image)
        search.setBaseImage(pixels)
        search.switchToSelectiveSearchFast()
        boxes = np.unique(_as_shares(np.asarray(search.process()), pixels), axis=0)
        boxes = boxes[(areas(boxes) > _SMALLEST) & (areas(boxes) < _LARGEST)]
        return boxes, contrast(grid, boxes)


class EdgeBoxes(Proposer):
    """Boxes that contain whole contours (Zitnick and Dollar 2014), by OpenCV, on image gradients."""

    def __init__(self, name: str, argument: str):
        self._cv2 = _opencv()
        super().__init__(name, _fingerprint(b"edges/v2", self._cv2))

    def propose(self, image: Image.Image, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return OpenCV's boxes and scores, scaled to a maximum of 1."""
        pixels = _small(image)
        grey = self._cv2.GaussianBlur(pixels.mean(axis=-1).astype(np.float32) / 255, (0, 0), 1.5)
        down, across = np.gradient(grey)
        strength = np.hypot(down, across)
        thin = self._cv2.Canny((grey * 255).astype(np.uint8), 20, 60) > 0
        edges = np.where(thin, strength / max(float(strength.max()), 1e-6), 0.0).astype(np.float32)
        normal = np.mod(np.arctan2(down, across), np.pi).astype(np.float32)  # across the contour, as OpenCV wants it
        finder = self._cv2.ximgproc.createEdgeBoxes(maxBoxes=300, minBoxArea=200.0)
        found, scores = finder.getBoundingBoxes(edges, normal)
        boxes = _as_shares(np.asarray(found).reshape(-1, 4), pixels)
        scores = np.asarray(scores, np.float32).ravel()
        return boxes, scores / max(float(scores.max(initial=0.0)), 1e-6)


PROPOSERS: dict[str, Callable[[str, str], Proposer]] = {
    "grid": GridProposer,
    "selective": SelectiveSearch,
    "edges": EdgeBoxes,
    "detector": DetectorProposer,  # "detector:FILE.pb", "detector:FOLDER", "detector:hub:HANDLE"
}


def _opencv() -> Any:
    try:
        import cv2

        cv2.ximgproc.createEdgeBoxes  # noqa: B018  (the plain package lacks it)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "these proposals need OpenCV with its contributed modules; install them with: "
            "pip install opencv-contrib-python-headless, or take --proposals grid"
        ) from error
    return cv2


def _fingerprint(version: bytes, cv2: Any) -> str:
    return hashlib.sha256(version + cv2.__version__.encode()).hexdigest()


def _small(image: Image.Image) -> np.ndarray:
    """Return uint8 [H, W, 3], BGR, with a longer side of at most 224: both methods take time quadratic in it."""
    small = image.copy()
    small.thumbnail((224, 224), Image.Resampling.BILINEAR)
    if min(small.size) < _FEWEST:
        small = small.resize([max(side, _FEWEST) for side in small.size], Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(small)[:, :, ::-1])


def _as_shares(boxes: Sequence[Any] | np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Turn (x, y, width, height) in pixels into corners in shares of the sides."""
    rows = np.asarray(boxes, np.float32).reshape(-1, 4)
    height, width = pixels.shape[:2]
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)
    return corners / np.array([width, height, width, height], np.float32)
