"""Weights that this project trained itself: each has a card, and a file that is not the one of its card is refused."""

import hashlib
from pathlib import Path
from typing import Any

from common.errors import DataError
from common.files import read_json

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
_MEND = "restore it with: git checkout -- pretrained"


def cards(folder: Path = PRETRAINED) -> dict[str, dict[str, Any]]:
    """Read all cards, by the name of the weights file that each is about, sorted.

    Raises:
        DataError: a card that cannot be read or lacks its sha256.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        card = read_json(path, "card", _MEND)
        if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
            raise DataError(f"card {path} holds no sha256; {_MEND}")
        found[f"{path.stem}.weights.h5"] = card
    return found


def verify(path: Path) -> None:
    """Compare a weights file with its card, which lies beside it.

    Raises:
        DataError: it has no card, is missing, or is another file than its card says.
    """
    card = cards(path.parent).get(path.name)
    if card is None:
        raise DataError(f"{path} has no card {path.name.removesuffix('.weights.h5')}.json beside it; {_MEND}")
    if not path.is_file():
        raise DataError(f"{path} is missing; {_MEND}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != card["sha256"]:
        raise DataError(f"{path} is damaged or was swapped: sha256 {sha256}, its card says {card['sha256']}; {_MEND}")
