"""Command: how well are layers inverted, by which search, and are inversions still recognised? One table.

Examples:
    python -m preimage.measure --model mobilenet_0.75 --images photos/ --layers conv_pw_3_relu conv_pw_11_relu
        --searches ijcv16 cvpr15 --out results
    python -m preimage.measure --model mobilenet_0.75 --images photos/ --layers conv_pw_13_relu --searches ijcv16
        ijcv16+prior prior --prior-model runs/vlm-f8k-best --second-network squeezenet_v1.1 --out results

A search is a preset; "+prior" adds the prior model to its priors, "prior" uses no other. The second network takes no
part in the search: it is tested whether it predicts the class of the image for the inversion.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from preimage import cli
from preimage.config import CONFIGS
from preimage.options import SearchOptions
from vislang.core.cli import CommandParser, run_command
from vislang.core.config_options import add_settings

if TYPE_CHECKING:
    from eval.results.experiments import InversionRow

_MEASURES = ("feature_error", "distance", "gradients", "same_class", "second_network_top1", "second_network_top5")


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = cli.network_parser("preimage.measure", __doc__, output="")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="images, evenly spread (default: 10)")
    parser.add_argument("--layers", required=True, nargs="+", metavar="NAME", help="layers to invert, or all")
    parser.add_argument("--searches", nargs="+", default=["ijcv16", "cvpr15"], metavar="NAME", help="(default: both)")
    cli.add_prior_model(parser)
    parser.add_argument("--second-network", metavar="NAME", help="another network with classes")
    add_settings(parser, CONFIGS, "change one setting of all searches; repeatable")
    cli.add_seed(parser)
    parser.add_argument("--name", help="of the results (default: the network's)")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw the inversions, a row for each search")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: measure(args))


def measure(args: argparse.Namespace) -> int:
    """Search, write `inversions-<name>.json` and print the table."""
    from eval.results.experiments import InversionResult
    from eval.results.result import write_result
    from vislang.core.errors import DataError
    from vislang.core.files import require_writable_folder
    from vislang.draw.image_files import check_image_path

    require_writable_folder(args.out)
    if args.sheet is not None:
        check_image_path(args.sheet, "--sheet")
    network, paths, missing = cli.network_and_images(args, ["sheet"])
    from preimage.comparison.inversion_errors import config_of_search, measure_inversions
    from preimage.networks.image_inputs import read_images
    from preimage.networks.layers import named_layers
    from preimage.networks.loading import load_network

    layers = named_layers(network, args.layers)
    second_network = None
    if args.second_network is not None:
        second_network = load_network(args.second_network)
    read = read_images(network, paths, strict=args.strict, most=args.limit)
    if len(read.names) < 2:
        raise DataError(f"got {len(read.names)} images to invert, expected 2 or more; give more images")
    iterations = 0
    for search in args.searches:
        iterations += sum(config_of_search(search, args.set).iterations)
    with cli.progress_bar("inverting", len(layers) * iterations) as bar:
        found = measure_inversions(
            network, read.images, layers, args.searches, prior_model=cli.prior_model_of(args),
            second_network=second_network, settings=args.set,
            options=SearchOptions(seed=args.seed, progress=bar.update),
        )  # fmt: skip
    name = Path(network.name).name
    result = InversionResult(
        name=args.name or name,
        network=name,
        size=network.size,
        second_network=args.second_network,
        settings=args.set,
        seed=args.seed,
        images=[Path(path).name for path in read.names],
        rows=tuple(inversions.to_row() for inversions in found),
    )
    write_result(args.out, result)
    if args.sheet is not None:
        cli.write_sheet(args.sheet, [read.images, *(inversions.images for inversions in found)])
    if args.json:
        cli.print_json(result.to_json())
    else:
        print(table(result.rows))
    return cli.report_skipped([*missing, *read.skipped])


def table(rows: "Sequence[InversionRow]") -> str:
    """Return the measures as a Markdown table."""
    measures = [name for name in _MEASURES if name in rows[0].metrics]
    lines = [f"| layer | search | {' | '.join(measures)} |", "|---" * (len(measures) + 2) + "|"]
    for row in rows:
        cells = [row.layer, row.search]
        for name in measures:
            if name in row.std:
                cells.append(f"{row.metrics[name]:.3g} ± {row.std[name]:.2g}")
            else:
                cells.append(f"{row.metrics[name]:g}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
