"""The kinds of trained models, and the check that a function was given the kind that it works with."""

from typing import Any

from vislang.core.errors import CheckpointError

LOADERS = {  # kind in config.json: what it is called, and how it is loaded
    "vse": ("ranker", "vse.load_model"),
    "captioner": ("captioner", "captioner.load_model"),
    "aligner": ("aligner", "captioner.load_aligner"),
    "naturalness": ("naturalness model", "naturalness.load_model"),
}


def require_kind(model: Any, kind: str) -> None:
    """Refuse a model of another kind.

    Args:
        model: a trained model, with the `description` of its checkpoint.
        kind: one of LOADERS.

    Raises:
        CheckpointError: it is of another kind, or no trained model.
    """
    description = getattr(model, "description", None)
    found = description.get("kind") if isinstance(description, dict) else None
    if found == kind:
        return
    name, loader = LOADERS[kind]
    got = LOADERS[found][0] if found in LOADERS else f"{type(model).__name__} object"
    raise CheckpointError(f"expected a {name} from {loader}(), got a {got}")
