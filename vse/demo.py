"""Command: the whole toolkit on scenes that it draws itself: features, training, ranking, captions. No data needed."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.commands import DONE, SKIPPED_SOME, run_command

BACKBONE, PRESET = "compact_scenes", "scenes"
_SHOWN = 60  # scenes on the page


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m vse.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="(default: %(default)s)")
    parser.add_argument("--train", type=int, default=1500, help="training scenes (default: %(default)s)")
    parser.add_argument("--test", type=int, default=300, help="test scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one setting")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `common.commands` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: demo(args))


def demo(args: argparse.Namespace) -> int:
    """Run every step as a user would, and say what it was and how long it took."""
    from captioner import train as captioner_train
    from datasets import scenes
    from eval import run, tour
    from features import extract
    from vse import train

    drawn = args.out / f"{args.train}-{args.test}-{args.seed}"  # other scenes never meet features of these
    data, cache, ranker, captioner = (drawn / name for name in ("scenes", "features.h5", "ranker", "captioner"))
    results, page, fresh = args.out / "results", args.out / "tour.html", drawn / "fresh"
    changes = [word for setting in args.set for word in ("--set", setting)]
    place = ["--dataset", "scenes", "--data", str(data), "--cache", str(cache)]
    training = [*place, "--backbone", BACKBONE, "--config", PRESET, "--seed", str(args.seed)]
    counts = ["--train", str(args.train), "--dev", "200", "--test", str(args.test), "--seed", str(args.seed)]
    seen = ["--images", str(data / "images"), "--backbone", BACKBONE, "--taps", "pooled,grid", "--cache", str(cache)]
    # Of pairs that were never trained the captioner names the colour and, nearly always, another thing.
    more = ["--train", str(_SHOWN), "--dev", "0", "--test", "0", "--seed", str(args.seed + 1)]
    models = ["--ranker", str(ranker), "--captioner", str(captioner)]
    steps: list[tuple[str, Callable[[list[str]], int], list[str]]] = [
        ("drawing scenes", scenes.main, ["--out", str(data), *counts]),
        ("extracting features with our own small CNN", extract.main, seen),
        ("training the ranker", train.main, [*training, "--out", str(ranker), *changes]),
        (
            "ranking scenes whose pairs of colour and shape were never trained",
            run.main,
            ["--checkpoint", str(ranker), *place, "--split", "test", "--out", str(results)],
        ),
        ("training the captioner", captioner_train.main, [*training, "--out", str(captioner), *changes]),
        ("drawing more scenes, of the pairs that were trained", scenes.main, ["--out", str(fresh), *more]),
        (
            "captioning what it never saw, and making the page",
            tour.main,
            ["--photos", str(fresh / "images"), "--out", str(page), *models, "--title", "Scenes never seen before"],
        ),
    ]
    for number, (title, step, words) in enumerate(steps, start=1):
        started = time.monotonic()
        print(f"[{number}/{len(steps)}] {title}", file=sys.stderr, flush=True)
        code = step(words)
        if code not in (DONE, SKIPPED_SOME):
            return code
        print(f"      {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(f"\nOpen in a browser:\n  {(results / 'retrieval-scenes-test.html').resolve()}")
    print(f"  {page.resolve()}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
