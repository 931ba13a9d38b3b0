"""Command: how well are layers inverted, by which search, and is what was found still recognised? One table.

Examples:
    python -m preimage.measure --network mobilenet_0.75 --images photos/ --layers conv_pw_3_relu,conv_pw_11_relu
        --searches ijcv16 cvpr15 --out results
    python -m preimage.measure --network mobilenet_0.75 --images photos/ --layers conv_pw_13_relu
        --searches ijcv16 ijcv16+natural natural --natural runs/vlm-f8k-best --judge squeezenet_v1.1 --out results

A search is a preset; "+natural" adds the model of pictures to its priors, "natural" alone has no other. The judge is a
network that the search never sees: it is asked for the class that it gives the photograph.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from preimage.cli import describe_command, opened_network
from preimage.config import CONFIGS
from vislang.core.cli import DONE, add_settings, progress_is_shown, run_command, shown_name


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.measure", __doc__, draws=False)
    parser.add_argument("--images", required=True, type=Path, metavar="DIR", help="pictures, or a list of them")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="pictures, evenly spread (default: 10)")
    parser.add_argument("--layers", required=True, metavar="A,B", help="taps")
    parser.add_argument("--searches", nargs="+", default=["ijcv16", "cvpr15"], metavar="NAME", help="(default: both)")
    parser.add_argument("--natural", type=Path, metavar="DIR", help="a visual language model, as a prior")
    parser.add_argument("--judge", metavar="NAME", help="an independent network with classes")
    add_settings(parser, CONFIGS, "change one setting of all searches; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--name", help="of the results (default: the network's)")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw what was found, a row for each search")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: measure(args))


def measure(args: argparse.Namespace) -> int:
    """Search, write `inversions-<name>.json` and print the table."""
    import json

    from preimage.cli import natural_prior, write_sheet
    from vislang.core.files import file_name, require_writable_folder, write_json

    for folder in (args.out, *([args.sheet.parent] if args.sheet else [])):
        require_writable_folder(folder)
    network = opened_network(args)
    from preimage.api import load_network
    from preimage.comparison.inversion_errors import in_numbers
    from vislang.core.provenance import provenance

    judge, names = load_network(args.judge) if args.judge else None, chosen_images(args)
    pictures = network.pictures(names)
    found = followed(args, network, pictures, natural=natural_prior(args), judge=judge)
    rows = [in_numbers(one) for one in found]
    told = {
        "kind": "inversions", "name": args.name or Path(network.name).name, "network": network.name,
        "size": network.size, "judge": args.judge, "settings": args.set, "seed": args.seed,
        "images": [path.name for path in names], "rows": rows, **provenance(),
    }  # fmt: skip
    write_json(args.out / file_name(f"inversions-{told['name']}.json"), told)
    if args.sheet:
        write_sheet(args.sheet, [pictures, *(one.pictures for one in found)])
    print(json.dumps(told, allow_nan=False) if args.json else table(rows), end="\n" if args.json else "")
    return DONE


def chosen_images(args: argparse.Namespace) -> list[Path]:
    """Give some of the pictures, evenly spread over all."""
    import numpy as np

    from vislang.core.errors import DataError
    from vislang.features.pipeline import list_images

    paths = list_images(args.images)
    rows = np.linspace(0, len(paths) - 1, max(0, min(args.limit, len(paths)))).round().astype(int)
    if len(rows) < 2:
        raise DataError(f"{shown_name(str(args.images))}: {len(rows)} pictures to invert, expected 2 or more")
    return [paths[row] for row in rows]


def followed(args: argparse.Namespace, network: Any, pictures: Any, **models: Any) -> Any:
    """Search with a bar of progress."""
    from tqdm import tqdm

    from preimage.comparison.inversion_errors import measure_inversions, search_settings

    layers = [layer.strip() for layer in args.layers.split(",") if layer.strip()]
    steps = sum(sum(search_settings(name, args.set)[0].iterations) for name in args.searches)
    with tqdm(total=len(layers) * steps, unit="step", disable=not progress_is_shown()) as bar:
        return measure_inversions(
            network, pictures, layers, args.searches, settings=args.set, seed=args.seed, progress=bar.update, **models
        )


def table(rows: list[dict[str, Any]]) -> str:
    """Give the numbers as a Markdown table."""
    names = ("feature_error", "distance", "gradients", "same_class", "judge_top1", "judge_top5")
    shown = [name for name in names if name in rows[0]]
    lines = [f"| layer | search | {' | '.join(shown)} |", "|---" * (len(shown) + 2) + "|"]
    for row in rows:
        values = (
            f"{row[name]:.3g} ± {row[name + '_deviation']:.2g}" if name + "_deviation" in row else f"{row[name]:g}"
            for name in shown
        )
        lines.append(f"| {row['layer']} | {row['search']} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
