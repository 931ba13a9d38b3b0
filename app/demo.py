"""Command: the whole toolkit on scenes that it draws itself, from features to pages and drawings. No data needed."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vislang.core.cli import DONE, SKIPPED_SOME, run_command

BACKBONE, PRESET = "compact_scenes", "scenes"
_SHOWN = 60  # scenes on the page
_DRAWING, _WORDS, _UNNATURAL = "regions.png", "words.html", "unnatural.png"

Step = tuple[str, Callable[[list[str]], int], list[str]]  # what it does, its command, and the command's words


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="(default: %(default)s)")
    parser.add_argument("--train", type=int, default=1500, help="training scenes (default: %(default)s)")
    parser.add_argument("--test", type=int, default=300, help="test scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one setting")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: demo(args))


def demo(args: argparse.Namespace) -> int:
    """Run every step as a user would, and say what it was and how long it took."""
    check_settings(args.set)
    steps = [*ranking_and_captions(args), *words_of_scenes(args), *regions_of_scenes(args), *eyes_on_scenes(args)]
    for number, (title, step, words) in enumerate(steps, start=1):
        started = time.monotonic()
        print(f"[{number}/{len(steps)}] {title}", file=sys.stderr, flush=True)
        code = step(words)
        if code not in (DONE, SKIPPED_SOME):
            return code
        print(f"      {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print("\nOpen in a browser, and look at the drawings:")
    pages = ("results/retrieval-scenes-test.html", "tour.html", _WORDS, "results/grounding-scenes-test.html")
    for name in (*pages, _DRAWING, _UNNATURAL):
        print(f"  {(args.out / name).resolve()}")
    return DONE


def check_settings(settings: list[str]) -> None:
    """Refuse a setting that one of the trainings does not know before any of them has begun."""
    from captioner.alignment.config import ALIGNMENTS
    from captioner.config import CONFIGS as CAPTIONERS
    from vislang.core.config import override
    from vse.config import CONFIGS as RANKERS

    for preset in (RANKERS[PRESET], CAPTIONERS[PRESET], ALIGNMENTS[PRESET], CAPTIONERS[f"{PRESET}-regions"]):
        override(preset, settings)


def ranking_and_captions(args: argparse.Namespace) -> list[Step]:
    """Draw scenes, extract features, train ranker and captioner, rank, caption."""
    from app import album as tour
    from captioner import train as captioner_train
    from datasets.scenes import __main__ as scenes
    from eval import run
    from vislang.features import extract
    from vse import train

    drawn, place, training = _folder(args), _place(args), _training(args)
    ranker, captioner, fresh = (drawn / name for name in ("ranker", "captioner", "fresh"))
    counts = ["--train", str(args.train), "--dev", "200", "--test", str(args.test), "--seed", str(args.seed)]
    taps = ["--taps", "pooled,grid,regions-grid,boxes-grid", "--cache", str(drawn / "features.h5")]
    # Of pairs that were never trained the captioner names the colour and, nearly always, another thing.
    more = ["--train", str(_SHOWN), "--dev", "0", "--test", "0", "--seed", str(args.seed + 1)]
    models = ["--ranker", str(ranker), "--captioner", str(captioner), "--title", "Scenes never seen before"]
    return [
        ("drawing scenes", scenes.main, ["--out", str(drawn / "scenes"), *counts]),
        (
            "extracting features with our own small CNN",
            extract.main,
            ["--images", str(drawn / "scenes" / "images"), "--backbone", BACKBONE, *taps],
        ),
        ("training the ranker", train.main, [*place, *training, "--config", PRESET, "--out", str(ranker)]),
        (
            "ranking scenes whose pairs of colour and shape were never trained",
            run.main,
            ["--checkpoint", str(ranker), *place, "--split", "test", "--out", str(args.out / "results")],
        ),
        (
            "training the captioner",
            captioner_train.main,
            [*place, *training, "--config", PRESET, "--out", str(captioner)],
        ),
        ("drawing more scenes, of the pairs that were trained", scenes.main, ["--out", str(fresh), *more]),
        (
            "captioning what it never saw, and making the page",
            tour.main,
            ["--photos", str(fresh / "images"), "--out", str(args.out / "tour.html"), *models],
        ),
    ]


def words_of_scenes(args: argparse.Namespace) -> list[Step]:
    """Ask the captioner where the words of captions come from."""
    from datasets.scenes.draw import draw_scene
    from eval import run
    from saliency import explain

    captioner, scene = _folder(args) / "captioner", _first(args)
    sentence = draw_scene(args.seed + 1, 0, "train").captions[0]
    drawn = ["--sentence", sentence, "--out", str(args.out / "words.png"), "--html", str(args.out / _WORDS)]
    return [
        (
            "pointing with the words of captions, of pairs of colour and shape that were never trained",
            run.main,
            ["--task", "pointing", "--checkpoint", str(captioner), *_place(args), "--out", str(args.out / "results")],
        ),
        (
            "making a page of where the words of a caption come from",
            explain.main,
            ["--image", str(scene), "--checkpoint", str(captioner), *drawn],
        ),
    ]


def regions_of_scenes(args: argparse.Namespace) -> list[Step]:
    """Tie words to regions, look for phrases, and train a captioner of regions on what was tied."""
    from captioner import make_snippets as snippets
    from captioner import regions
    from captioner import train as captioner_train
    from captioner.alignment import train as train_alignment
    from eval import run

    drawn, place, training = _folder(args), _place(args), _training(args)
    aligner, pairs, describer = (drawn / name for name in ("aligner", "snippets", "describer"))
    cut = ["--dataset", "karpathy", "--data", str(pairs), "--cache", str(pairs / "features.h5")]
    scene = _first(args)
    return [
        (
            "tying words to regions",
            train_alignment.main,
            [*place, *training, "--config", PRESET, "--out", str(aligner)],
        ),
        (
            "looking for phrases in scenes whose pairs of colour and shape were never trained",
            run.main,
            ["--task", "alignment", "--checkpoint", str(aligner), *place, "--out", str(args.out / "results")],
        ),
        (
            "cutting captions into names of regions",
            snippets.main,
            ["--aligner", str(aligner), *place, "--out", str(pairs)],
        ),
        (
            "training the captioner of regions",
            captioner_train.main,
            [*cut, *training, "--config", f"{PRESET}-regions", "--out", str(describer)],
        ),
        (
            "describing the regions of a new scene",
            regions.main,
            ["--image", str(scene), "--checkpoint", str(describer), "--out", str(args.out / _DRAWING)],
        ),
    ]


def eyes_on_scenes(args: argparse.Namespace) -> list[Step]:
    """Ask the model in the box, which saw photographs, what draws the eye in a scene."""
    from naturalness import map as unnaturalness

    drawn = ["--overlay", "--out", str(args.out / _UNNATURAL)]
    return [
        ("looking for what draws the eye in a new scene", unnaturalness.main, ["--image", str(_first(args)), *drawn])
    ]


def _first(args: argparse.Namespace) -> Path:
    return _folder(args) / "fresh" / "images" / "train_000000.png"


def _folder(args: argparse.Namespace) -> Path:
    return args.out / f"{args.train}-{args.test}-{args.seed}"  # other scenes never meet features of these


def _place(args: argparse.Namespace) -> list[str]:
    drawn = _folder(args)
    return ["--dataset", "scenes", "--data", str(drawn / "scenes"), "--cache", str(drawn / "features.h5")]


def _training(args: argparse.Namespace) -> list[str]:
    changes = [word for setting in args.set for word in ("--set", setting)]
    return ["--backbone", BACKBONE, "--seed", str(args.seed), *changes]


if __name__ == "__main__":
    sys.exit(main())
