"""Command: exaggerate in a photograph what a layer sees in it.

Example:
    python -m preimage.caricature --image cat.jpg --network mobilenet_0.75 --layer conv_pw_11_relu --out caricature.png

The sheet shows the photographs as the network sees them and, below, their caricatures. gain says how many times the
photograph's own features are in the caricature.
"""

import argparse
import sys

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


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.caricature", __doc__, ("ijcv16", "fourier", "cvpr15"))
    add_images(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `common.commands` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: caricature(args))


def caricature(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    check_paths(args, *args.image)
    network = opened_network(args)
    from common.config import override
    from preimage import searches
    from preimage.config import CONFIGS

    config, layer = override(CONFIGS[args.preset], args.set), args.layer or default_layer(network)
    pictures = network.pictures(args.image)
    seeds = [args.seed + number for number in range(len(pictures))]
    with followed_search(args, config.iterations[0], len(pictures)) as running:
        natural = natural_prior(args)
        found = searches.caricature_of(network, pictures, layer, config, natural=natural, seeds=seeds, **running)
    write_sheet(args.out, [pictures, found.pictures])
    names = [shown_name(str(path)) for path in args.image]
    print_measures(args, search_facts(args, network, layer), names, found)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
