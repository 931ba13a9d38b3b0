"""Command: paint a photograph in the style of another picture.

Examples:
    python -m preimage.style --image cat.jpg --style waves.jpg --network vgg19_block3 --out painted.png
    python -m preimage.style --image cat.jpg --style waves.jpg --colour luminance --out painted.png
    python -m preimage.style --image cat.jpg --style waves.jpg --regions cat_mask.png waves_mask.png --out painted.png

The sheet shows the photographs and the style, and below what was painted.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from preimage.cli import (
    add_images,
    check_paths,
    describe_command,
    followed_search,
    opened_network,
    print_measures,
    search_facts,
    write_sheet,
)
from vislang.core.cli import DONE, run_command, shown_name
from vislang.core.errors import ConfigError


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.style", __doc__, ("style",))
    add_images(parser)
    parser.add_argument("--style", type=Path, required=True, metavar="FILE", help="whose textures are taken")
    parser.add_argument("--content-layer", metavar="NAME", help="whose maps are kept (default: a middle one)")
    parser.add_argument(
        "--style-layers", nargs="+", default=[], metavar="NAME", help="(default: one of each of the first five sizes)"
    )
    parser.add_argument("--content-weight", type=float, default=1.0, metavar="W", help="(default: %(default)s)")
    parser.add_argument("--style-weight", type=float, default=10.0, metavar="W", help="(default: %(default)s)")
    parser.add_argument(
        "--normalisation", choices=("relative", "paper", "port", "neural-style"), default="relative",
        help="of Gram matrices; the weights mean something else in each (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--colour", choices=("none", "pca", "chol", "sym", "luminance"), default="none",
        help="keep the photograph's colours: paint with a style in its colours, or with luminance alone",
    )  # fmt: skip
    parser.add_argument(
        "--regions", nargs=2, type=Path, metavar=("PHOTO", "STYLE"), help="pictures whose grey levels number regions"
    )
    parser.add_argument("--texture", type=Path, metavar="FILE", help="whose fine strokes are first put on the style")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: style(args))


def style(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    check_paths(args, *args.image, args.style, *(args.regions or []), *([args.texture] if args.texture else []))
    if args.natural is not None:
        raise ConfigError("--natural is for inversion, maximisation and caricatures; leave it out")
    network = opened_network(args)
    from preimage.api import style_images
    from preimage.config import CONFIGS
    from vislang.core.cli import chosen_config

    pictures, painting = network.pictures(args.image), network.pictures([args.style])
    iterations = sum(chosen_config(args, CONFIGS).iterations)
    with followed_search(args, iterations, len(pictures)) as running:
        seeds = [args.seed + number for number in range(len(pictures))]
        found = style_images(
            network, pictures, args.style, preset=args.preset, settings=args.set, content_layer=args.content_layer,
            style_layers=args.style_layers, regions=read_regions(args, network), texture=args.texture,
            content_weight=args.content_weight, style_weight=args.style_weight, normalisation=args.normalisation,
            colour=args.colour, running={**running, "seeds": seeds},
        )  # fmt: skip
    write_sheet(args.out, [[*pictures, *painting], found.pictures])
    names = [shown_name(str(path)) for path in args.image]
    print_measures(args, search_facts(args, network, "style"), names, found)
    return DONE


def read_regions(args: argparse.Namespace, network: Any) -> Any:
    """Read both maps of regions: their grey levels, sorted, become 0, 1, ..."""
    if not args.regions:
        return None
    import numpy as np
    from PIL import Image

    from vislang.images.decode import decode_image

    side = (network.size, network.size)
    maps = [decode_image(path).convert("L").resize(side, Image.Resampling.NEAREST) for path in args.regions]
    levels = [np.unique(np.asarray(part), return_inverse=True) for part in maps]
    if len(levels[0][0]) > 16:
        raise ConfigError(f"{args.regions[0]} has {len(levels[0][0])} grey levels, expected one for each of 16 regions")
    return tuple(inverse.reshape(side) for _, inverse in levels)


if __name__ == "__main__":
    sys.exit(main())
