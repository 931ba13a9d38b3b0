"""Command: put a trained model into the box: weights in half precision, what it scores as such, and its card."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.results.runs import training_seconds
from vislang.backbones.feature_name import FeatureName
from vislang.core.cli import DONE, run_command

_BITS = 8  # of the mantissa of each weight that are kept
# How each kind of model is measured, and what its result files are called.
_TASKS = {
    "vse": "ranking",
    "captioner": "captions",
    "s2vt": "captions",
    "aligner": "alignment",
    "regions": "regions",
    "naturalness": "fixations",
}
_RESULTS = {
    "vse": "vse-",
    "captioner": "captions-captioner-",
    "s2vt": "captions-captioner-",
    "aligner": "alignment-",
    "regions": "region-captions-",
    "naturalness": "fixations-",
}
_TRAININGS = {"vse": "vse.train", "aligner": "captioner.alignment.train", "naturalness": "naturalness.train"}
WORDS = {
    "vse": (
        "sentence encoder and image map in one space",
        "finding photographs by short sentences of everyday English, and sentences for photographs",
        "what its captions never named; negation, counting, who does what to whom; text in pictures",
    ),
    "captioner": (
        "writes captions word by word, looking at 10x10 cells, and chooses among them by bags of words",
        "everyday photographs of people, dogs, sport, water and streets, in one plain sentence",
        "rare objects, counting, names, text in pictures; it says something of any picture, drawn or empty ones too",
    ),
    "s2vt": (
        "one network that reads a picture block by block and then writes, which saliency explains",
        "saying where the words of plain sentences of everyday photographs and clips come from",
        "what Flickr8K does not show; edges of things: its maps are hills over 10x10 cells",
    ),
    "aligner": (
        "words of a sentence and regions of a picture in one space",
        "saying where the people, animals and large things of an everyday sentence are",
        "small things, parts of bodies, words that Flickr8K hardly knows; its boxes come from a grid and are coarse",
    ),
    "naturalness": (
        "foretells the cells of a CNN's maps, textures from their neighbours and things from the scene",
        "saying where people look first in photographs, and how natural a photograph is",
        "what people look at for its meaning; drawings: it has only seen photographs",
    ),
    "regions": (
        "names what is in a region of a picture, trained on parts of captions that an aligner tied to regions",
        "people, what they wear, dogs, balls, water, grass",
        "small or rare things; it gives some name to any region, empty ones too",
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.bundle.pack", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="a trained model")
    parser.add_argument("--name", required=True, help="what it is called in the box, such as captioner")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set that it is scored on")
    parser.add_argument("--cache", type=Path, help="feature cache of it, where the model reads one")
    parser.add_argument("--dataset", help="name of its reader (default: the one it was trained with, or flickr8k)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument(
        "--entities", type=Path, metavar="DIR", help="Flickr30k Entities: boxes that regions are scored on"
    )
    parser.add_argument(
        "--step", type=float, default=0.0, metavar="SHARE",
        help="round weights to steps of about this share of their deviation, to make a small file smaller",
    )  # fmt: skip
    parser.add_argument(
        "--results", default=Path("results"), type=Path, help="folder of results (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder of the box (default: pretrained/ of this checkout)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: pack(args))


def pack(args: argparse.Namespace) -> int:
    """Halve, score what came of it, and only then put it into the box, whole."""
    from vislang.core.bundled_models import PRETRAINED
    from vislang.core.errors import CheckpointError, ConfigError
    from vislang.core.files import read_json, write_json
    from vislang.training.checkpoints import CONFIG

    box = args.out or PRETRAINED
    box.mkdir(parents=True, exist_ok=True)
    description = read_json(args.checkpoint / CONFIG, "checkpoint settings", "point to a folder that training made")
    kind = packed_kind(description)
    if kind not in _TASKS:
        raise CheckpointError(f"{args.checkpoint} holds a model of kind {kind!r}, expected one of: {', '.join(_TASKS)}")
    if kind == "regions" and args.entities is None and args.dataset != "scenes":
        raise ConfigError("a captioner of regions is scored on boxes that people drew, expected --entities DIR")
    if kind != "naturalness" and args.cache is None:
        raise ConfigError(f"a model of kind {kind} is scored on cached features, expected --cache FILE")
    with tempfile.TemporaryDirectory(dir=box.parent) as folder:
        packed, scored = Path(folder) / args.name, Path(folder) / "scored" / args.checkpoint.name
        write_packed(args.checkpoint, description, packed, args.step)
        shutil.copytree(packed, scored)  # scoring keeps ranks and captions beside a model
        result = score(args, kind, scored)
        card = make_card(args, description, result, packed)
        if (box / args.name).is_dir():
            shutil.rmtree(box / args.name)
        packed.replace(box / args.name)
        write_json(box / f"{args.name}.json", card)
    size = sum(path.stat().st_size for path in (box / args.name).iterdir())
    print(f"{box / args.name}: {size / 1e6:.2f} MB; {card['scores']}")
    return DONE


def packed_kind(description: Mapping[str, Any]) -> Any:
    """Give the kind of a model; captioners of regions and those for saliency are kinds of their own here."""
    kind = description.get("kind")
    if kind != "captioner":
        return kind
    reads = FeatureName.parse(description["config"]["taps"][0])
    return "regions" if reads.kind == "described" else "s2vt" if description["config"]["model"] == "s2vt" else kind


def write_packed(checkpoint: Path, description: Mapping[str, Any], packed: Path, step: float) -> None:
    """Write the settings, without the places on this disk, the words, and the weights in half precision."""
    from vislang.core.errors import CheckpointError
    from vislang.core.files import write_json
    from vislang.core.half_precision import halve
    from vislang.training.checkpoints import CONFIG, VOCABULARY, WEIGHTS

    config = description["config"]
    if config.get("neighbours"):
        raise CheckpointError(
            f"{checkpoint} keeps captions of its training data, which may not be passed on; train it with neighbours=0"
        )
    data = {name: value for name, value in description["data"].items() if name not in ("folder", "cache")}
    write_json(packed / CONFIG, {**description, "data": data})
    if (checkpoint / VOCABULARY).is_file():
        shutil.copyfile(checkpoint / VOCABULARY, packed / VOCABULARY)
    halve(checkpoint / WEIGHTS, packed / WEIGHTS, bits=_BITS, step=step)


def score(args: argparse.Namespace, kind: str, checkpoint: Path) -> dict[str, Any]:
    """Measure the packed model as eval.run does, and give the result that this wrote."""
    from eval import run
    from vislang.core.errors import EvalError
    from vislang.core.files import read_json

    before = {path: path.stat().st_mtime_ns for path in args.results.glob("*.json")}
    words = ["--task", _TASKS[kind], "--checkpoint", str(checkpoint), "--split", args.split]
    words += ["--data", str(args.data), "--out", str(args.results)]
    if args.cache:
        words += ["--cache", str(args.cache)]
    if args.dataset:
        words += ["--dataset", args.dataset]
    if args.entities and kind in ("aligner", "regions"):
        words += ["--entities", str(args.entities)]
    if run.main(words) != DONE:
        raise EvalError(f"{args.checkpoint} could not be scored, so nothing was packed; see above")
    written = [
        path for path in args.results.glob(f"{_RESULTS[kind]}*.json") if path.stat().st_mtime_ns != before.get(path)
    ]
    (path,) = written
    return read_json(path, "result", "run the command again")


def make_card(
    args: argparse.Namespace, description: Mapping[str, Any], result: Mapping[str, Any], packed: Path
) -> dict[str, Any]:
    """Say what the model is, where it comes from and what it can do."""
    from vislang.core.bundled_models import sha256_of
    from vislang.core.provenance import provenance

    kind, backbone, data = packed_kind(description), description["backbone"]["name"], description["data"]
    does, good, bad = WORDS[kind]
    made = provenance()
    kept = "what statistics of features tell" if kind == "naturalness" else "the vocabulary"
    trained_on = data.get("dataset", result["dataset"]) if kind == "naturalness" else result["dataset"]
    return {
        "name": args.name,
        "what": f"{does}; {backbone} features, trained on {trained_on}",
        "command": f"python -m {_TRAININGS.get(kind, 'captioner.train')} --preset {description['preset']}"
        f" --backbone {backbone} --dataset {data['dataset']} --seed {description['seed']}"
        f" {training_place(kind, data['dataset'])} --out runs/box/{args.name}",
        "data": "split train of flickr8k, no fixation; OSIE was only measured"
        if kind == "naturalness"
        else f"split train of {result['dataset']}; dev chose the weights; test was only measured",
        "commit": made["commit"],
        "date": made["date"],
        "seconds": training_seconds(args.checkpoint, None),
        **(_fixation_scores(result) if kind == "naturalness" else _scores(result)),
        "good at": good,
        "bad at": bad,
        "licence": "Apache-2.0",
        "terms of the data": "photographs and captions were used for research under their own terms;"
        f" {kept} is all that is kept of them",
        "stored as": f"float16, {_BITS} bits of mantissa"
        + (f", steps of {args.step:g} deviations" if args.step else ""),
        "sha256": {path.name: sha256_of(path) for path in sorted(packed.iterdir())},
    }


def _scores(result: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a result on a split, with their intervals."""
    on = f"{result['num_images']:,} images" if "num_images" in result else f"{result['num_boxes']:,} boxes"
    intervals = {name: [round(end, 1) for end in ends] for name, ends in result.get("intervals", {}).items()}
    return {
        "scores": {
            "on": f"{result['dataset']}, {result['split']}, {on}; these very weights",
            **{name: round(value, 1) for name, value in result["metrics"].items() if value is not None},
        },
        "intervals": {"method": result["interval_method"], **intervals} if intervals else {},
    }


def _fixation_scores(result: Mapping[str, Any]) -> dict[str, Any]:
    """Give the numbers of a result on fixations: of the maps as they are, without the middle made likelier."""
    measured = {name: one for name, one in next(iter(result["methods"].values())).items() if one}
    return {
        "scores": {
            "on": f"{result['dataset']}, {result['pictures']:,} pictures; these very weights",
            **{name: round(one["mean"], 3) for name, one in measured.items()},
        },
        "intervals": {
            "method": "95 % percentile bootstrap over pictures",
            **{name: [round(one["low"], 3), round(one["high"], 3)] for name, one in measured.items()},
        },
    }


def training_place(kind: str, dataset: str) -> str:
    """Say where training found its data; captioners of regions learn from snippets, in a folder of their own."""
    if kind == "naturalness":
        return f"--data data/{dataset} --limit 2000"
    if kind == "regions":
        return "--data runs/box/snippets --cache runs/box/snippets/features.h5"
    return f"--data data/{dataset} --cache runs/features/{dataset}.h5"


if __name__ == "__main__":
    sys.exit(main())
