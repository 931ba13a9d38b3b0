"""Command: bundle a trained model: store its weights in half precision, evaluate these, and write its model card."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle.model_card import read_model_card
from eval.results.kinds import CaptionResult, FixationResult, RegionCaptionResult, RetrievalResult
from eval.results.models import training_seconds
from eval.results.result import Result, read_result
from vislang.backbones.feature_name import FeatureName
from vislang.core.cli import DONE, command_parser, run_command

_MANTISSA_BITS = 8  # of each weight that are kept


@dataclass(frozen=True)
class PackedModel:
    """How a bundled model was trained and how it is evaluated."""

    kind: str  # of its checkpoint
    training: str  # the module that trains it
    task: str  # of eval.run
    results: str  # how the names of the task's result files begin
    result: type[Result]  # type of these results
    data: str = "--data data/{0} --cache runs/features/{0}.h5"  # options of the training; {0} is the data set
    cached: bool = True  # whether the evaluation reads a feature cache
    regions: bool = False  # whether it reads one region at a time
    kept: str = "only the words of the vocabulary are stored"  # what of the training data is stored in it


PACKED_MODELS = {
    "ranker": PackedModel("vse", "vse.train", "retrieval", "retrieval-", RetrievalResult),
    "captioner": PackedModel("captioner", "captioner.train", "captions", "captions-captioner-", CaptionResult),
    "explainer": PackedModel("captioner", "captioner.train", "captions", "captions-captioner-", CaptionResult),
    "aligner": PackedModel("aligner", "captioner.alignment.train", "alignment", "retrieval-", RetrievalResult),
    "region-captioner": PackedModel(
        "captioner",
        "captioner.train",
        "regions",
        "region-captions-",
        RegionCaptionResult,
        data="--data runs/bundled/snippets --cache runs/bundled/snippets/features.h5",
        regions=True,
    ),
    "naturalness": PackedModel(
        "naturalness",
        "naturalness.train",
        "fixations",
        "fixations-",
        FixationResult,
        data="--data data/{0} --limit 2000",
        cached=False,
        kept="only statistics of features are stored",
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.pack", __doc__)
    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="checkpoint folder of a trained model")
    parser.add_argument("--name", required=True, choices=PACKED_MODELS, help="which bundled model it becomes")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set that it is evaluated on")
    parser.add_argument("--cache", type=Path, help="feature cache of that data set")
    parser.add_argument("--dataset", help="name of the reader (default: the one it was trained with)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument("--entities", type=Path, metavar="DIR", help="Flickr30k Entities, to evaluate regions")
    parser.add_argument(
        "--step", type=float, default=0.0, metavar="S",
        help="round weights to multiples of about S standard deviations, for a smaller file (default: no rounding)",
    )  # fmt: skip
    parser.add_argument(
        "--results", default=Path("results"), type=Path, help="folder of results (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder of bundled models (default: vislang/pretrained)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: pack(args))


def pack(args: argparse.Namespace) -> int:
    """Store the weights in half precision, evaluate these, and only then replace the bundled model."""
    from vislang.core.bundled_models import PRETRAINED
    from vislang.core.files import read_json, write_json
    from vislang.training.checkpoints import CONFIG

    folder = args.out or PRETRAINED
    folder.mkdir(parents=True, exist_ok=True)
    description = read_json(args.model / CONFIG, "checkpoint settings", "name a folder that training wrote")
    check_model(args, description)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        packed = Path(temporary) / args.name
        evaluated = Path(temporary) / "evaluated" / args.model.name
        write_packed(args.model, description, packed, args.step)
        shutil.copytree(packed, evaluated)  # the evaluation writes ranks and captions beside a model
        result = evaluate(args, evaluated)
        card = make_card(args, description, result, packed)
        if (folder / args.name).is_dir():
            shutil.rmtree(folder / args.name)
        packed.replace(folder / args.name)
        write_json(folder / f"{args.name}.json", card)
    size = sum(path.stat().st_size for path in (folder / args.name).iterdir())
    print(f"{folder / args.name}: {size / 1e6:.2f} MB; {card['scores']}")
    return DONE


def check_model(args: argparse.Namespace, description: Mapping[str, Any]) -> None:
    """Refuse a model that cannot become the bundled model of this name, or options that lack what it needs."""
    from vislang.core.errors import CheckpointError, ConfigError

    model = PACKED_MODELS[args.name]
    kind = description.get("kind")
    if kind != model.kind:
        raise CheckpointError(f"{args.model} holds a model of kind {kind!r}, expected {model.kind!r} for {args.name}")
    config = description["config"]
    if kind == "captioner" and model.regions != (FeatureName.parse(config["layers"][0]).kind == "described"):
        raise CheckpointError(
            f"{args.model} reads {config['layers'][0]}, which {args.name} does not; choose another --name"
        )
    if config.get("consensus_images"):
        raise CheckpointError(
            f"{args.model} holds captions of its training data, which may not be shared; train with consensus_images=0"
        )
    if model.cached and args.cache is None:
        raise ConfigError(f"{args.name} is evaluated on cached features, expected --cache FILE")
    if model.regions and args.entities is None and args.dataset != "scenes":
        raise ConfigError(f"{args.name} is evaluated on annotated boxes, expected --entities DIR")


def write_packed(checkpoint: Path, description: Mapping[str, Any], packed: Path, step: float) -> None:
    """Write the settings without local paths, the vocabulary, and the weights in half precision."""
    from vislang.core.files import write_json
    from vislang.core.half_precision import halve
    from vislang.training.checkpoints import CONFIG, VOCABULARY, WEIGHTS

    data = without_paths(description["data"])
    data["others"] = [without_paths(other) for other in data.get("others", [])]
    write_json(packed / CONFIG, {**description, "data": data})
    if (checkpoint / VOCABULARY).is_file():
        shutil.copyfile(checkpoint / VOCABULARY, packed / VOCABULARY)
    halve(checkpoint / WEIGHTS, packed / WEIGHTS, bits=_MANTISSA_BITS, step=step)


def without_paths(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a data set without where its files lie."""
    return {name: value for name, value in data.items() if name not in ("folder", "cache")}


def evaluate(args: argparse.Namespace, checkpoint: Path) -> Result:
    """Run eval.run on the packed model and return the result that it wrote."""
    from eval import run
    from vislang.core.errors import EvalError

    model = PACKED_MODELS[args.name]
    words = [model.task, "--model", str(checkpoint), "--data", str(args.data), "--out", str(args.results)]
    if model.task != "fixations":
        words += ["--split", args.split]
    if args.cache:
        words += ["--cache", str(args.cache)]
    if args.dataset:
        words += ["--dataset", args.dataset]
    if args.entities and model.task in ("alignment", "regions"):
        words += ["--entities", str(args.entities)]
    before = {path: path.stat().st_mtime_ns for path in args.results.glob("*.json")}
    if run.main(words) != DONE:
        raise EvalError(f"{args.model} could not be evaluated, so nothing was packed; see above")
    results = args.results.glob(f"{model.results}*.json")
    (written,) = [path for path in results if path.stat().st_mtime_ns != before.get(path)]
    return read_result(written, model.result)


def make_card(args: argparse.Namespace, description: Mapping[str, Any], result: Result, packed: Path) -> dict[str, Any]:
    """Return the model card: what the model is, how it was trained, what it scores."""
    from vislang.core.bundled_models import sha256_of
    from vislang.core.provenance import provenance

    model = PACKED_MODELS[args.name]
    card = read_model_card(args.name)
    backbone = description["backbone"]["name"]
    dataset = description["data"]["dataset"]
    trained_on = result.dataset
    data = f"split train of {trained_on}; dev chose the weights; test was only measured"
    if model.task == "fixations":
        trained_on = dataset
        data = f"split train of {dataset}, no fixations; {result.dataset} was only measured"
    command = f"python -m {model.training} --preset {description['preset']} --backbone {backbone} --dataset {dataset}"
    command += f" --seed {description['seed']} {model.data.format(dataset)} --out runs/bundled/{args.name}"
    stored_as = f"float16, {_MANTISSA_BITS} bits of mantissa"
    if args.step:
        stored_as += f", steps of {args.step:g} standard deviations"
    made = provenance()
    return {
        "name": args.name,
        "description": f"{card.description}; {backbone} features, trained on {trained_on}",
        "command": command,
        "data": data,
        "commit": made.commit,
        "date": made.date,
        "seconds": training_seconds(args.model, None),
        **_scores(result),
        "intended_use": card.intended_use,
        "limitations": card.limitations,
        "licence": "Apache-2.0",
        "data_terms": f"images and captions were used for research under their own terms; {model.kept}",
        "stored_as": stored_as,
        "sha256": {path.name: sha256_of(path) for path in sorted(packed.iterdir())},
    }


def _scores(result: Any) -> dict[str, Any]:
    """Return the metrics of a result with their intervals; of fixations those of the maps without a centre prior."""
    digits = 1
    on = f"{result.dataset}, {result.split}"
    if isinstance(result, FixationResult):
        digits = 3
        on = result.dataset
    if isinstance(result, RegionCaptionResult):
        on += f", {result.num_boxes:,} boxes"
    else:
        on += f", {result.num_images:,} images"
    intervals: dict[str, Any] = {}
    if result.intervals:
        intervals["method"] = result.interval_method
    for name, (low, high) in result.intervals.items():
        intervals[name] = [round(low, digits), round(high, digits)]
    scores = {name: round(value, digits) for name, value in result.metrics.items()}
    return {"scores": {"on": f"{on}; these very weights", **scores}, "intervals": intervals}


if __name__ == "__main__":
    sys.exit(main())
