"""Any trained model by its folder or name."""

import importlib
from pathlib import Path
from typing import Any

from vislang.core.bundled_models import find_checkpoint
from vislang.core.errors import CheckpointError, shown
from vislang.core.files import read_json

_LOADERS = {  # kind in config.json: module and function
    "vse": ("vse.api", "load_model"),
    "captioner": ("captioner.api", "load_model"),
    "aligner": ("captioner.api", "load_aligner"),
    "naturalness": ("naturalness.api", "load_model"),
}


def checkpoint_of(given: str | Path) -> Path | None:
    """Return the folder of a trained model; None for a file."""
    if Path(given).is_file():
        return None
    return find_checkpoint("", given)


def load_trained(given: str | Path, weights: str | Path | None = None) -> Any:
    """Load a trained model of any kind that has graphs.

    Args:
        given: a checkpoint folder, the name of a bundled model, or a file that `vse.load_model` reads.
        weights: weights file of the backbone.

    Raises:
        CheckpointError: no trained model, or one of a kind that cannot be exported.
    """
    from vislang.training.checkpoints import CONFIG

    kind: Any = "vse"
    folder = checkpoint_of(given)
    if folder is not None:
        path = folder / CONFIG
        if not path.is_file():
            raise CheckpointError(f"{given} holds no {CONFIG}, expected a checkpoint folder or a bundled model")
        description = read_json(path, "checkpoint settings", "name a folder that training wrote")
        kind = description.get("kind") if isinstance(description, dict) else None
    if kind not in _LOADERS:
        raise CheckpointError(
            f"{given} holds a model of kind {shown(kind)}, which cannot be exported; expected one of"
            f" {', '.join(_LOADERS)}"
        )
    module, function = _LOADERS[kind]
    return getattr(importlib.import_module(module), function)(given, weights=weights)
