"""Command: what do two networks make of the same pictures? One page, side by side, at matched depths.

Examples:
    python -m preimage.compare mobilenet_0.75 squeezenet_v1.1 --images photos/ --out page.html
    python -m preimage.compare runs/photos runs/drawings --images photos/ --layers grid --iterations 100 --out page.html
    python -m preimage.compare mobilenet_0.75 compact --images photos/ --layers conv_pw_5_relu --layers-b stage2_end
        --out page.html --json numbers.json

Each depth shows inversions, caricatures, deconvnets and the channels that stand out; a table has the numbers by depth,
and a matrix says how alike the depths of both are (linear CKA, debiased, over all pictures up to --aligned). Depths of
the same names are matched by name, others by their stride and by their share of the network's layers.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from preimage.config import CONFIGS
from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_preset,
    command_parser,
    progress_is_shown,
    run_command,
    shown_name,
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("preimage.compare", __doc__)
    parser.add_argument("networks", nargs=2, metavar="NETWORK", help="A and B: what --network of preimage.invert takes")
    parser.add_argument("--images", required=True, type=Path, metavar="DIR", help="pictures, or a list of them")
    for letter, end in (("A", ""), ("B", "-b")):
        group = parser.add_argument_group(f"network {letter}")
        group.add_argument(f"--weights{end}", metavar="FILE", help="instead of the usual places")
        group.add_argument(f"--recipe{end}", metavar="NAME", help="of preprocessing; needed for .keras files")
        group.add_argument(f"--size{end}", type=int, metavar="PIXELS", help="side of its pictures")
        group.add_argument(f"--labels{end}", type=Path, metavar="FILE", help="class names, one a line")
        group.add_argument(f"--layers{end}", type=_names, default=(), metavar="A,B", help="its depths, shallow first")
    what = parser.add_argument_group("what is compared")
    what.add_argument("--depths", type=int, default=4, metavar="N", help="without --layers (default: %(default)s)")
    what.add_argument("--limit", type=int, default=6, metavar="N", help="pictures searched from (default: %(default)s)")
    what.add_argument("--aligned", type=int, default=200, metavar="N", help="pictures of CKA (default: %(default)s)")
    what.add_argument("--pooled", action="store_true", help="CKA of means over places (default: of all places)")
    what.add_argument(
        "--classes", nargs="+", default=[], metavar="NAME", help="(default: shared ones, seen most often)"
    )
    what.add_argument(
        "--channels", nargs="+", type=int, default=[], metavar="N", help="to maximise at each depth of both"
    )
    search = parser.add_argument_group("search")
    add_preset(search, {name: CONFIGS[name] for name in ("ijcv16", "fourier", "cvpr15")}, "ijcv16")
    search.add_argument("--iterations", type=int, metavar="N", help="of each search, instead of the presets'")
    search.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="page to write, such as page.html")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: compare(args))


def compare(args: argparse.Namespace) -> int:
    """Compare, write the page and say the numbers."""
    from preimage.pages.panels import check_page
    from vislang.core.files import require_writable_folder, write_json
    from vislang.features.pipeline import list_images

    check_page(args.out)
    if args.json is not None:
        require_writable_folder(args.json.parent)
    images = list_images(args.images)
    networks = [_opened(args, number) for number in (0, 1)]
    from preimage.pages.compare import compare_page, numbers_of

    comparison = _followed(networks, images, _settings(args), (args.labels, args.labels_b))
    origin = _origin(args, networks)
    compare_page(comparison, origin).write(args.out)
    print(f"wrote {shown_name(str(args.out))}", file=sys.stderr)
    numbers = numbers_of(comparison)
    if args.json is not None:
        write_json(args.json, {**numbers, "origin": origin})
    _say(numbers)
    for name, reason in comparison.skipped:
        print(f"skipped {shown_name(name)}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if comparison.skipped else DONE


def _opened(args: argparse.Namespace, number: int) -> Any:
    from preimage.cli import opened_network

    end = ("", "_b")[number]
    own = {name: getattr(args, name + end) for name in ("weights", "recipe", "size")}
    return opened_network(argparse.Namespace(network=args.networks[number], **own))


def _settings(args: argparse.Namespace) -> Any:
    from preimage.comparison.networks import CompareSettings

    return CompareSettings(
        layers=args.layers, layers_b=args.layers_b, depths=args.depths, limit=args.limit, aligned=args.aligned,
        pooled=args.pooled, classes=tuple(args.classes), channels=tuple(args.channels), preset=args.preset,
        settings=tuple(args.set), iterations=args.iterations, seed=args.seed,
    )  # fmt: skip


def _followed(networks: list[Any], images: list[Path], settings: Any, labels: Any) -> Any:
    """Compare with a bar of progress."""
    from tqdm import tqdm

    from preimage.comparison.networks import compare_networks

    with tqdm(desc="comparing", unit="step", disable=not progress_is_shown()) as bar:
        return compare_networks(*networks, images, settings, labels=labels, begin=bar.reset, progress=bar.update)


def _origin(args: argparse.Namespace, networks: list[Any]) -> dict[str, Any]:
    from vislang.backbones.weights import fingerprint
    from vislang.core.provenance import provenance

    settings = {name: value for name, value in vars(args).items() if value not in (None, [], ())}
    # Where files lie on this machine is nobody's business elsewhere.
    plain = {name: value.name if isinstance(value, Path) else value for name, value in settings.items()}
    return {
        "settings": plain,
        "weights": [fingerprint(network.model.get_weights()) for network in networks],
        **provenance(),
    }


def _say(numbers: dict[str, Any]) -> None:
    alike = numbers["cka"]["matched_debiased"]
    for pair in zip(numbers["a"]["depths"], numbers["b"]["depths"], alike, strict=True):
        errors = ", ".join(f"{depth['layer']} error {depth['feature_error']['mean']:.3f}" for depth in pair[:2])
        print(f"{errors}, CKA {'-' if pair[2] is None else format(pair[2], '.3f')}")


def _names(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())


if __name__ == "__main__":
    sys.exit(main())
