"""Trained models in results: their kind, settings and training, and which models share a row."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from eval.results.result import Scores, SeedRun, summarize_seeds
from vislang.core.bundled_models import sha256_of
from vislang.core.errors import CheckpointError, EvalError
from vislang.core.files import file_name, read_json
from vislang.training.checkpoints import CONFIG, HISTORY, WEIGHTS

TASK_OF_KIND = {"vse": "retrieval", "captioner": "captions", "aligner": "alignment", "classifier": "classification"}


@dataclass(frozen=True)
class ModelInfo:
    """A trained model in a result."""

    checkpoint: str = ""  # the name of its folder
    preset: str = ""  # of its training
    backbone: str = ""  # whose features it reads
    seed: int | None = None  # of its training, None where it names none
    config: dict[str, Any] = field(default_factory=dict)  # every setting, with the backbone
    weights_fingerprint: str | None = None  # SHA-256 of its arrays
    training_seconds: float | None = None  # None where its training was not recorded
    trained_on: Any = None  # fingerprint of the training data, or what else distinguishes trainings with equal settings

    def seed_run(self, metrics: Scores) -> SeedRun:
        """Return the model as part of a result."""
        return SeedRun(self.seed, self.checkpoint, self.weights_fingerprint, self.training_seconds, metrics)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one model did on a split, and the seconds spent; `eval.tables` holds a subclass for each kind of result."""

    model: ModelInfo
    seconds: float = 0.0


def about_ranker(ranker: ModelInfo | None) -> SeedRun | None:
    """Describe in a result the ranker whose maps a method reads; None where there is none."""
    if ranker is None:
        return None
    return ranker.seed_run({})


def summarize_runs(runs: Sequence[Run], per_seed: Sequence[Scores]) -> tuple[Scores, Scores, tuple[SeedRun, ...]]:
    """Return means and standard deviations over seeds, and the models with the metrics of each."""
    metrics, std = summarize_seeds(per_seed)
    seed_runs = []
    for run, scores in zip(runs, per_seed, strict=True):
        seed_runs.append(run.model.seed_run(scores))
    return metrics, std, tuple(seed_runs)


def model_info(
    checkpoint: Path, description: Mapping[str, Any], fingerprint: str, epochs: int | None = None
) -> ModelInfo:
    """Describe a loaded model.

    `description` is the model's own: "config", "backbone" and, if it was trained here, "preset", "seed" and "data";
    `epochs` are those of a complete training, None: of the config, or any number where it names none.

    Raises:
        CheckpointError: the training is not complete.
    """
    config = description["config"]
    if epochs is None and "epochs" in config:
        epochs = config["epochs"] + config.get("self_critical_epochs", 0)
    return ModelInfo(
        checkpoint=checkpoint.name,
        preset=description.get("preset", "unnamed"),
        backbone=description["backbone"]["name"],
        seed=description.get("seed"),
        config={**config, "backbone": description["backbone"]},
        weights_fingerprint=fingerprint,
        training_seconds=training_seconds(checkpoint, epochs),
        trained_on=description.get("data", {}).get("fingerprint"),
    )


def by_image_name(checkpoint: Path) -> str:
    """Return how files of what a model did with each image name it: by its own name and the SHA-256 of its weights.

    Raises:
        CheckpointError: it has no weights.
    """
    weights = checkpoint / WEIGHTS if checkpoint.is_dir() else checkpoint
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing, expected the weights of a model; name a checkpoint")
    return file_name(f"{checkpoint.resolve().name}-{sha256_of(weights)[:8]}")


def training_seconds(checkpoint: Path, epochs: int | None) -> float | None:
    """Add up the seconds of all epochs in a checkpoint's history; None for a model without one.

    Raises:
        CheckpointError: fewer epochs than expected.
    """
    if not (checkpoint / HISTORY).is_file():
        return None
    next_step = "train on, or copy the checkpoint anew"
    rows = read_json(checkpoint / HISTORY, "training history", next_step)
    try:
        seconds = round(sum(float(row["seconds"]) for row in rows), 1)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{checkpoint / HISTORY} is no training history ({error!r}); {next_step}") from error
    if epochs is not None and len(rows) < epochs:
        raise CheckpointError(
            f"{checkpoint} was trained for {len(rows)} of {epochs} epochs, expected all; run its training "
            "command again, or leave it out"
        )
    return seconds


def require_kind(checkpoints: Sequence[Path], kind: str) -> None:
    """Refuse checkpoints of another kind before any of them is loaded; the loader checks those that name no kind.

    Raises:
        CheckpointError: some are of another kind that has a task of its own.
    """
    for folder in checkpoints:
        if not (folder / CONFIG).is_file():
            continue
        description = read_json(folder / CONFIG, "checkpoint settings", "train again or copy the checkpoint anew")
        found = None
        if isinstance(description, dict):
            found = description.get("kind")
        if isinstance(found, str) and found != kind and found in TASK_OF_KIND:
            raise CheckpointError(
                f"{folder} holds a model of kind {found!r}, expected {kind!r}; evaluate this one with: "
                f"python -m eval.run {TASK_OF_KIND[found]} --model {folder}"
            )


R = TypeVar("R", bound=Run)


def group_by_row(runs: Sequence[R], name: str | None, prefix: str = "") -> dict[str, list[R]]:
    """Put runs of models with equal settings into one row, in the order of their seeds.

    The names of rows are `name`, None: such as "vse-best-mobilenet_v2", with the prefix "vse".

    Raises:
        EvalError: the same model or seed twice, or one name for several rows.
    """
    rows: dict[str, list[R]] = {}
    for run in sorted(runs, key=lambda run: (run.model.seed is None, run.model.seed)):
        settings = json.dumps([run.model.preset, run.model.config, run.model.trained_on], sort_keys=True)
        rows.setdefault(settings, []).append(run)
    _require_different(runs, rows)
    if name is not None and len(rows) > 1:
        raise EvalError(f"--name {name} was given for {len(rows)} different settings; leave it out or run them apart")
    titles = []
    for row in rows.values():
        model = row[0].model
        titles.append(name or "-".join(filter(None, (prefix, model.preset, model.backbone))))
    named = {}
    for title, (settings, row) in zip(titles, rows.items(), strict=True):
        if titles.count(title) > 1:  # same preset, other --set
            title += f"-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"
        named[title] = row
    return named


def _require_different(runs: Sequence[Run], rows: Mapping[str, Sequence[Run]]) -> None:
    if len({run.model.weights_fingerprint for run in runs}) < len(runs):
        raise EvalError("two checkpoints hold the same weights, expected different seeds; give each --model once")
    for row in rows.values():
        seeds = [run.model.seed for run in row]
        if len(set(seeds)) < len(seeds):
            raise EvalError(f"seeds {seeds} of one row hold a seed twice, expected different ones; leave one run out")
