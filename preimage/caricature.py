"""Command: exaggerate in a photograph what a layer sees in it.

Example:
    python -m preimage.caricature --image cat.jpg --network mobilenet_0.75 --layer conv_pw_11_relu --out caricature.png

The sheet shows the photographs as the network sees them and, below, their caricatures. gain says how many times the
photograph's own features are in the caricature.
"""

import argparse
import sys
from typing import Any

from preimage.cli import add_images, describe_command, search_from_photographs
from vislang.core.cli import run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.caricature", __doc__, ("ijcv16", "fourier", "cvpr15"))
    add_images(parser)
    parser.add_argument("--layer", metavar="NAME", help="(default: the deepest map)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: caricature(args))


def caricature(args: argparse.Namespace) -> int:
    """Search, draw and print."""

    def search(*found: Any, **running: Any) -> Any:
        from preimage.optimization import searches

        return searches.caricature_of(*found, **running)

    return search_from_photographs(args, search, stages=1)


if __name__ == "__main__":
    sys.exit(main())
