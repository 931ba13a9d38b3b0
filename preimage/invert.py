"""Command: what does a layer keep of an image? Search for images with the same features.

Examples:
    python -m preimage.invert --images cat.jpg --out inverted.png
    python -m preimage.invert --images cat.jpg dog.jpg --model mobilenet_0.75 --layer conv_pw_5_relu --out inverted.png
    python -m preimage.invert --images cat.jpg --preset cvpr15 --frames search.gif --out inverted.png

The sheet shows the images at the network's size and, below, their inversions. feature_error is the squared distance
to the image's features over their squared norm.
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

_PARTS = ("all", "central", "first-half", "second-half")


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.invert", __doc__)
    add_images(parser)
    add_strict(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    parser.add_argument(
        "--only", choices=_PARTS, default="all", help="invert the middle 5x5 cells, or half of the channels alone"
    )
    add_search(parser, ("ijcv16", "cvpr15", "kato", "fourier"))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: invert(args))


def invert(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    from preimage.api import invert_images
    from preimage.config import search_config

    config = search_config(args.preset, args.set)
    check_outputs(args)
    network, paths, missing = network_and_images(args)
    from preimage.networks.layers import deepest_map
    from preimage.optimization.objectives import feature_mask

    layer = args.layer or deepest_map(network)
    mask = None
    if args.only != "all":
        mask = feature_mask(layer, network.shape(layer), args.only)
    prior_model = prior_model_of(args)
    with search_options(args, sum(config.iterations)) as options:
        found = invert_images(network, paths, layer, preset=config, mask=mask, prior_model=prior_model, options=options)
    return report_search(args, network, layer, found, missing)


if __name__ == "__main__":
    sys.exit(main())
