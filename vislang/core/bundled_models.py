"""The box: models that this project trained itself and ships. Each has a card, and what is not its card's is refused.

`pretrained/NAME.json` is the card of the weights file `NAME.weights.h5` or of the checkpoint folder `NAME/`.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from vislang.core.errors import DataError
from vislang.core.files import read_json

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
BOX = {  # kind of model: its folder in the box
    "vse": "ranker",
    "captioner": "captioner",
    "aligner": "aligner",
    "naturalness": "naturalness",
}
_WEIGHTS = ".weights.h5"
_MEND = "restore it with: git checkout -- pretrained"


def cards(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Read all cards, by the name of the weights file or checkpoint folder that each is about, sorted.

    Raises:
        DataError: a card that cannot be read or lacks its sha256.
    """
    found = {}
    for path in sorted((folder or PRETRAINED).glob("*.json")):
        card = read_json(path, "card", _MEND)
        hashes = card.get("sha256") if isinstance(card, dict) else None
        if not isinstance(hashes, (str, dict)):
            raise DataError(f"card {path} holds no sha256; {_MEND}")
        found[path.stem + _WEIGHTS * isinstance(hashes, str)] = card
    return found


def verify(path: Path) -> None:
    """Compare a weights file, or each file of a checkpoint folder, with the card that lies beside it.

    Raises:
        DataError: it has no card, is missing, or is another file than its card says.
    """
    card = cards(path.parent).get(path.name)
    if card is None:
        raise DataError(f"{path} has no card {path.name.removesuffix(_WEIGHTS)}.json beside it; {_MEND}")
    if isinstance(card["sha256"], str):
        _verify_file(path, card["sha256"])
        return
    for name, sha256 in card["sha256"].items():
        _verify_file(path / name, sha256)
    more = sorted(file.name for file in path.iterdir() if file.name not in card["sha256"])
    if more:
        raise DataError(f"{path} also holds {', '.join(more)}, of which its card says nothing; delete it")


def find_checkpoint(kind: str, given: str | Path | None = None) -> Path:
    """Say where a model is: the folder that is given, or one in the box, verified.

    Args:
        kind: of model; those of BOX are in it.
        given: a checkpoint folder, or the name of one in the box; None: the one that the box has of this kind.

    Raises:
        DataError: the one in the box is not the one of its card, or there is none of this kind.
    """
    if given is None and kind not in BOX:
        raise _not_in_the_box(kind)
    boxed = PRETRAINED / (BOX[kind] if given is None else str(given))
    if given is not None and (Path(given).exists() or boxed.parent != PRETRAINED or not boxed.is_dir()):
        boxed = Path(given)
    if boxed.resolve().parent == PRETRAINED.resolve():
        verify(boxed)
    return boxed


def say_which(kind: str, given: Path | None, name: str | None = None) -> None:
    """Tell on stderr that a command was given no model and takes the one in the box.

    Raises:
        DataError: there is none.
    """
    if given is None:
        name = name or BOX.get(kind, kind)
        card = cards().get(name)
        if card is None:
            raise _not_in_the_box(name)
        print(f"using the {name} in the box: {card['what']}; another: --checkpoint DIR", file=sys.stderr)


def _not_in_the_box(name: str) -> DataError:
    return DataError(f"the box holds no {name}; train one (make help) and name its folder: --checkpoint DIR")


def sha256_of(path: Path) -> str:
    """Give the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _verify_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing; {_MEND}")
    found = sha256_of(path)
    if found != expected:
        raise DataError(f"{path} is damaged or was swapped: sha256 {found}, its card says {expected}; {_MEND}")
