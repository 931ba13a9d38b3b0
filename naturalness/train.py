"""Command: train a visual language model on images, or on the maps of a feature cache.

Resumable: rerun the same command.
"""

import argparse
import sys
from pathlib import Path

from naturalness.config import CONFIGS
from vislang.core.config_options import add_preset
from vislang.training.command import train, training_parser


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = training_parser("naturalness.train", __doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", metavar="WHERE", help="folder, pattern, or text file with a path a line")
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of a data set, whose training split is taken")
    parser.add_argument("--dataset", default="flickr8k", help="name of its reader (default: %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FILE",
        help="take the maps of --data from this cache (vislang.features.extract --layers LAYER)",
    )
    parser.add_argument("--backbone", default="mobilenet_0.75", help="whose layers (default: %(default)s)")
    parser.add_argument("--weights", metavar="FILE", help="weights of the backbone (default: VISLANG_WEIGHTS)")
    add_preset(parser, CONFIGS, "best")
    parser.add_argument("--limit", type=int, metavar="N", help="this many images, picked at random (default: all)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return train(build_parser(), argv, "naturalness.training", "NaturalnessTraining")


if __name__ == "__main__":
    sys.exit(main())
