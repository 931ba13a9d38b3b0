"""Command: exaggerate the features that a layer has of an image.

Example:
    python -m preimage.caricature --images cat.jpg --model mobilenet_0.75 --layer conv_pw_11_relu --out caricature.png

The sheet shows the images at the network's size and, below, their caricatures. gain is the projection of the
caricature's features onto the image's own, 1 for the image itself.
"""

import argparse
import sys

from preimage.cli import add_layer, add_search, network_parser, run_search
from vislang.core.cli import CommandParser, run_command


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.caricature", __doc__)
    add_layer(parser, "the map in the middle")
    add_search(parser, ("ijcv16", "fourier", "cvpr15"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: caricature(args))


def caricature(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    from preimage.api import caricature_images

    return run_search(args, caricature_images, stages=1)


if __name__ == "__main__":
    sys.exit(main())
