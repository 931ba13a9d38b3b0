"""Bundled models: trained by this project and shipped with it, verified by the SHA-256 of their model cards.

`pretrained/NAME.json` is the model card of the weights file `NAME.weights.h5` or of the checkpoint folder `NAME/`.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from vislang.core.errors import CheckpointError, DataError
from vislang.core.files import path_of, read_json

PRETRAINED = Path(__file__).resolve().parent.parent / "pretrained"
BUNDLED = {  # kind of model: its folder in PRETRAINED
    "vse": "ranker",
    "captioner": "captioner",
    "aligner": "aligner",
    "naturalness": "naturalness",
}
_WEIGHTS = ".weights.h5"
_CHECKOUT = PRETRAINED.parent.parent
RESTORE = "reinstall: pip install --force-reinstall --no-deps WHEEL, with the wheel that was installed"
if (_CHECKOUT / ".git").exists():
    RESTORE = f"restore it with: git -C {_CHECKOUT} checkout -- vislang/pretrained"


def cards(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Read the model cards of a folder, by default of the bundled models, sorted.

    Returns:
        {name of the weights file or checkpoint folder: card}.

    Raises:
        DataError: a card that cannot be read or lacks its sha256.
    """
    found = {}
    for path in sorted((folder or PRETRAINED).glob("*.json")):
        card = read_json(path, "model card", RESTORE)
        if not isinstance(card, dict) or not isinstance(card.get("sha256"), (str, dict)):
            raise DataError(f"model card {path} holds no sha256; {RESTORE}")
        name = path.stem
        if isinstance(card["sha256"], str):
            name += _WEIGHTS
        found[name] = card
    return found


def bundled_checkpoints() -> list[str]:
    """Return the names of the bundled models that `--model` takes."""
    return [name for name in cards() if not name.endswith(_WEIGHTS)]


def verify(path: Path) -> None:
    """Compare a weights file, or each file of a checkpoint folder, with the model card beside it.

    Raises:
        DataError: it has no card, is missing, or differs from its card.
    """
    card = cards(path.parent).get(path.name)
    if card is None:
        raise DataError(f"{path} has no card {path.name.removesuffix(_WEIGHTS)}.json beside it; {RESTORE}")
    if isinstance(card["sha256"], str):
        _verify_file(path, card["sha256"])
        return
    for name, sha256 in card["sha256"].items():
        _verify_file(path / name, sha256)
    more = sorted(file.name for file in path.iterdir() if file.name not in card["sha256"])
    if more:
        raise DataError(f"{path} also holds {', '.join(more)}, which its card does not list; delete it")


def find_checkpoint(kind: str, given: str | Path | None = None) -> Path:
    """Return the folder of a checkpoint; a bundled one is verified.

    Args:
        kind: of model.
        given: a checkpoint folder, or the name of a bundled model; None: the bundled model of this kind.

    Raises:
        DataError: no path, a bundled model that differs from its card, or none of this kind.
    """
    if given is None:
        if kind not in BUNDLED:
            raise _not_bundled(kind)
        folder = PRETRAINED / BUNDLED[kind]
    else:
        folder = path_of(given, "the model")
        bundled = PRETRAINED / str(given)
        is_checkpoint = (folder / "config.json").is_file()  # a package's folder may have the name of a bundled model
        if not is_checkpoint and bundled.parent == PRETRAINED and bundled.is_dir():
            folder = bundled
    if is_bundled(folder):
        verify(folder)
    return folder


def is_bundled(folder: Path) -> bool:
    """Return whether a checkpoint folder is that of a bundled model."""
    return folder.resolve().parent == PRETRAINED.resolve()


def refuse_bundled(folder: Path) -> None:
    """Refuse to write into the folder of a bundled model, which its card would no longer describe.

    Raises:
        CheckpointError: it is one.
    """
    if is_bundled(folder):
        raise CheckpointError(f"{folder} is a bundled model, which must not change; name another folder, or copy it")


def say_which(kind: str, given: Path | None, name: str | None = None) -> None:
    """Print on stderr that a command was given no model and uses a bundled one.

    Raises:
        DataError: there is none.
    """
    if given is None:
        name = name or BUNDLED.get(kind, kind)
        card = cards().get(name)
        if card is None:
            raise _not_bundled(name)
        print(f"using the bundled {name}: {card['description']}; another: --model DIR", file=sys.stderr)


def _not_bundled(name: str) -> DataError:
    return DataError(f"no bundled {name} found; train one (see make help) and pass --model DIR")


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 (hex) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _verify_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise DataError(f"{path} is missing; {RESTORE}")
    found = sha256_of(path)
    if found != expected:
        raise DataError(f"{path} has sha256 {found}, expected {expected} of its model card; {RESTORE}")
