"""The classes of a network: their names, and their probabilities for an image."""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from preimage.networks.image_inputs import read_batches, require_readable
from preimage.options import Progress
from vislang.core.errors import ConfigError, DataError, unknown_name
from vislang.core.model_kinds import require_kind

if TYPE_CHECKING:
    from preimage.networks.network import Network
    from vislang.images.sources import Skipped

IMAGENET = 1000  # classes; some networks have the background as one more, before them
BACKGROUND = "background"
_LABELS = "imagenet_labels.txt"  # in VISLANG_WEIGHTS, one a line


@dataclass(frozen=True)
class PredictedClass:
    """A class and its probability."""

    index: int
    name: str  # its index as text where the network has no class names
    probability: float


@dataclass(frozen=True)
class Classifications:
    """The likeliest classes of images."""

    names: tuple[str, ...]  # path or index of each image
    labels: tuple[tuple[PredictedClass, ...], ...]  # of each image the likeliest classes, the most probable first
    skipped: "tuple[Skipped, ...]" = ()  # images that could not be read


def classify_images(
    network: "Network",
    images: Any,
    *,
    top: int = 5,
    labels: str | Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Classifications:
    """Predict the likeliest classes of images.

    Args:
        network: from `load_network`, one that ends in a softmax.
        images: paths, folders, patterns, bytes, PIL images, uint8 arrays, lists of these, or float32 [B, S, S, 3].
        top: how many classes of each, the most probable first.
        labels: a text file with a class name a line; None: the network's own or ImageNet's, where they fit.
        strict: raise for the first unreadable image.
        progress: called with the number of images just classified.

    Raises:
        ConfigError: a network without classes, or `top` below 1.
        DataError: no image can be read, or labels that are not of these classes.

    Example:
        >>> found = classify_images(network, "photos/", top=1)
        >>> found.labels[0][0].name, len(found.skipped)
        ('1', 0)
    """
    require_kind(network, "network")
    if top < 1:
        raise ConfigError(f"top got {top}, expected 1 or more")
    class_labels = class_names(network, labels)
    names: list[str] = []
    predicted: list[tuple[PredictedClass, ...]] = []
    skipped: list[Skipped] = []
    for batch in read_batches(network, images, strict=strict, progress=progress):
        names += batch.names
        skipped += batch.skipped
        if not batch.names:
            continue
        for row in probabilities(network, batch.images):
            classes = []
            for index in np.argsort(-row, kind="stable")[:top].tolist():  # of equal ones the lower index first
                name = class_labels[index] if class_labels else str(index)
                classes.append(PredictedClass(index, name, float(row[index])))
            predicted.append(tuple(classes))
    require_readable(names, skipped)
    return Classifications(tuple(names), tuple(predicted), tuple(skipped))


def class_scores(network: "Network", images: np.ndarray) -> np.ndarray:
    """Return the class scores float32 [B, C] of images float [B, S, S, 3], RGB 0..255, of any size."""
    from preimage.networks.network import SCORES

    return network.encode(resized_images(images, network.size), [SCORES])[SCORES]


def resized_images(images: np.ndarray, size: int) -> np.ndarray:
    """Resize float [B, S, S, 3], RGB 0..255, to float32 [B, size, size, 3]."""
    if images.shape[1] == size:
        return np.asarray(images, np.float32)
    resized = []
    for pixels in np.clip(np.rint(images), 0, 255).astype(np.uint8):
        image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
        resized.append(np.asarray(image, np.float32))
    return np.stack(resized)


def probabilities(network: "Network", images: np.ndarray) -> np.ndarray:
    """Return the probability of each class for each image float [B, S, S, 3], float64 [B, C]; rows sum to 1."""
    require_classes(network)
    scores = class_scores(network, images).astype(np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def class_ranks(scores: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return the rank, from 0, of one class of each row of scores float [B, C], int [B]."""
    own = np.take_along_axis(scores, np.asarray(classes)[:, None], axis=1)
    return (scores > own).sum(axis=1)


def require_classes(network: "Network") -> None:
    """Refuse a network that does not end in a softmax."""
    if not network.has_classes:
        raise ConfigError(
            f"network {network.name} has no classes: it ends in the layer {network.model.layers[-1].name}, expected a"
            " softmax; choose one such as mobilenet_0.75, or train one: python -m preimage.train"
        )


def class_names(network: "Network", labels: str | Path | None = None) -> tuple[str, ...] | None:
    """Return the names of a network's classes in their order, or None where they are unknown.

    They come from `labels`, else from the network, else, where it has as many classes as ImageNet, from the file
    imagenet_labels.txt in VISLANG_WEIGHTS, or from Keras, which downloads them.

    Args:
        labels: a text file with one name a line, with or without the background first; synonyms follow commas. One that
            cannot be read or has other classes is a DataError.
    """
    require_classes(network)
    count = int(network.model.output_shape[-1])
    if labels is not None:
        return _aligned(_read_lines(Path(labels)), count, labels)
    if network.classes:
        return network.classes
    if count not in (IMAGENET, IMAGENET + 1):
        return None
    folder = os.environ.get("VISLANG_WEIGHTS")
    if folder and (Path(folder) / _LABELS).is_file():
        return class_names(network, Path(folder) / _LABELS)
    downloaded = _downloaded_names()
    if downloaded is None:
        return None
    return _aligned(downloaded, count, "Keras")


def class_index(names: Sequence[str], word: str, kind: str = "class") -> int:
    """Return the index of the class that a word names; a name may hold several, separated by commas."""
    known = []
    for index, name in enumerate(names):
        synonyms = [part.strip() for part in name.split(",")]
        if word == name or word in synonyms:
            return index
        known += synonyms
    raise unknown_name(kind, word, known, "see python -m preimage.classify --json")


def _read_lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"class names {path}: {reason}; give --labels FILE with one name a line") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _aligned(names: Sequence[str], count: int, source: str | Path) -> tuple[str, ...]:
    """Align names with classes: either may have the background before the others."""
    if len(names) == count + 1:
        names = names[1:]
    elif len(names) == count - 1:
        names = [BACKGROUND, *names]
    if len(names) != count:
        raise DataError(
            f"{source} names {len(names)} classes, the network has {count}; give --labels FILE with one name a line"
        )
    return tuple(names)


def _downloaded_names() -> list[str] | None:
    """Return the ImageNet class names of Keras; None where it cannot get them."""
    import keras

    try:
        with contextlib.redirect_stdout(sys.stderr):  # a progress bar must not mix with a command's JSON
            rows = keras.applications.imagenet_utils.decode_predictions(np.eye(IMAGENET), top=1)
    except Exception:  # urllib, ssl, json and Keras each raise their own; class indices are printed instead
        return None
    return [row[0][1].replace("_", " ") for row in rows]
