"""Command: compare what two networks make of the same images. One page, side by side, at corresponding layers.

Examples:
    python -m preimage.compare mobilenet_0.75 squeezenet_v1.1 --images photos/ --out page.html
    python -m preimage.compare runs/photos runs/drawings --images photos/ --layers grid --iterations 100 --out page.html
    python -m preimage.compare mobilenet_0.75 compact --images photos/ --layers conv_pw_5_relu --layers-b stage2_end
        --out page.html --json numbers.json

Each layer shows inversions, caricatures, deconvnets and the most distinctive channels; a table has the measures of each
layer, and a matrix the similarity of all layers (linear CKA, debiased, over up to --cka-images images). Layers of the
same names correspond; others are matched by their stride and by their share of the network's weight layers.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preimage.cli import add_labels, add_seed, load_network_of, progress_bar, report_skipped
from preimage.config import CONFIGS
from preimage.options import ComparisonOptions
from vislang.core.cli import CommandParser, add_preset, command_parser, run_command, shown_name

if TYPE_CHECKING:
    from eval.results.experiments import ComparisonResult


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = command_parser("preimage.compare", __doc__)
    parser.add_argument("networks", nargs=2, metavar="NETWORK", help="A and B: what --model of preimage.invert takes")
    parser.add_argument(
        "--images", nargs="+", action="extend", default=[], metavar="IMAGE", help="image files, folders or patterns"
    )
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
    from vislang.core.files import require_writable_folder, write_json
    from vislang.images.sources import find_images

    check_page(args.out)
    if args.json is not None:
        require_writable_folder(args.json.parent)
    options = options_of(args)
    paths, missing = find_images(args.images)
    network_a = load_network_of(
        argparse.Namespace(
            model=args.networks[0], weights=args.weights, preprocessing=args.preprocessing, size=args.size
        )
    )
    network_b = load_network_of(
        argparse.Namespace(
            model=args.networks[1], weights=args.weights_b, preprocessing=args.preprocessing_b, size=args.size_b
        )
    )
    from preimage.comparison.network_comparison import compare_networks
    from preimage.pages.compare import compare_page, numbers_of

    with progress_bar("comparing") as bar:
        comparison = compare_networks(
            network_a, network_b, paths, options, labels=(args.labels, args.labels_b), on_start=bar.reset,
            progress=bar.update,
        )  # fmt: skip
    origin = origin_of(args, (network_a, network_b))
    compare_page(comparison, origin).write(args.out)
    print(f"wrote {shown_name(str(args.out))}", file=sys.stderr)
    numbers = numbers_of(comparison)
    if args.json is not None:
        write_json(args.json, result_of(args, numbers, origin).to_json())
    print_numbers(numbers)
    return report_skipped([*missing, *comparison.skipped])


def options_of(args: argparse.Namespace) -> ComparisonOptions:
    """Return what the options of the command ask for."""
    return ComparisonOptions(
        layers=tuple(args.layers), layers_b=tuple(args.layers_b),
        num_layers=args.num_layers, limit=args.limit, cka_images=args.cka_images, pooled=args.pooled,
        classes=tuple(args.classes), channels=tuple(args.channels), preset=args.preset, settings=tuple(args.set),
        iterations=args.iterations, seed=args.seed,
    )  # fmt: skip


def origin_of(args: argparse.Namespace, networks: Any) -> dict[str, Any]:
    """Return the settings of the command, fingerprints of the networks, commit, date and versions."""
    from dataclasses import asdict

    from vislang.backbones.weights import fingerprint
    from vislang.core.provenance import provenance

    settings: dict[str, Any] = {}
    for name, value in vars(args).items():
        if isinstance(value, Path):
            settings[name] = value.name  # where files lie on this machine is nobody's business elsewhere
        elif value not in (None, [], ()):
            settings[name] = value
    settings["images"] = [Path(image).name for image in args.images]
    weights = [fingerprint(network.model.get_weights()) for network in networks]
    return {"settings": settings, "weights": weights, **asdict(provenance())}


def result_of(args: argparse.Namespace, numbers: dict[str, Any], origin: dict[str, Any]) -> "ComparisonResult":
    """Return the numbers as a result, with file names instead of paths."""
    from eval.results.experiments import ComparisonResult

    sides = {}
    for side in ("a", "b"):
        sides[side] = {"layers": numbers[side]["layers"], "cka_layers": numbers[side]["cka_layers"]}
    return ComparisonResult(
        name=args.json.stem.removeprefix("comparison-"),
        config=origin["settings"],
        networks=[Path(network).name for network in args.networks],
        images=[Path(name).name for name in numbers["images"]],
        classes=numbers["classes"],
        cka=numbers["cka"],
        weights_fingerprints=origin["weights"],
        skipped=numbers["skipped"],
        a=sides["a"],
        b=sides["b"],
    )


def print_numbers(numbers: dict[str, Any]) -> None:
    """Print the inversion errors and the CKA of corresponding layers."""
    ckas = numbers["cka"]["matched_debiased"]
    for a, b, cka in zip(numbers["a"]["layers"], numbers["b"]["layers"], ckas, strict=True):
        errors = [f"{layer['layer']} error {layer['feature_error']['mean']:.3f}" for layer in (a, b)]
        shown = "-" if cka is None else f"{cka:.3f}"
        print(f"{', '.join(errors)}, CKA {shown}")


if __name__ == "__main__":
    sys.exit(main())
