"""Command: everything that this package shows of one network, on one page, with the command that makes each part.

Examples:
    python -m preimage.gallery --images photos/ --out page.html
    python -m preimage.gallery --model mobilenet_0.75 --images photos/ --style painting.jpg --out page.html
    python -m preimage.gallery --model vgg19_block3 --images photos/ --iterations 60 --limit 3 --out page.html

Inversions and caricatures at several layers, maximised classes and channels, the patches with the largest activations
of channels with three kinds of deconvolution, filters from white noise and, with --style, stylised images.
"""

import argparse
import sys
from pathlib import Path

from preimage import cli
from vislang.core.cli import CommandParser, print_written, run_command, shown_name


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = cli.network_parser("preimage.gallery", __doc__, output="page to write, such as page.html")
    parser.add_argument("--layers", nargs="+", default=[], metavar="NAME", help="or all (default: four, evenly spread)")
    parser.add_argument("--limit", type=int, default=4, metavar="N", help="images shown (default: %(default)s)")
    parser.add_argument(
        "--channels", nargs="+", type=int, default=[], metavar="N", help="of the deepest layer (default: distinctive)"
    )
    cli.add_labels(parser)
    parser.add_argument("--style", type=Path, metavar="FILE", help="image whose style is transferred")
    parser.add_argument("--iterations", type=int, metavar="N", help="of each search, instead of the presets'")
    cli.add_seed(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: gallery(args))


def gallery(args: argparse.Namespace) -> int:
    """Search, write the page and print the measures."""
    from preimage.pages.panels import check_page, picture_page

    check_page(args.out)
    network, paths, missing = cli.network_and_images(args)
    from preimage.pages.gallery import PARTS, gallery_inputs

    inputs = gallery_inputs(network, paths, args)
    sections = []
    measures = {}
    for part in PARTS:
        with cli.progress_bar(part.__name__) as bar:
            made = part(inputs, bar.update)
        if made is not None:
            sections.append(made.html)
            measures[part.__name__] = made.measures
    tags = [f"{network.size} x {network.size} pixels", f"{len(inputs.images)} images", f"seed {args.seed}"]
    picture_page(f"Inside {Path(network.name).name}", tags, sections, "preimage.gallery").write(args.out)
    print_written(args.out)
    if args.json:
        facts = {"network": network.name, "layers": inputs.layers, "out": shown_name(str(args.out))}
        cli.print_json(facts | measures)
    return cli.report_skipped([*missing, *inputs.skipped])


if __name__ == "__main__":
    sys.exit(main())
