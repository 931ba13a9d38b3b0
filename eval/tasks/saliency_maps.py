"""Saliency maps to score: from files, from trained models, and baselines that need no model.

References: Hou and Zhang 2007 (spectral residual); Montabone and Soto 2010 (fine-grained).
"""

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eval.metrics.fixations.evaluate import FixationProtocol, MapOf
from eval.metrics.pointing_game import centre_map
from eval.results.models import ModelInfo, model_info
from naturalness.api import load_model, unnaturalness_map
from vislang.backbones.weights import fingerprint
from vislang.core.bundled_models import find_checkpoint
from vislang.core.errors import ConfigError, DataError
from vislang.core.files import read_array
from vislang.images.decode import decode_image

_SUFFIXES = (".npy", ".png")
BOTTOM_UP = {  # name: method of cv2.saliency
    "spectral residual": "StaticSaliencySpectralResidual_create",
    "fine-grained": "StaticSaliencyFineGrained_create",
}


@dataclass(frozen=True)
class MapMethod:
    """A method that is scored, and its model if it has one."""

    map_of: MapOf
    model: ModelInfo | None = None


def find_methods(args: argparse.Namespace, image_ids: Sequence[str]) -> dict[str, MapMethod]:
    """Return all methods that the options name, one for each folder of maps and each model.

    Args:
        args: with maps, models and name.
        image_ids: of all images of the data set.

    Raises:
        DataError: not a folder.
        ConfigError: two of one name.
    """
    methods: dict[str, MapMethod] = {}
    for text in args.maps:
        name, equals, path = text.partition("=")
        folder = Path(path)
        if not equals:
            folder = Path(text)
            name = args.name or folder.resolve().name
        if not folder.is_dir():
            raise DataError(f"--maps got {folder}, expected a folder with one .npy or .png for each image")
        if name in methods:
            raise ConfigError(f"--maps got the name {name!r} twice; pass other names: --maps NAME=DIR")
        methods[name] = MapMethod(stored_maps(folder, image_ids))
    for checkpoint in args.models:
        name, method = unnaturalness_maps(checkpoint)
        if name in methods:
            raise ConfigError(f"two methods have the name {name!r}; score {checkpoint} alone, or name the maps")
        methods[name] = method
    return methods


def unnaturalness_maps(checkpoint: Path) -> tuple[str, MapMethod]:
    """Return the name of a trained model of natural images, and its maps."""
    model = load_model(checkpoint)
    weights = fingerprint(model.network.get_weights())
    info = model_info(find_checkpoint("naturalness", checkpoint), model.description, weights)
    return f"{info.preset}-{info.backbone}", MapMethod(lambda record: unnaturalness_map(model, record.path), info)


def stored_maps(folder: Path, image_ids: Sequence[str]) -> MapOf:
    """Return a function that reads the map of a record: <image id>.npy or .png, or the same without the id's suffix.

    Images that differ in their suffix alone, dog.jpg and dog.png, need maps with it: dog.jpg.npy and dog.png.npy.
    """
    same_stem = Counter(Path(image_id).with_suffix("") for image_id in image_ids)

    def map_of(record: Any) -> Any:
        name = record.image_id
        names = [name]
        stem = Path(name).with_suffix("")
        if same_stem[stem] == 1:
            name = str(stem)
            names.append(name)
        paths = [folder / f"{one}{suffix}" for one in names for suffix in _SUFFIXES]
        found = [path for path in paths if path.is_file() and not path.samefile(record.path)]
        if not found:
            raise DataError(f"{folder} holds neither {name}.npy nor {name}.png; write a map for each image")
        if len(found) > 1:
            shown = " and ".join(path.name for path in found)
            raise DataError(f"{folder} holds {shown} for {record.image_id}, expected one map; remove the others")
        return read_map(found[0])

    return map_of


def read_map(path: Path) -> np.ndarray:
    """Read a map, float64 [h, w], from a NumPy file or an image, whose channels are averaged.

    Raises:
        DataError: damaged, or not of two dimensions.
    """
    try:
        if path.suffix == ".npy":
            scores = read_array(path, "write it again").squeeze()
        else:
            with Image.open(path, formats=["PNG"]) as image:
                if image.mode not in ("L", "F") and not image.mode.startswith("I"):
                    scores = np.asarray(image.convert("RGB"), np.float64)
                else:
                    scores = np.asarray(image, np.float64)
            if scores.ndim == 3:
                scores = scores.mean(axis=2)
        if scores.ndim != 2 or scores.dtype.kind not in "fiub":
            raise ValueError(f"{scores.dtype} {list(scores.shape)}, expected numbers [height, width]")
    except Exception as error:  # NumPy and Pillow raise a dozen kinds on damaged files
        raise DataError(f"{path} is no map ({' '.join(str(error).split())}); write it again") from error
    return scores.astype(np.float64)


def baseline_methods(protocol: FixationProtocol) -> dict[str, MapMethod]:
    """Return methods without a model: uniform, the centre, OpenCV's bottom-up saliency."""
    latest: dict[str, dict[str, Any]] = {}  # of one image only: all methods are called with it one after another

    def bottom_up_map(record: Any, name: str) -> Any:
        if record.image_id not in latest:
            latest.clear()
            latest[record.image_id] = bottom_up_maps(np.asarray(decode_image(record.path)))
        return latest[record.image_id][name]

    def centre(record: Any) -> Any:
        width, height = record.size
        return centre_map(height, width, std=protocol.centre_std)

    methods = {"uniform": MapMethod(lambda record: np.zeros((1, 1))), "centre": MapMethod(centre)}
    if opencv() is not None:
        for name in BOTTOM_UP:
            methods[name] = MapMethod(functools.partial(bottom_up_map, name=name))
    return methods


@functools.cache
def opencv() -> Any:
    """Return OpenCV with its saliency module, or None after printing once what to install."""
    try:
        import cv2

        cv2.saliency  # noqa: B018  (the plain package lacks it)
    except (ImportError, AttributeError):
        print(
            "no OpenCV: bottom-up baselines are left out; pip install opencv-contrib-python-headless", file=sys.stderr
        )
        return None
    return cv2


def bottom_up_maps(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps, each float32 [H, W], 0 to 1, of an RGB image, uint8 [H, W, 3]; none without OpenCV."""
    cv2 = opencv()
    maps: dict[str, np.ndarray] = {}
    if cv2 is None:
        return maps
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    for name, method in BOTTOM_UP.items():
        saliency = getattr(cv2.saliency, method)()
        maps[name] = np.asarray(saliency.computeSaliency(bgr)[1], np.float32)
    return maps
