"""Command: bundle a trained model: store its weights in half precision, evaluate these, and write its model card."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
    options: str = ""  # of the training, beside preset, seed and data
    cached: bool = True  # whether training and evaluation read a feature cache
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
        regions=True,
    ),
    "naturalness": PackedModel(
        "naturalness",
        "naturalness.train",
        "fixations",
        "fixations-",
        FixationResult,
        options=" --limit 2000",
        cached=False,
        kept="only statistics of features are stored",
    ),
}


@dataclass(frozen=True)
class MeasuredSplit:
    """A split of a data set that a bundled model is evaluated on."""

    dataset: str | None  # name of its reader; None: the one of training
    folder: Path
    cache: Path | None
    split: str


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.bundle.pack", __doc__)
    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="checkpoint folder of a trained model")
    parser.add_argument("--name", required=True, choices=PACKED_MODELS, help="which bundled model it becomes")
    parser.add_argument(
        "--data", nargs="+", required=True, type=Path, metavar="DIR", help="data sets that it is evaluated on"
    )
    parser.add_argument("--cache", nargs="+", type=Path, metavar="FILE", help="feature cache of each")
    parser.add_argument(
        "--dataset", nargs="+", metavar="NAME", help="reader of each (default: the one it was trained with)"
    )
    parser.add_argument("--split", nargs="+", metavar="NAME", help="split of each (default: test)")
    parser.add_argument(
        "--entities", type=Path, metavar="DIR", help="Flickr30k Entities, to evaluate regions of the first data set"
    )
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
    splits = measured_splits(args)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        packed = Path(temporary) / args.name
        evaluated = Path(temporary) / "evaluated" / args.model.name
        write_packed(args.model, description, packed, args.step)
        shutil.copytree(packed, evaluated)  # the evaluation writes ranks and captions beside a model
        results = [evaluate(args, split, evaluated) for split in splits]
        card = make_card(args, description, results, packed)
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
    if model.regions and args.entities is None and args.dataset != ["scenes"]:
        raise ConfigError(f"{args.name} is evaluated on annotated boxes, expected --entities DIR")


def measured_splits(args: argparse.Namespace) -> list[MeasuredSplit]:
    """Return the splits that the command line names.

    Raises:
        ConfigError: not as many readers, caches or splits as folders.
    """
    from vislang.core.errors import ConfigError

    count = len(args.data)
    values = {
        "--dataset": args.dataset or [None] * count,
        "--cache": args.cache or [None] * count,
        "--split": args.split or ["test"] * count,
    }
    for option, some in values.items():
        if len(some) != count:
            raise ConfigError(f"{option} got {len(some)} values for {count} folders of --data, expected one for each")
    rows = zip(values["--dataset"], args.data, values["--cache"], values["--split"], strict=True)
    return [MeasuredSplit(*row) for row in rows]


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


def evaluate(args: argparse.Namespace, measured: MeasuredSplit, checkpoint: Path) -> Result:
    """Run eval.run on the packed model and return the result that it wrote."""
    from eval import run
    from vislang.core.errors import EvalError

    model = PACKED_MODELS[args.name]
    words = [model.task, "--model", str(checkpoint), "--data", str(measured.folder), "--out", str(args.results)]
    if model.task != "fixations":
        words += ["--split", measured.split]
    if measured.cache:
        words += ["--cache", str(measured.cache)]
    if measured.dataset:
        words += ["--dataset", measured.dataset]
    if args.entities and model.task in ("alignment", "regions") and measured.folder == args.data[0]:
        words += ["--entities", str(args.entities)]
    before = {path: path.stat().st_mtime_ns for path in args.results.glob("*.json")}
    if run.main(words) != DONE:
        raise EvalError(f"{args.model} could not be evaluated, so nothing was packed; see above")
    results = args.results.glob(f"{model.results}*.json")
    (written,) = [path for path in results if path.stat().st_mtime_ns != before.get(path)]
    return read_result(written, model.result)


def make_card(
    args: argparse.Namespace, description: Mapping[str, Any], results: Sequence[Result], packed: Path
) -> dict[str, Any]:
    """Return the model card: what the model is, how it was trained, what it scores on each split."""
    from vislang.core.bundled_models import sha256_of
    from vislang.core.provenance import provenance

    model = PACKED_MODELS[args.name]
    card = read_model_card(args.name)
    trained_on = training_sets(description["data"])
    if model.regions:
        trained_on = results[0].dataset
    data = f"split train of {trained_on}; dev chose the weights"
    if any(result.split == "test" for result in results):
        data += "; test was only measured"
    if model.task == "fixations":
        data = f"split train of {trained_on}, no fixations; {results[0].dataset} was only measured"
    stored_as = f"float16, {_MANTISSA_BITS} bits of mantissa"
    if args.step:
        stored_as += f", steps of {args.step:g} standard deviations"
    made = provenance()
    return {
        "name": args.name,
        "description": f"{card.description}; {description['backbone']['name']} features, trained on {trained_on}",
        "command": training_command(args.name, description),
        "data": data,
        "commit": made.commit,
        "date": made.date,
        "seconds": training_seconds(args.model, None),
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
    else:
        on += f", {result.num_images:,} images"
    intervals: dict[str, Any] = {}
    if result.intervals:
        intervals["method"] = result.interval_method
    for name, (low, high) in result.intervals.items():
        intervals[name] = [round(low, digits), round(high, digits)]
    scores = {name: round(value, digits) for name, value in result.metrics.items()}
    return {"on": f"{on}; these very weights", **scores, "intervals": intervals}


if __name__ == "__main__":
    sys.exit(main())
