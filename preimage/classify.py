"""Command: predict the classes of images. Print the likeliest ones and their probabilities.

Examples:
    python -m preimage.classify --images dog.jpg
    python -m preimage.classify --model runs/pacs-drawings-0 --images cartoons/ --top 3 --json
    python -m preimage.classify --model caffe:VGG_CNN_S --weights VGG_CNN_S.caffemodel --images cat.jpg tub.jpg
"""

import argparse
import sys
from dataclasses import asdict

from preimage.cli import add_labels, network_and_images, network_parser, progress_bar, report_skipped
from vislang.core.cli import CommandParser, print_json, printable, run_command, shown_name, skipped_rows


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = network_parser("preimage.classify", __doc__, output="")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes of each (default: %(default)s)")
    add_labels(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: classify(args))


def classify(args: argparse.Namespace) -> int:
    """Classify all images and print."""
    from vislang.core.errors import ConfigError

    if args.top < 1:
        raise ConfigError(f"--top got {args.top}, expected 1 or more")
    network, paths, missing = network_and_images(args)
    from preimage.networks.class_labels import class_names, classify_images

    if class_names(network, args.labels) is None:
        print(f"network {network.name} has no class names; give --labels FILE for names", file=sys.stderr)
    with progress_bar("classifying", len(paths), "image") as bar:
        found = classify_images(
            network, paths, top=args.top, labels=args.labels, strict=args.strict, progress=bar.update
        )
    skipped = [*missing, *found.skipped]
    images = []
    for name, classes in zip(found.names, found.labels, strict=True):
        lines = [printable(name)]
        rows = []
        for label in classes:
            lines.append(f"  {label.probability:.3f}  {printable(label.name)}")
            rows.append({**asdict(label), "probability": round(label.probability, 6)})
        images.append({"name": shown_name(name), "classes": rows})
        if not args.json:
            print("\n".join(lines))
    if args.json:
        print_json({"network": network.name, "size": network.size, "images": images, "skipped": skipped_rows(skipped)})
    return report_skipped(skipped)


if __name__ == "__main__":
    sys.exit(main())
