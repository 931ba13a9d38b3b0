"""Command: train everything on scenes that it draws itself, from features to pages and drawings. Needs no data."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.alignment.config import ALIGNMENTS
from captioner.config import CONFIGS as CAPTIONERS
from vislang.core.cli import DONE, SKIPPED_SOME, add_settings, command_parser, run_command
from vislang.core.config import override
from vse.config import CONFIGS as RANKERS

BACKBONE = "compact_scenes"
PRESET = "scenes"
_SHOWN = 60  # scenes on the album's page
_DRAWINGS = ("album.html", "words.html", "regions.png", "unnatural.png")
_PAGES = (
    "results/retrieval-scenes-test.html",
    "results/pointing-scenes-test.html",
    "results/grounding-scenes-test.html",
)


@dataclass(frozen=True)
class Step:
    """What a step does, its command, and the command's arguments."""

    title: str
    command: Callable[[list[str]], int]
    arguments: list[str]


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.demo_train", __doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-train"), help="folder (default: %(default)s)")
    parser.add_argument("--train", type=int, default=1500, help="training scenes (default: %(default)s)")
    parser.add_argument("--test", type=int, default=300, help="test scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    add_settings(parser, trained_configs(), "change one setting of every training; repeatable")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: demo(args))


def demo(args: argparse.Namespace) -> int:
    """Run every step as a user would, and say what it is and how long it takes."""
    check_settings(args.set)
    steps = [*ranker_and_captioner(args), *words_of_scenes(args), *regions_of_scenes(args), unusual_places(args)]
    for number, step in enumerate(steps, start=1):
        started = time.monotonic()
        print(f"[{number}/{len(steps)}] {step.title}", file=sys.stderr, flush=True)
        code = step.command(step.arguments)
        if code not in (DONE, SKIPPED_SOME):
            return code
        print(f"      {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print("\nOpen in a browser, and look at the drawings:")
    for name in (*_PAGES, *_DRAWINGS):
        print(f"  {(args.out / name).resolve()}")
    return DONE


def trained_configs() -> dict[str, Any]:
    """Return the config of each training of the demo."""
    return {
        "ranker": RANKERS[PRESET],
        "captioner": CAPTIONERS[PRESET],
        "aligner": ALIGNMENTS[PRESET],
        "region-captioner": CAPTIONERS[f"{PRESET}-regions"],
    }


def check_settings(settings: list[str]) -> None:
    """Refuse a setting that one of the trainings does not know before any of them has begun."""
    for config in trained_configs().values():
        override(config, settings)


def ranker_and_captioner(args: argparse.Namespace) -> list[Step]:
    """Return the steps that draw scenes, extract features, train ranker and captioner, rank, and caption."""
    from app import album
    from captioner import train as captioner_train
    from datasets.scenes import __main__ as scenes
    from eval import run
    from vislang.features import extract
    from vse import train

    drawn = _folder(args)
    data = _data(args)
    training = _training(args)
    ranker = str(drawn / "ranker")
    captioner = str(drawn / "captioner")
    fresh = drawn / "fresh"
    counts = ["--train", str(args.train), "--dev", "200", "--test", str(args.test), "--seed", str(args.seed)]
    layers = ["--layers", "pooled,grid,regions-grid,boxes-grid", "--cache", str(drawn / "features.h5")]
    # Of pairs that were never trained the captioner names the colour and, nearly always, another thing.
    more = ["--train", str(_SHOWN), "--dev", "0", "--test", "0", "--seed", str(args.seed + 1)]
    models = ["--model", ranker, captioner, "--title", "Scenes never seen before"]
    return [
        Step("drawing scenes", scenes.main, ["--out", str(drawn / "scenes"), *counts]),
        Step(
            "extracting features with our own small CNN",
            extract.main,
            ["--images", str(drawn / "scenes" / "images"), "--backbone", BACKBONE, *layers],
        ),
        Step("training the ranker", train.main, [*data, *training, "--preset", PRESET, "--out", ranker]),
        Step(
            "ranking scenes whose pairs of colour and shape were never trained",
            run.main,
            ["retrieval", "--model", ranker, *data, "--split", "test", "--out", str(args.out / "results")],
        ),
        Step(
            "training the captioner",
            captioner_train.main,
            [*data, *training, "--preset", PRESET, "--out", captioner],
        ),
        Step("drawing more scenes, of the pairs that were trained", scenes.main, ["--out", str(fresh), *more]),
        Step(
            "captioning scenes that were never trained, and making the page",
            album.main,
            ["--images", str(fresh / "images"), "--out", str(args.out / "album.html"), *models],
        ),
    ]


def words_of_scenes(args: argparse.Namespace) -> list[Step]:
    """Return the steps that evaluate and draw the maps of the words of captions."""
    from datasets.scenes.draw import draw_scene
    from eval import run
    from saliency import explain

    captioner = ["--model", str(_folder(args) / "captioner")]
    sentence = draw_scene(args.seed + 1, 0, "train").captions[0]
    drawn = ["--sentence", sentence, "--out", str(args.out / "words.png"), "--html", str(args.out / "words.html")]
    return [
        Step(
            "pointing with the words of captions, of pairs of colour and shape that were never trained",
            run.main,
            ["pointing", *captioner, *_data(args), "--out", str(args.out / "results")],
        ),
        Step(
            "making a page of the maps of the words of a caption",
            explain.main,
            ["--images", _fresh_scene(args), *captioner, *drawn],
        ),
    ]


def regions_of_scenes(args: argparse.Namespace) -> list[Step]:
    """Return the steps that train an aligner, ground phrases, and train a captioner of regions on its output."""
    from captioner import make_snippets, regions
    from captioner import train as captioner_train
    from captioner.alignment import train as alignment_train
    from eval import run

    drawn = _folder(args)
    data = _data(args)
    training = _training(args)
    aligner = str(drawn / "aligner")
    snippets = drawn / "snippets"
    describer = str(drawn / "describer")
    of_regions = ["--dataset", "karpathy", "--data", str(snippets), "--cache", str(snippets / "features.h5")]
    return [
        Step("training the aligner", alignment_train.main, [*data, *training, "--preset", PRESET, "--out", aligner]),
        Step(
            "grounding phrases in scenes whose pairs of colour and shape were never trained",
            run.main,
            ["alignment", "--model", aligner, *data, "--out", str(args.out / "results")],
        ),
        Step(
            "cutting captions into descriptions of regions",
            make_snippets.main,
            ["--model", aligner, *data, "--out", str(snippets)],
        ),
        Step(
            "training the captioner of regions",
            captioner_train.main,
            [*of_regions, *training, "--preset", f"{PRESET}-regions", "--out", describer],
        ),
        Step(
            "describing the regions of a new scene",
            regions.main,
            ["--images", _fresh_scene(args), "--model", describer, "--out", str(args.out / "regions.png")],
        ),
    ]


def unusual_places(args: argparse.Namespace) -> Step:
    """Return the step that asks the bundled model, which was trained on photographs, what draws the eye in a scene."""
    from naturalness import map as naturalness_map

    drawn = ["--overlay", "--out", str(args.out / "unnatural.png")]
    title = "mapping what draws the eye in a new scene"
    return Step(title, naturalness_map.main, ["--images", _fresh_scene(args), *drawn])


def _fresh_scene(args: argparse.Namespace) -> str:
    return str(_folder(args) / "fresh" / "images" / "train_000000.png")


def _folder(args: argparse.Namespace) -> Path:
    """Return the folder of data and models; other scenes never meet the features of these."""
    return args.out / f"{args.train}-{args.test}-{args.seed}"


def _data(args: argparse.Namespace) -> list[str]:
    drawn = _folder(args)
    return ["--dataset", "scenes", "--data", str(drawn / "scenes"), "--cache", str(drawn / "features.h5")]


def _training(args: argparse.Namespace) -> list[str]:
    words = ["--backbone", BACKBONE, "--seed", str(args.seed)]
    for setting in args.set:
        words += ["--set", setting]
    return words


if __name__ == "__main__":
    sys.exit(main())
