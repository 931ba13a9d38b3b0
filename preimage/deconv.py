"""Command: which pixels cause a unit's activation? Project it back to the image, by one of three ReLU rules.

Examples:
    python -m preimage.deconv --images cat.jpg --out deconv.png
    python -m preimage.deconv --images photos/ --channel 17 --top 9 --layer blocks_4_add --out channel17.png

Without --channel, the largest activation of each image is projected. With --top, those of the images with the largest
activations of the channel, each cropped to the unit's receptive field.
"""

import argparse
import sys
from typing import Any

from preimage.cli import add_layer, check_outputs, network_and_images, network_parser, report_measures, write_sheet
from vislang.core.cli import CommandParser, run_command
from vislang.core.errors import ConfigError

_RULES = ("deconvnet", "guided", "gradient")


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.deconv", __doc__)
    add_layer(parser)
    parser.add_argument("--channel", type=int, metavar="N", help="counted from 0")
    parser.add_argument("--relu-rule", choices=(*_RULES, "all"), default="all", help="(default: a row for each)")
    parser.add_argument("--top", type=int, metavar="K", help="the K images with the largest activations of the channel")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: deconv(args))


def deconv(args: argparse.Namespace) -> int:
    """Project, draw and print."""
    check_outputs(args)
    if args.top is not None and (args.channel is None or args.top < 1):
        raise ConfigError(f"--top got {args.top} and --channel {args.channel}, expected 1 or more of one channel")
    network, paths, missing = network_and_images(args)
    import numpy as np

    from preimage.api import deconv_images
    from preimage.backprop.deconvnet import as_colours
    from preimage.backprop.top_patches import top_patches
    from preimage.networks.image_inputs import read_images
    from preimage.networks.layers import deepest_map

    layer = network.before_relu(args.layer or deepest_map(network))
    rules = list(_RULES) if args.relu_rule == "all" else [args.relu_rule]
    chosen: Any
    if args.top is None:
        chosen = read_images(network, paths, strict=args.strict)
        images = chosen.images
    else:
        chosen = top_patches(network, paths, layer, args.channel, count=args.top, strict=args.strict)
        images = np.stack([patch.image for patch in chosen.patches])
    rows: list[Any] = [images]
    for rule in rules:
        projections = deconv_images(network, images, layer, channel=args.channel, relu_rule=rule)
        rows.append(as_colours(projections.images))
    if args.top is not None:
        rows = [[patch.enlarged(image) for patch, image in zip(chosen.patches, row, strict=True)] for row in rows]
    write_sheet(args.out, rows)
    facts = {"network": network.name, "layer": layer, "channel": args.channel, "relu_rules": rules}
    measures = {"activation": projections.activations}
    return report_measures(args, facts, chosen.names, measures, [*missing, *chosen.skipped])


if __name__ == "__main__":
    sys.exit(main())
