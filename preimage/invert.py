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
from typing import Any

from preimage.cli import add_search, network_parser, report_search, search_inputs, search_options
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
    from preimage.config import search_config
    from preimage.image_synthesis import invert_images

    config = search_config(args.preset, args.set)
    inputs = search_inputs(args)
    mask = mask_of(args.only, inputs.network.shape(inputs.layer))
    with search_options(args, sum(config.iterations)) as options:
        found = invert_images(
            inputs.network, inputs.images, inputs.layer, preset=args.preset, settings=args.set, mask=mask,
            prior_model=inputs.prior_model, options=options,
        )  # fmt: skip
    return report_search(args, inputs, found)


def mask_of(part: str, shape: tuple[int, ...]) -> Any:
    """Return the mask of a part of the features of a shape, float32; None: all of them.

    Raises:
        ConfigError: the middle of features without positions.
    """
    from preimage.optimization.objectives import central_cells, channel_half
    from vislang.core.errors import ConfigError

    if part == "central":
        if len(shape) != 3:
            raise ConfigError(f"--only central is for maps, got a layer of shape {shape}; choose another layer")
        return central_cells(shape)
    if part == "first-half":
        return channel_half(shape[-1], 1)
    if part == "second-half":
        return channel_half(shape[-1], 2)
    return None


if __name__ == "__main__":
    sys.exit(main())
