"""Command: exaggerate the features that a layer has of an image.

Example:
    python -m preimage.caricature --images cat.jpg --model mobilenet_0.75 --layer conv_pw_11_relu --out caricature.png

The sheet shows the images at the network's size and, below, their caricatures. gain is the projection of the
caricature's features onto the image's own, 1 for the image itself.
"""

import argparse
import sys

from preimage.cli import (
    add_search,
    check_outputs,
    network_and_images,
    network_parser,
    prior_model_of,
    report_search,
    search_options,
)
from vislang.core.cli import CommandParser, add_images, add_strict, run_command


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.caricature", __doc__)
    add_images(parser)
    add_strict(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    add_search(parser, ("ijcv16", "fourier", "cvpr15"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: caricature(args))


def caricature(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    from preimage.api import caricature_images
    from preimage.config import search_config

    config = search_config(args.preset, args.set)
    check_outputs(args)
    network, paths, missing = network_and_images(args)
    from preimage.networks.layers import deepest_map

    layer = args.layer or deepest_map(network)
    prior_model = prior_model_of(args)
    with search_options(args, config.iterations[0]) as options:
        found = caricature_images(network, paths, layer, preset=config, prior_model=prior_model, options=options)
    return report_search(args, network, layer, found, missing)


if __name__ == "__main__":
    sys.exit(main())
