"""The classes of a network: what they are called, and how likely each is for a picture."""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vislang.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from preimage.networks.network import Network

IMAGENET = 1000  # classes; some networks have the background as one more, before them
BACKGROUND = "background"
_LABELS = "imagenet_labels.txt"  # in VISLANG_WEIGHTS, one a line


@dataclass(frozen=True)
class Guess:
    """A class that a network chose.

    Attributes:
        number: of the class, from 0.
        name: of the class; its number in words where nobody named it.
        probability: 0..1.
    """

    number: int
    name: str
    probability: float


def classify(
    network: "Network", pictures: np.ndarray, *, top: int = 5, names: Sequence[str] | None = None
) -> list[list[Guess]]:
    """Give the likeliest classes of pictures.

    Args:
        network: see `preimage.networks.network`.
        pictures: float32 [B, S, S, 3], RGB 0..255.
        top: how many; no more than there are.
        names: of all classes, see `class_names`; None: their numbers.

    Returns:
        for each picture `top` guesses, the likeliest first; of equal ones the class of the lower number.

    Raises:
        ConfigError: a network without classes, or `top` below 1.
    """
    if top < 1:
        raise ConfigError(f"top got {top}, expected 1 or more")
    found = []
    for row in probabilities(network, pictures):
        order = np.argsort(-row, kind="stable")[:top]
        found.append([Guess(int(k), names[k] if names else str(k), float(row[k])) for k in order])
    return found


def probabilities(network: "Network", pictures: np.ndarray) -> np.ndarray:
    """Give the probability of each class for each picture, float64 [B, C]; rows sum to 1.

    Raises:
        ConfigError: a network without classes.
    """
    from preimage.networks.network import SCORES

    require_classes(network)
    scores = network.encode(pictures, [SCORES])[SCORES].astype(np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def require_classes(network: "Network") -> None:
    """Refuse a network that does not end in a softmax.

    Raises:
        ConfigError: it does not.
    """
    if not network.has_classes:
        raise ConfigError(
            f"network {network.name} has no classes: it ends in the layer {network.model.layers[-1].name}, expected a"
            " softmax; choose one such as mobilenet_0.75, or train one: python -m preimage.train"
        )


def class_names(network: "Network", labels: str | Path | None = None) -> tuple[str, ...] | None:
    """Give the names of a network's classes in their order.

    They come from `labels`, else from the network, else, where it has as many classes as ImageNet, from the file
    imagenet_labels.txt in VISLANG_WEIGHTS, or from Keras, which downloads them.

    Args:
        network: one with classes.
        labels: a text file with one name a line, with or without the background first; synonyms stand behind commas.

    Returns:
        as many as the network has classes, or None where nobody knows.

    Raises:
        ConfigError: a network without classes.
        DataError: a file that cannot be read, or has other classes.
    """
    require_classes(network)
    count = int(network.model.output_shape[-1])
    if labels is not None:
        return _fitting(_read(Path(labels)), count, labels)
    if network.classes:
        return network.classes
    if count not in (IMAGENET, IMAGENET + 1):
        return None
    folder = os.environ.get("VISLANG_WEIGHTS")
    path = Path(folder) / _LABELS if folder else None
    if path is not None and path.is_file():
        return _fitting(_read(path), count, path)
    downloaded = _downloaded_names()
    return None if downloaded is None else _fitting(downloaded, count, "Keras")


def _read(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"class names {path}: {reason}; give --labels FILE with one name a line") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _fitting(names: Sequence[str], count: int, source: str | Path) -> tuple[str, ...]:
    """Bring names and classes together: either may have the background before the others."""
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
    """Give the names that Keras has of ImageNet; None where it cannot get them."""
    import keras

    try:
        with contextlib.redirect_stdout(sys.stderr):  # a progress bar must not mix with a command's JSON
            rows = keras.applications.imagenet_utils.decode_predictions(np.eye(IMAGENET), top=1)
    except Exception:  # urllib, ssl, json and Keras each raise their own; numbers do without
        return None
    return [row[0][1].replace("_", " ") for row in rows]
