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

from preimage.cli import add_images, describe_command, search_from_photographs
from vislang.core.cli import run_command

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
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: invert(args))


def invert(args: argparse.Namespace) -> int:
    """Search, draw and print."""

    def search(network: Any, pictures: Any, layer: str, config: Any, **running: Any) -> Any:
        from preimage.optimization import searches

        return searches.invert(
            network, pictures, layer, config, mask=mask_of(args.only, network.shape(layer)), **running
        )

    return search_from_photographs(args, search)


def mask_of(only: str, shape: tuple[int, ...]) -> Any:
    """Give the mask of the features that count; None: all."""
    from preimage.optimization.objectives import central_cells, channel_half
    from vislang.core.errors import ConfigError

    if only == "central":
        if len(shape) != 3:
            raise ConfigError(f"--only central is for maps, got a layer of shape {shape}; choose another layer")
        return central_cells(shape)
    return None if only == "all" else channel_half(shape[-1], 1 if only == "first-half" else 2)


if __name__ == "__main__":
    sys.exit(main())
