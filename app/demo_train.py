"""Command: train everything on scenes that it draws itself, from features to pages and drawings. Needs no data."""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from app import cli
from captioner.alignment.config import ALIGNMENTS
from captioner.config import CONFIGS as CAPTIONERS
from vislang.core.cli import DONE, SKIPPED_SOME, command_parser, run_command
from vislang.core.config import override
from vislang.core.config_options import add_settings
from vse.config import CONFIGS as RANKERS

_DATA = " --dataset scenes --data {drawn}/scenes --cache {drawn}/features.h5"
_SNIPPETS = " --dataset karpathy --data {drawn}/snippets --cache {drawn}/snippets/features.h5"
_SCENE = " --images {drawn}/fresh/images/train_000000.png"
# Title and `vislang` command of each step; {drawn} is the folder of data and models, {out} that of pages and drawings.
# More scenes are drawn of the pairs of colour and shape that are trained: of another pair the captioner names the
# colour and, nearly always, another thing.
STEPS = (
    ("drawing scenes", "scenes --out {drawn}/scenes --train {train} --dev 200 --test {test} --seed {seed}"),
    (
        "extracting features with our own small CNN",
        "extract --images {drawn}/scenes/images --backbone compact_scenes --cache {drawn}/features.h5"
        " --layers pooled,grid,regions-grid,boxes-grid",
    ),
    ("training the ranker", "train ranker --preset scenes --out {drawn}/ranker" + _DATA),
    (
        "ranking scenes whose pairs of colour and shape were never trained",
        "eval retrieval --model {drawn}/ranker --split test --out {out}/results" + _DATA,
    ),
    ("training the captioner", "train captioner --preset scenes --out {drawn}/captioner" + _DATA),
    (
        "drawing more scenes, of the pairs that were trained",
        "scenes --out {drawn}/fresh --train 60 --dev 0 --test 0 --seed {next_seed}",
    ),
    (
        "captioning scenes that were never trained, and making the page",
        "album --images {drawn}/fresh/images --out {out}/album.html --model {drawn}/ranker {drawn}/captioner"
        " --title 'Scenes never seen before'",
    ),
    (
        "pointing with the words of captions, of pairs of colour and shape that were never trained",
        "eval pointing --model {drawn}/captioner --ranker {drawn}/ranker --out {out}/results" + _DATA,
    ),
    (
        "making a page of the maps of the words of a caption",
        "explain --model {drawn}/captioner --ranker {drawn}/ranker --sentence {sentence} --out {out}/words.png"
        " --html {out}/words.html" + _SCENE,
    ),
    ("training the aligner", "train aligner --preset scenes --out {drawn}/aligner" + _DATA),
    (
        "grounding phrases in scenes whose pairs of colour and shape were never trained",
        "eval alignment --model {drawn}/aligner --out {out}/results" + _DATA,
    ),
    (
        "cutting captions into descriptions of regions",
        "snippets --model {drawn}/aligner --out {drawn}/snippets" + _DATA,
    ),
    (
        "training the captioner of regions",
        "train captioner --preset scenes-regions --out {drawn}/describer" + _SNIPPETS,
    ),
    ("describing the regions of a new scene", "regions --model {drawn}/describer --out {out}/regions.png" + _SCENE),
    ("mapping what attracts fixations in a new scene", "unusual --overlay --out {out}/unnatural.png" + _SCENE),
)
_SHOWN = (
    "results/retrieval-scenes-test.html",
    "results/pointing-scenes-test.html",
    "results/grounding-scenes-test.html",
    *("album.html", "words.html", "regions.png", "unnatural.png"),
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.demo_train", __doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-train"), help="folder (default: %(default)s)")
    parser.add_argument("--train", type=int, default=1500, help="training scenes (default: %(default)s)")
    parser.add_argument("--test", type=int, default=300, help="test scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    add_settings(parser, trained_configs(), "change one setting of every training; repeatable")
    return parser


def trained_configs() -> dict[str, Any]:
    """Return the config of each training of the demo."""
    return {
        "ranker": RANKERS["scenes"],
        "captioner": CAPTIONERS["scenes"],
        "aligner": ALIGNMENTS["scenes"],
        "region-captioner": CAPTIONERS["scenes-regions"],
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: demo(args))


def demo(args: argparse.Namespace) -> int:
    """Run every step as a user would, and print its title and how long it takes."""
    for config in trained_configs().values():
        override(config, args.set)  # a setting that one of the trainings does not know is refused before any begins
    for number, (title, line) in enumerate(STEPS, start=1):
        started = time.monotonic()
        print(f"[{number}/{len(STEPS)}] {title}", file=sys.stderr, flush=True)
        code = cli.main(words_of(line, args))
        if code not in (DONE, SKIPPED_SOME):
            return code
        print(f"      {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print("\nOpen in a browser, and look at the drawings:")
    for name in _SHOWN:
        print(f"  {(args.out / name).resolve()}")
    return DONE


def words_of(line: str, args: argparse.Namespace) -> list[str]:
    """Return the words of a step's command."""
    from datasets.scenes.draw import draw_scene

    values = {
        "drawn": args.out / f"{args.train}-{args.test}-{args.seed}",  # of other scenes there are other features
        "next_seed": args.seed + 1,
        "sentence": draw_scene(args.seed + 1, 0, "train").captions[0],
    }
    words = [word.format(**vars(args), **values) for word in shlex.split(line)]
    if words[0] == "train":
        words += ["--backbone", "compact_scenes", "--seed", str(args.seed)]
        for setting in args.set:
            words += ["--set", setting]
    return words


if __name__ == "__main__":
    sys.exit(main())
