"""Command: bundle a trained model: store its weights in half precision, evaluate these, and write its model card."""

import argparse
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle.model_card import make_card
from app.bundle.packed_models import MANTISSA_BITS, PACKED_MODELS
from eval.results.result import Result, read_result
from vislang.backbones.feature_name import FeatureName
from vislang.core.cli import DONE, command_parser, run_command

_OLD = "old"  # in the work folder: the model that is being replaced


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
    from vislang.core.files import only_writer, read_json
    from vislang.training.checkpoints import CONFIG

    folder = args.out or PRETRAINED
    folder.mkdir(parents=True, exist_ok=True)
    description = read_json(args.model / CONFIG, "checkpoint settings", "name a folder that training wrote")
    check_model(args, description)
    splits = measured_splits(args)
    target = folder / args.name
    work = folder.parent / f".{args.name}.part"
    with only_writer(target, folder.parent / f".{args.name}.lock"):
        settle(work, target)
        try:
            packed = work / "new" / args.model.resolve().name  # results name the model that was trained
            write_packed(args.model, description, packed, args.step)
            results = [evaluate(args, split, packed) for split in splits]
            card = make_card(args.name, args.model, description, results, packed, args.step)
            replace_model(packed, card, work, target)
        finally:
            settle(work, target)
    size = sum(path.stat().st_size for path in (folder / args.name).iterdir())
    print(f"{folder / args.name}: {size / 1e6:.2f} MB; {card['scores']}")
    return DONE


def replace_model(packed: Path, card: Mapping[str, Any], work: Path, target: Path) -> None:
    """Move the bundled model aside, and a new one with its card into its place."""
    from vislang.core.files import write_json

    if target.is_dir():
        target.replace(work / _OLD)
    packed.replace(target)
    write_json(target.with_name(f"{target.name}.json"), card)


def settle(work: Path, target: Path) -> None:
    """Put back a model whose successor never came, and remove what this or a killed run left."""
    if (work / _OLD).is_dir() and not target.is_dir():
        (work / _OLD).replace(target)
    shutil.rmtree(work, ignore_errors=True)


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
    """Write the settings without local paths, the files beside the weights, and the weights in half precision."""
    from captioner.calibration import FILE as CALIBRATION
    from naturalness.reference import FILE as REFERENCE
    from vislang.core.files import write_json
    from vislang.core.half_precision import halve
    from vislang.training.checkpoints import CONFIG, VOCABULARY, WEIGHTS

    data = without_paths(description["data"])
    data["others"] = [without_paths(other) for other in data.get("others", [])]
    write_json(packed / CONFIG, {**description, "data": data})
    for name in (VOCABULARY, CALIBRATION, REFERENCE):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, packed / name)
    halve(checkpoint / WEIGHTS, packed / WEIGHTS, bits=MANTISSA_BITS, step=step)


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
    if model.task == "regions":
        words += ["--ranker", "ranker"]
    before = {path: path.stat().st_mtime_ns for path in args.results.glob("*.json")}
    if run.main(words) != DONE:
        raise EvalError(f"{args.model} could not be evaluated, so nothing was packed; see above")
    results = args.results.glob(f"{model.results}*.json")
    (written,) = [path for path in results if path.stat().st_mtime_ns != before.get(path)]
    return read_result(written, model.result)


if __name__ == "__main__":
    sys.exit(main())
