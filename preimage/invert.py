"""Command: what does a layer keep of a photograph? Find pictures that it cannot tell from the photograph.

Examples:
    python -m preimage.invert --image cat.jpg --out inverted.png
    python -m preimage.invert --image cat.jpg dog.jpg --network mobilenet_0.75 --layer conv_pw_5_relu --out inverted.png
    python -m preimage.invert --image cat.jpg --preset cvpr15 --frames search.gif --out inverted.png

The sheet shows the photographs as the network sees them and, below, what was found. feature_error is the squared
distance to the photograph's features over their squared norm.
"""

import argparse
import sys
from typing import Any

from common.commands import DONE, run_command, shown_name
from preimage.command import (
    add_images,
    check_paths,
    default_layer,
    describe_command,
    followed_search,
    natural_prior,
    opened_network,
    print_measures,
    search_facts,
    write_sheet,
)

_MASKS = ("all", "central", "first-half", "second-half")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.invert", __doc__, ("ijcv16", "cvpr15", "kato", "fourier"))
    add_images(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    parser.add_argument(
        "--only", choices=_MASKS, default="all", help="the middle 5x5 cells, or half of the channels (default: all)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `common.commands` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: invert(args))


def invert(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    check_paths(args, *args.image)
    network = opened_network(args)
    from common.config import override
    from preimage import searches
    from preimage.config import CONFIGS

    config, layer = override(CONFIGS[args.preset], args.set), args.layer or default_layer(network)
    pictures, mask = network.pictures(args.image), mask_of(args.only, network.shape(layer))
    seeds = [args.seed + number for number in range(len(pictures))]
    with followed_search(args, sum(config.iterations), len(pictures)) as running:
        natural = natural_prior(args)
        found = searches.invert(network, pictures, layer, config, mask=mask, natural=natural, seeds=seeds, **running)
    write_sheet(args.out, [pictures, found.pictures])
    names = [shown_name(str(path)) for path in args.image]
    print_measures(args, search_facts(args, network, layer), names, found)
    return DONE


def mask_of(only: str, shape: tuple[int, ...]) -> Any:
    """Give the mask of the features that count; None: all."""
    from common.errors import ConfigError
    from preimage.objectives import central_cells, channel_half

    if only == "central":
        if len(shape) != 3:
            raise ConfigError(f"--only central is for maps, got a layer of shape {shape}; choose another layer")
        return central_cells(shape)
    return None if only == "all" else channel_half(shape[-1], 1 if only == "first-half" else 2)


if __name__ == "__main__":
    sys.exit(main())
