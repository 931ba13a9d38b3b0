"""Command: train an image-sentence ranker on cached features. Resumable: rerun the same command."""

import argparse
import sys
from pathlib import Path

from vislang.training.command import cached_training_parser, train
from vse.config import CONFIGS


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cached_training_parser("vse.train", __doc__, CONFIGS)
    parser.add_argument(
        "--teacher", type=Path, metavar="DIR",
        help="sentences and a larger encoder's vectors of them, by vislang sentence-vectors; the ranker's sentence"
        " encoder first learns to guess them",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "vse.training", "RankerTraining")


if __name__ == "__main__":
    sys.exit(main())
