"""Command: what does a layer keep of an image? Search for images with the same features.

Examples:
    python -m preimage.invert --images cat.jpg --out inverted.png
    python -m preimage.invert --images cat.jpg dog.jpg --model mobilenet_0.75 --layer conv_pw_5_relu --out inverted.png
    python -m preimage.invert --images cat.jpg --preset cvpr15 --frames search.gif --out inverted.png

The sheet shows the images at the network's size and, below, their inversions. feature_error is the squared distance
to the image's features over their squared norm.
"""

import argparse
import functools
import sys

from preimage.cli import add_layer, add_search, network_parser, run_search
from vislang.core.cli import CommandParser, run_command


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.invert", __doc__)
    add_layer(parser, "the map in the middle")
    parser.add_argument(
        "--only", choices=("central", "first-half", "second-half"),
        help="invert the middle 5x5 cells, or half of the channels alone",
    )  # fmt: skip
    add_search(parser, ("ijcv16", "cvpr15", "kato", "fourier"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: invert(args))


def invert(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    from preimage.api import invert_images

    return run_search(args, functools.partial(invert_images, mask=args.only))


if __name__ == "__main__":
    sys.exit(main())
