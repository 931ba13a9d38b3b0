"""The kinds of trained models: their names, their loaders, and the errors for another kind."""

from pathlib import Path
from typing import Any

from vislang.core.errors import CheckpointError, shown
from vislang.core.quiet_backend import require_usual_keras

LOADERS = {  # kind in config.json: its name with an article, and the function that loads it
    "vse": ("a ranker", "vse.load_model"),
    "captioner": ("a captioner", "captioner.load_model"),
    "aligner": ("an aligner", "captioner.load_aligner"),
    "naturalness": ("a naturalness model", "naturalness.load_model"),
    "network": ("a network", "preimage.load_network"),
    "classifier": ("a classifier", "preimage.load_network"),
}


def require_kind(model: Any, kind: str) -> None:
    """Refuse an object other than a trained model of this kind, one of LOADERS.

    Raises:
        CheckpointError: it is of another kind, or no trained model.
        ConfigError: the user's settings of Keras do not suit any (`require_usual_keras`).
    """
    found = getattr(model, "kind", None)
    if found != kind:
        expected, loader = LOADERS[kind]
        got = f"a {type(model).__name__} object"
        if found in LOADERS:
            got, _ = LOADERS[found]
        raise CheckpointError(f"expected {expected}, got {got}; load one with {loader}()")
    require_usual_keras()


def require_kind_of_folder(folder: Path, found: Any, kind: str) -> None:
    """Refuse a checkpoint folder whose config.json names another kind.

    Raises:
        CheckpointError: it is of another kind.
    """
    if found == kind:
        return
    expected, loader = LOADERS[kind]
    if isinstance(found, str) and found in LOADERS:
        got, own_loader = LOADERS[found]
        raise CheckpointError(f"expected {expected}, got {got} in {folder}; load it with {own_loader}()")
    raise CheckpointError(f"expected {expected}, got kind {shown(found)} in {folder}; pass a folder for {loader}()")
