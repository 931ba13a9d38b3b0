"""Command: compare two networks on the same images, at corresponding layers, side by side on one page.

Examples:
    python -m preimage.compare mobilenet_0.75 squeezenet_v1.1 --images photos/ --out page.html
    python -m preimage.compare runs/photos runs/drawings --images photos/ --layers grid --iterations 100 --out page.html
    python -m preimage.compare mobilenet_0.75 efficientnet_lite0 --images photos/ --layers conv_pw_5_relu
        --layers-b blocks_4_add --out page.html --json numbers.json

Each layer shows inversions, caricatures, deconvnets and the most distinctive channels; a table has the measures of each
layer, and a matrix the similarity of all layers (linear CKA, debiased, over up to --cka-images images). Layers of the
same names correspond; others are matched by their stride and by their share of the network's weight layers.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preimage.cli import add_labels, add_seed, load_network_of, progress_bar, report_skipped
from preimage.comparison.inversion_errors import MEASURES
from preimage.config import CONFIGS
from preimage.options import ComparisonOptions
from vislang.core.cli import CommandParser, add_images, command_parser, print_written, run_command
from vislang.core.config_options import add_preset

if TYPE_CHECKING:
    from eval.results.experiments import ComparisonResult
    from preimage.comparison.network_comparison import ComparedNetwork, Comparison


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = command_parser("preimage.compare", __doc__)
    parser.add_argument("networks", nargs=2, metavar="NETWORK", help="A and B: what --model of preimage.invert takes")
    add_images(parser)
    for letter, end in (("A", ""), ("B", "-b")):
        group = parser.add_argument_group(f"network {letter}")
        group.add_argument(f"--weights{end}", metavar="FILE", help="instead of the usual places")
        group.add_argument(f"--preprocessing{end}", metavar="NAME", help="needed for .keras files")
        group.add_argument(f"--size{end}", type=int, metavar="PIXELS", help="side of its images")
        add_labels(group, f"--labels{end}")
        group.add_argument(f"--layers{end}", nargs="+", default=[], metavar="NAME", help="shallow ones first")
    what = parser.add_argument_group("what is compared")
    what.add_argument("--num-layers", type=int, metavar="N", help="without --layers (default: 4)")
    what.add_argument("--limit", type=int, default=6, metavar="N", help="images searched from (default: %(default)s)")
    what.add_argument("--cka-images", type=int, default=200, metavar="N", help="images of CKA (default: %(default)s)")
    what.add_argument("--pooled", action="store_true", help="CKA of features averaged over positions")
    what.add_argument(
        "--classes", nargs="+", default=[], metavar="NAME", help="(default: shared ones, predicted most often)"
    )
    what.add_argument(
        "--channels", nargs="+", type=int, default=[], metavar="N", help="to maximise at each layer of both"
    )
    search = parser.add_argument_group("search")
    add_preset(search, {name: CONFIGS[name] for name in ("ijcv16", "fourier", "cvpr15")}, "ijcv16")
    search.add_argument("--iterations", type=int, metavar="N", help="of each search, instead of the presets'")
    add_seed(search)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="page to write, such as page.html")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: compare(args))


def compare(args: argparse.Namespace) -> int:
    """Compare, write the page and print the numbers."""
    from preimage.pages.panels import check_page
    from vislang.core.files import check_outputs, write_json
    from vislang.images.sources import find_images

    check_page(args.out)
    options = ComparisonOptions(
        layers=tuple(args.layers), layers_b=tuple(args.layers_b), num_layers=args.num_layers, limit=args.limit,
        cka_images=args.cka_images, pooled=args.pooled, classes=tuple(args.classes), channels=tuple(args.channels),
        preset=args.preset, settings=tuple(args.set), iterations=args.iterations, seed=args.seed,
    )  # fmt: skip
    paths, missing = find_images(args.images)
    check_outputs({"--out": args.out, "--json": args.json}, paths)
    networks = []
    for model, end in zip(args.networks, ("", "_b"), strict=True):
        of_network = {name: getattr(args, name + end) for name in ("weights", "preprocessing", "size")}
        networks.append(load_network_of(argparse.Namespace(model=model, **of_network)))
    from preimage.comparison.network_comparison import compare_networks
    from preimage.pages.compare import compare_page

    with progress_bar("comparing") as bar:
        comparison = compare_networks(
            networks[0], networks[1], paths, options, labels=(args.labels, args.labels_b), on_start=bar.reset,
            progress=bar.update,
        )  # fmt: skip
    origin = origin_of(args, networks)
    compare_page(comparison, origin).write(args.out)
    print_written(args.out)
    result = result_of(args, comparison, origin)
    if args.json is not None:
        write_json(args.json, result.to_json())
    for a, b, cka in zip(result.a["layers"], result.b["layers"], result.cka["matched_debiased"], strict=True):
        errors = [f"{layer['layer']} error {layer['feature_error']['mean']:.3f}" for layer in (a, b)]
        print(f"{', '.join(errors)}, CKA {'-' if cka is None else f'{cka:.3f}'}")
    return report_skipped([*missing, *comparison.skipped])


def origin_of(args: argparse.Namespace, networks: Any) -> dict[str, Any]:
    """Return the settings of the command, fingerprints of the networks, commit, date and versions."""
    from dataclasses import asdict

    from vislang.backbones.weights import fingerprint
    from vislang.core.provenance import provenance

    settings: dict[str, Any] = {}
    for name, value in vars(args).items():
        if isinstance(value, Path):
            settings[name] = value.name  # folders of this machine say nothing elsewhere
        elif value not in (None, [], ()):
            settings[name] = value
    settings["images"] = [Path(image).name for image in args.images]
    weights = [fingerprint(network.model.get_weights()) for network in networks]
    return {"settings": settings, "weights": weights, **asdict(provenance())}


def result_of(args: argparse.Namespace, comparison: "Comparison", origin: dict[str, Any]) -> "ComparisonResult":
    """Return all numbers, those of each image and their means, with file names instead of paths."""
    from eval.results.experiments import ComparisonResult

    return ComparisonResult(
        name=(args.json or args.out).stem.removeprefix("comparison-"),
        config=origin["settings"],
        networks=[Path(network).name for network in args.networks],
        images=[Path(name).name for name in comparison.names],
        classes=list(comparison.class_names),
        cka={
            "images": comparison.cka_images,
            "features": "mean over positions" if comparison.pooled else "all positions",
            "debiased": _rounded(comparison.cka),
            "biased": _rounded(comparison.cka_biased),
            "matched_debiased": _rounded(comparison.matched(comparison.cka)),
            "matched_biased": _rounded(comparison.matched(comparison.cka_biased)),
        },
        weights_fingerprints=origin["weights"],
        skipped=[{"source": image.source, "reason": image.reason} for image in comparison.skipped],
        a=_numbers_of(comparison.a),
        b=_numbers_of(comparison.b),
    )


def _numbers_of(side: "ComparedNetwork") -> dict[str, Any]:
    layers = []
    for analysis in side.layers:
        row: dict[str, Any] = {"layer": analysis.inversions.layer, "shape": list(analysis.shape)}
        row["channels"] = analysis.channels.tolist()
        for name in MEASURES:
            values = getattr(analysis.inversions, name)
            row[name] = None
            if values is not None:
                values = values.astype(float)
                row[name] = {"mean": float(values.mean()), "std": float(values.std()), "each": _rounded(values)}
        layers.append(row)
    return {"layers": layers, "cka_layers": list(side.cka_layers)}


def _rounded(values: Any) -> Any:
    """Return numbers for JSON, with None for NaN."""
    rounded = values.round(6).astype(object)
    rounded[values != values] = None
    return rounded.tolist()


if __name__ == "__main__":
    sys.exit(main())
