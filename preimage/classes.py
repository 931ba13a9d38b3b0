"""What the classes of a network are called."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import DataError, unknown_name

_IMAGENET = ("imagenet_labels.txt", (1000, 1001))  # in VISLANG_WEIGHTS; networks of one class more have a background


def class_names(network: Any, labels: str | Path | None = None) -> list[str]:
    """Give the name of each class, as far as names are known.

    Args:
        network: see `preimage.networks`; where it has `class_names` of its own, they are taken.
        labels: a file of names, one a line; None: the network's own, or of 1,000 or 1,001 classes ImageNet's, from the
            folder VISLANG_WEIGHTS.

    Returns:
        one name a class; [] where the network has no classes or nobody names them.

    Raises:
        DataError: `labels` that cannot be read, or that has too few names.
    """
    if not network.has_classes:
        return []
    count = network.shape("scores")[-1]
    own = list(getattr(network, "class_names", None) or [])
    folder = os.environ.get("VISLANG_WEIGHTS")
    if labels is None and len(own) == count:
        return own
    if labels is None and folder and count in _IMAGENET[1] and (Path(folder) / _IMAGENET[0]).is_file():
        labels = Path(folder) / _IMAGENET[0]
    if labels is None:
        return []
    lines = read_labels(labels)
    if len(lines) < count:
        raise DataError(f"{labels} names {len(lines)} classes, network {network.name} has {count}; give another file")
    return lines[len(lines) - count :]


def read_labels(path: str | Path) -> list[str]:
    """Read a file of names, one a line.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(f"no class names at {path}: {reason}; give --labels FILE or numbers") from error


def class_numbers(words: Sequence[str], names: Sequence[str], where: str = "") -> list[int]:
    """Give the numbers of classes asked for by number or by name.

    Args:
        words: names, one of several synonyms, or numbers.
        names: of all classes; synonyms are separated by commas.
        where: what the message about an unknown name points to.

    Raises:
        ConfigError: an unknown name.
    """
    synonyms = {part.strip(): number for number, line in reversed(list(enumerate(names))) for part in line.split(",")}
    for word in words:
        if not word.isdecimal() and word not in synonyms:
            raise unknown_name("class", word, synonyms, where)
    return [int(word) if word.isdecimal() else synonyms[word] for word in words]
