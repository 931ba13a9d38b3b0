"""Command: everything that this package shows of one network, on one page, with the command that makes each part alone.

Examples:
    python -m preimage.gallery --images photos/ --out page.html
    python -m preimage.gallery --network mobilenet_0.75 --images photos/ --style painting.jpg --out page.html
    python -m preimage.gallery --network vgg19_block3 --images photos/ --iterations 60 --limit 3 --out page.html

Inversions at several depths, classes and channels, caricatures, the strongest patches of channels with three ways back
to the pixels, filters from white noise and, with --style, the photographs painted.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preimage.cli import describe_command, opened_network
from vislang.core.cli import DONE, SKIPPED_SOME, progress_is_shown, run_command, shown_name


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = describe_command("preimage.gallery", __doc__)
    parser.add_argument("--images", required=True, type=Path, metavar="DIR", help="photographs, or a list of them")
    parser.add_argument("--layers", nargs="+", default=[], metavar="NAME", help="depths (default: four, evenly spread)")
    parser.add_argument("--limit", type=int, default=4, metavar="N", help="photographs shown (default: %(default)s)")
    parser.add_argument("--channels", nargs="+", type=int, default=[], metavar="N", help="(default: that stand out)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line")
    parser.add_argument("--style", type=Path, metavar="FILE", help="a picture to paint the photographs like")
    parser.add_argument("--iterations", type=int, metavar="N", help="of each search, instead of the presets'")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: gallery(args))


def gallery(args: argparse.Namespace) -> int:
    """Search, write the page and say what was measured."""
    import json

    from preimage.pages.panels import check_page, picture_page
    from vislang.core.errors import DataError
    from vislang.features.pipeline import list_images

    check_page(args.out)
    images = list_images(args.images)
    if args.style is not None and not args.style.is_file():
        raise DataError(f"{shown_name(str(args.style))}: no such file, expected a picture")
    network = opened_network(args)
    from preimage.pages.gallery import PARTS, chosen

    subject = chosen(network, images, args)
    sections, measures = [], {}
    for part in PARTS:
        with _bar(part.__name__) as running:
            made = part(subject, **running)
        if made is not None:
            sections.append(made.html)
            measures[part.__name__] = made.measures
    tags = [f"{network.size} x {network.size} pixels", f"{len(subject.pictures)} photographs", f"seed {args.seed}"]
    picture_page(f"Inside {Path(network.name).name}", tags, sections, "preimage.gallery").write(args.out)
    print(f"wrote {shown_name(str(args.out))}", file=sys.stderr)
    facts = {"network": network.name, "layers": subject.layers, "out": shown_name(str(args.out)), **measures}
    if args.json:
        print(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    for name, reason in subject.skipped:
        print(f"skipped {shown_name(name)}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if subject.skipped else DONE


@contextlib.contextmanager
def _bar(name: str) -> Iterator[dict[str, Any]]:
    from tqdm import tqdm

    with tqdm(desc=name, unit="step", disable=not progress_is_shown()) as bar:
        yield {"progress": bar.update}


if __name__ == "__main__":
    sys.exit(main())
