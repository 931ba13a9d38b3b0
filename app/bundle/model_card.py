"""Model cards: the prose of `cards/NAME.md` (Mitchell et al. 2019, arXiv:1810.03993) beside what training measured."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle.packed_models import MANTISSA_BITS, PACKED_MODELS
from eval.results.kinds import FixationResult, RegionCaptionResult
from eval.results.models import training_seconds
from eval.results.result import Result
from vislang.core.bundled_models import sha256_of
from vislang.core.provenance import provenance

_CARDS = Path(__file__).resolve().parent / "cards"


@dataclass(frozen=True)
class ModelCard:
    """The prose about a bundled model."""

    description: str  # what the model is
    intended_use: str  # what it does well
    limitations: str  # what it does badly


def read_model_card(name: str) -> ModelCard:
    """Read the prose about a bundled model, such as "ranker"."""
    text = (_CARDS / f"{name}.md").read_text(encoding="utf-8")
    description, rest = text.split("\n## Intended use\n")
    intended_use, limitations = rest.split("\n## Limitations\n")
    return ModelCard(description.strip(), intended_use.strip(), limitations.strip())


def make_card(
    name: str,
    checkpoint: Path,
    description: Mapping[str, Any],
    results: Sequence[Result],
    packed: Path,
    step: float,
) -> dict[str, Any]:
    """Return the card of a bundled model: what it is, how it was trained, what it scores.

    Args:
        name: in PACKED_MODELS.
        checkpoint: the folder that training wrote.
        description: its config.json.
        results: of the packed weights, one for each split.
        packed: the folder of the bundled model.
        step: by which the weights were rounded, in standard deviations; 0: not.
    """
    model = PACKED_MODELS[name]
    card = read_model_card(name)
    trained_on = training_sets(description["data"])
    if model.regions:
        trained_on = results[0].dataset
    data = f"split train of {trained_on}; dev chose the weights"
    if any(result.split == "test" for result in results):
        data += "; test was only measured"
    if "teacher" in description:
        data += f"; before, MiniLM's vectors of {description['teacher']['sentences']:,} sentences"
    if model.task == "fixations":
        data = f"split train of {trained_on}, no fixations; {results[0].dataset} was only measured"
    stored_as = f"float16, {MANTISSA_BITS} bits of mantissa"
    if step:
        stored_as += f", steps of {step:g} standard deviations"
    made = provenance()
    return {
        "name": name,
        "description": f"{card.description}; {description['backbone']['name']} features, trained on {trained_on}",
        "command": training_command(name, description),
        "data": data,
        "commit": made.commit,
        "date": made.date,
        "seconds": training_seconds(checkpoint, None),
        "scores": [scores_of(result) for result in results],
        "intended_use": card.intended_use,
        "limitations": card.limitations,
        "licence": "Apache-2.0",
        "data_terms": f"images and captions were used for research under their own terms; {model.kept}",
        "stored_as": stored_as,
        "sha256": {path.name: sha256_of(path) for path in sorted(packed.iterdir())},
    }


def training_sets(data: Mapping[str, Any]) -> str:
    """Return the names of the data sets of a training; one whose reader came before is named by its folder."""
    names: list[str] = []
    for source in (data, *data.get("others", [])):
        name = source["dataset"]
        if name in names:
            name = Path(source["folder"]).name
        names.append(name)
    *first, last = names
    if first:
        return f"{', '.join(first)} and {last}"
    return last


def training_command(name: str, description: Mapping[str, Any]) -> str:
    """Return the command that repeats the training of a bundled model, with the usual folders."""
    model = PACKED_MODELS[name]
    data = description["data"]
    sources = [data, *data.get("others", [])]
    datasets = " ".join(source["dataset"] for source in sources)
    folders = " ".join(usual_path(source.get("folder", source["dataset"]), "data") for source in sources)
    command = (
        f"python -m {model.training} --preset {description['preset']} --backbone {description['backbone']['name']}"
        f" --dataset {datasets} --seed {description['seed']} --data {folders}"
    )
    if model.cached:
        command += f" --cache {' '.join(usual_path(source['cache'], 'runs/features') for source in sources)}"
    if len(sources) > 1:
        command += f" --sampling {' '.join(format(rate, 'g') for rate in description['sampling'])}"
    if "teacher" in description:
        command += " --teacher runs/taught"
    return f"{command}{model.options} --out runs/bundled/{name}"


def usual_path(path: str, folder: str) -> str:
    """Return a path from its last folder `data` or `runs` on; for a path without these, its name in another folder."""
    parts = Path(os.path.normpath(path)).parts
    for index in reversed(range(len(parts) - 1)):
        if parts[index] in ("data", "runs"):
            return "/".join(parts[index:])
    return f"{folder}/{parts[-1]}"


def scores_of(result: Any) -> dict[str, Any]:
    """Return the metrics of a result with their intervals; of fixations those of the maps without a centre prior."""
    digits = 1
    on = f"{result.dataset}, {result.split}"
    if isinstance(result, FixationResult):
        digits = 3
        on = result.dataset
    if isinstance(result, RegionCaptionResult):
        on += f", {result.num_boxes:,} boxes"
        if result.ranker is not None:
            on += f", with the maps of the {result.ranker.checkpoint}"
    else:
        on += f", {result.num_images:,} images"
    intervals: dict[str, Any] = {}
    if result.intervals:
        intervals["method"] = result.interval_method
    for name, (low, high) in result.intervals.items():
        intervals[name] = [round(low, digits), round(high, digits)]
    scores = {name: round(value, digits) for name, value in result.metrics.items()}
    return {"on": f"{on}; these very weights", **scores, "intervals": intervals}
