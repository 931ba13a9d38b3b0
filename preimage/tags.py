"""Command: tag drawings with the networks of illustration2vec, which you bring: general, character, copyright, rating.

Examples:
    python -m preimage.tags --images miku.jpg --weights illust2vec_tag_ver200.caffemodel --tags tag_list.json
    python -m preimage.tags --images drawings/ --weights illust2vec_tag_ver200.caffemodel --tags tag_list.json
        --threshold-rule f0.5 --thresholds thresholds.npz --json

Printed are the tags above a threshold, the likeliest first, and all ratings.
"""

import argparse
import sys
from pathlib import Path

from preimage.cli import progress_bar, report_skipped
from vislang.core.cli import (
    CommandParser,
    add_images,
    add_json,
    add_strict,
    command_parser,
    print_json,
    printable,
    run_command,
    shown_name,
    skipped_rows,
)


def build_parser() -> CommandParser:
    """Describe the command line."""
    parser = command_parser("preimage.tags", __doc__)
    add_images(parser)
    parser.add_argument("--weights", required=True, metavar="FILE", help="the .caffemodel; random: for trying things")
    parser.add_argument("--tags", required=True, type=Path, metavar="FILE", help="tag_list.json, the 1,539 names")
    parser.add_argument(
        "--threshold", type=float, default=0.25, metavar="P", help="for the rule constant (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold-rule", choices=("constant", "f0.5", "f1", "f2"), default="constant",
        help="one threshold for all tags, or each tag's own of --thresholds (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help=".npz or .npy, [1539, 3]: f0.5, f1 and f2")
    add_strict(parser)
    add_json(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` lists the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: tag(args))


def tag(args: argparse.Namespace) -> int:
    """Tag all images and print."""
    from vislang.core.errors import DataError
    from vislang.core.quiet_backend import import_backend_quietly
    from vislang.images.sources import Skipped, find_images

    paths, skipped = find_images(args.images, strict=args.strict)
    import_backend_quietly()
    from vislang.backbones.illustration2vec import load

    drawings = load(args.weights, args.tags, thresholds=args.thresholds)
    rows = []
    with progress_bar("tagging", len(paths), "image") as bar:
        for path in paths:
            try:
                (found,) = drawings.estimate_plausible_tags([path], args.threshold, args.threshold_rule)
            except DataError as error:
                if args.strict:
                    raise
                skipped.append(Skipped(str(path), str(error)))
            else:
                rows.append({"name": shown_name(str(path)), "tags": found})
                if not args.json:
                    print(printable(str(path)))
                    for group, tags in found.items():
                        shown = ", ".join(f"{printable(name)} {100 * share:.1f}" for name, share in tags)
                        print(f"  {group}: {shown or 'none'}")
            bar.update(1)
    if args.json:
        print_json({"images": rows, "skipped": skipped_rows(skipped)})
    return report_skipped(skipped)


if __name__ == "__main__":
    sys.exit(main())
