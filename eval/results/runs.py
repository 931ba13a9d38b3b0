"""What the commands say of trained models: their kind, what they learned from, for how long, and which are one row."""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vislang.core.errors import CheckpointError, EvalError

TASK_OF_KIND = {"vse": "ranking", "captioner": "captions", "aligner": "alignment", "classifier": "classification"}


def require_kind(checkpoints: Sequence[Path], kind: str) -> None:
    """Refuse checkpoints of another kind before any of them is loaded; what says no kind is left to the loader.

    Raises:
        CheckpointError: some are of another kind that has a task of its own.
    """
    from vislang.core.files import read_json
    from vislang.training.checkpoints import CONFIG

    for folder in checkpoints:
        if not (folder / CONFIG).is_file():
            continue
        description = read_json(folder / CONFIG, "checkpoint settings", "train again or copy the checkpoint anew")
        found = description.get("kind") if isinstance(description, dict) else None
        if found != kind and found in TASK_OF_KIND:
            raise CheckpointError(
                f"{folder} holds a model of kind {found!r}, expected {kind!r} for --task {TASK_OF_KIND[kind]}; "
                f"give each kind a run of its own, this one with: --task {TASK_OF_KIND[found]}"
            )


def fill_in_from_training(args: argparse.Namespace, kind: str) -> None:
    """Take what the command line leaves open (--dataset, --data, --cache, --option) from the first checkpoint.

    Raises:
        CheckpointError: it is no checkpoint of this kind, or does not say what it was trained on.
    """
    from vislang.training.checkpoints import read_settings

    if args.dataset and args.data and args.cache:
        return
    trained_on = read_settings(args.models[0], kind).get("data", {})
    try:
        args.dataset = args.dataset or trained_on["dataset"]
        args.data = args.data or Path(trained_on["folder"])
        args.cache = args.cache or Path(trained_on["cache"])
    except KeyError as error:
        raise CheckpointError(
            f"{args.models[0]} does not say what it was trained on; give --dataset, --data and --cache"
        ) from error
    if args.dataset == trained_on["dataset"]:
        args.option = args.option or trained_on.get("options", [])


def model_info(description: Mapping[str, Any], fingerprint: str, seconds: float | None) -> dict[str, Any]:
    """Give what to say about a loaded model.

    Args:
        description: the model's own, with "config", "backbone" and, if it was trained here, "preset", "seed", "data".
        fingerprint: of its weights.
        seconds: how long its training took, as `training_seconds` gives it.

    Returns:
        its "config", "preset", "backbone", "seed", "weights_fingerprint", "training_seconds" and "trained_on".
    """
    return {
        "config": {**description["config"], "backbone": description["backbone"]},
        "preset": description.get("preset", "unnamed"),
        "backbone": description["backbone"]["name"],
        "seed": description.get("seed"),
        "weights_fingerprint": fingerprint,
        "training_seconds": seconds,
        "trained_on": description.get("data", {}).get("fingerprint"),
    }


def training_seconds(checkpoint: Path, epochs: int | None) -> float | None:
    """Add up what the epochs of a checkpoint's history took; None for a model without one.

    Raises:
        CheckpointError: it has not been trained to the end, so that its numbers would mean something else.
    """
    from vislang.core.files import read_json
    from vislang.training.checkpoints import HISTORY

    if not (checkpoint / HISTORY).is_file():
        return None
    rows = read_json(checkpoint / HISTORY, "training history", "train on, or copy the checkpoint anew")
    if epochs is not None and len(rows) < epochs:
        raise CheckpointError(
            f"{checkpoint} was trained for {len(rows)} of {epochs} epochs, expected all; run its training "
            "command again, or leave it out"
        )
    return round(sum(row["seconds"] for row in rows), 1)


def grouped(runs: list[dict[str, Any]], name: str | None, kind: str = "vse") -> dict[str, list[dict[str, Any]]]:
    """Put models with equal settings into one row, by seed; give each row a name of its own.

    Args:
        runs: each with "info" as `model_info` gives it.
        name: what the user called the row, if anything.
        kind: leads the usual name, such as "vse-best-mobilenet_v2".

    Raises:
        EvalError: the same model twice, or one name for several rows.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(runs, key=lambda one: (one["info"]["seed"] is None, one["info"]["seed"])):
        rows.setdefault(
            json.dumps([one["info"][what] for what in ("preset", "config", "trained_on")], sort_keys=True), []
        ).append(one)
    fingerprints = [one["info"]["weights_fingerprint"] for one in runs]
    if len(set(fingerprints)) < len(fingerprints):
        raise EvalError("two checkpoints hold the same weights, so they are no two seeds; give each --model once")
    for same in rows.values():
        seeds = [one["info"]["seed"] for one in same]
        if len(set(seeds)) < len(seeds):
            raise EvalError(f"seeds {seeds} of one row hold a seed twice, expected different ones; leave one run out")
    if name is not None and len(rows) > 1:
        raise EvalError(f"--name {name} was given for {len(rows)} different settings; leave it out or run them apart")
    usual = {key: f"{kind}-{same[0]['info']['preset']}-{same[0]['info']['backbone']}" for key, same in rows.items()}
    named = {}
    for key, same in rows.items():
        alone = list(usual.values()).count(usual[key]) == 1
        digest = hashlib.sha256(key.encode()).hexdigest()[:6]  # same preset, other --set
        named[name or (usual[key] if alone else f"{usual[key]}-{digest}")] = same
    return named
