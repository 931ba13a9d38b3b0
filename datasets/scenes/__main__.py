"""Draw a data set of scenes: `python -m datasets.scenes --out DIR`."""

import argparse
import sys
from collections.abc import Sequence

from datasets.records import captions_of
from datasets.scenes.dataset import write_scenes
from vislang.core.cli import DONE, command_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("datasets.scenes", "Draw a data set of scenes.")
    parser.add_argument("--out", required=True, help="folder to write")
    for split, count in (("train", 1500), ("dev", 200), ("test", 300)):
        parser.add_argument(f"--{split}", type=int, default=count, help=f"number of {split} scenes (default {count})")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds draw equal scenes (default 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: draw(args))


def draw(args: argparse.Namespace) -> int:
    """Draw the data set, and print what it holds."""
    records = write_scenes(args.out, train=args.train, dev=args.dev, test=args.test, seed=args.seed)
    sentences, _ = captions_of(records)
    print(f"{len(records)} scenes with {len(sentences)} captions in {args.out}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
