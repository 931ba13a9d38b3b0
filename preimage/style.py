"""Command: transfer the style of an image to others.

Examples:
    python -m preimage.style --images cat.jpg --style waves.jpg --model vgg19_block3 --out painted.png
    python -m preimage.style --images cat.jpg --style waves.jpg --colour luminance --out painted.png
    python -m preimage.style --images cat.jpg --style waves.jpg --regions cat_mask.png waves_mask.png --out painted.png

The sheet shows the images and the style and, below, the stylised images.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from preimage import cli
from preimage.options import StyleOptions
from vislang.core.cli import CommandParser, run_command
from vislang.core.errors import ConfigError

_MOST_REGIONS = 16


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = cli.network_parser("preimage.style", __doc__)
    parser.add_argument("--style", type=Path, required=True, metavar="FILE", help="image whose textures are used")
    parser.add_argument("--content-layer", metavar="NAME", help="whose maps are kept (default: a middle one)")
    parser.add_argument(
        "--style-layers", nargs="+", default=[], metavar="NAME", help="(default: one of each of the first five sizes)"
    )
    parser.add_argument("--content-weight", type=float, default=1.0, metavar="W", help="(default: %(default)s)")
    parser.add_argument("--style-weight", type=float, default=10.0, metavar="W", help="(default: %(default)s)")
    parser.add_argument(
        "--normalisation", choices=("relative", "paper", "port", "neural-style"), default="relative",
        help="of Gram matrices; weights are relative to it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--colour", choices=("none", "pca", "chol", "sym", "luminance"), default="none",
        help="keep the image's colours: match the style's colours to them, or transfer luminance alone",
    )  # fmt: skip
    parser.add_argument(
        "--regions", nargs=2, type=Path, metavar=("CONTENT", "STYLE"), help="images whose grey levels are regions"
    )
    parser.add_argument("--texture", type=Path, metavar="FILE", help="image whose fine texture is put on the style")
    cli.add_search(parser, ("style",))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: style(args))


def style(args: argparse.Namespace) -> int:
    """Search, draw and print."""
    from preimage.config import search_config

    cli.check_outputs(args)
    config = search_config(args.preset, args.set)
    network, paths, missing = cli.network_and_images(args)
    from preimage.api import style_images

    style_image = network.resized(args.style)
    style_options = StyleOptions(
        content_layer=args.content_layer,
        style_layers=tuple(args.style_layers),
        content_weight=args.content_weight,
        style_weight=args.style_weight,
        normalisation=args.normalisation,
        colour=args.colour,
    )
    with cli.search_options(args, sum(config.iterations)) as options:
        found = style_images(
            network, paths, style_image, preset=config, style_options=style_options,
            regions=read_regions(args, network), texture=args.texture, prior_model=cli.prior_model_of(args),
            options=options,
        )  # fmt: skip
    inputs: Any = found.inputs
    return cli.report_search(args, network, "style", found, [[*inputs, style_image], found.images], missing)


def read_regions(args: argparse.Namespace, network: Any) -> Any:
    """Read both maps of regions, int [S, S]: their grey levels, sorted, become 0, 1, ...; None without --regions."""
    import numpy as np
    from PIL import Image

    from vislang.images.decode import decode_image

    if not args.regions:
        return None
    side = (network.size, network.size)
    regions = []
    for path in args.regions:
        grey = decode_image(path).convert("L").resize(side, Image.Resampling.NEAREST)
        levels, indices = np.unique(np.asarray(grey), return_inverse=True)
        if len(levels) > _MOST_REGIONS:
            raise ConfigError(f"{path} has {len(levels)} grey levels, expected at most {_MOST_REGIONS}, one per region")
        regions.append(indices.reshape(side))
    return tuple(regions)


if __name__ == "__main__":
    sys.exit(main())
