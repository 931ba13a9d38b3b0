"""Command: describe the regions of images, or ground the phrases of a sentence in regions.

Examples:
    vislang regions --images dog.jpg --out dog_regions.png
    vislang regions --images dog.jpg --sentence "a dog catches a red frisbee" --json
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_images,
    add_json,
    add_model,
    add_strict,
    add_weights,
    command_parser,
    import_backend_quietly,
    print_skipped,
    print_written,
    run_command,
    shown_name,
    skipped_rows,
)

_BUNDLED = "region-captioner"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("captioner.regions", __doc__)
    add_images(parser)
    parser.add_argument("--sentence", metavar="TEXT", help="ground its phrases instead of describing regions")
    add_model(parser, "region captioner, with --sentence of an aligner")
    add_weights(parser)
    parser.add_argument("--proposals", metavar="WHERE", help="the detector, such as detector:FILE.pb")
    parser.add_argument(
        "--max-regions", type=int, default=8, metavar="N", help="regions described (default: %(default)s)"
    )
    parser.add_argument("--beta", type=float, metavar="B", help="with --sentence: larger gives fewer parts")
    parser.add_argument(
        "--out", type=Path, metavar="FILE|DIR", help="where to draw (default: drawings/IMAGE_regions.png)"
    )
    add_json(parser)
    add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: describe(args))


def describe(args: argparse.Namespace) -> int:
    """Describe the regions of every image, draw and print; images that cannot be read are skipped."""
    import json

    from vislang.core.errors import ConfigError, DataError
    from vislang.draw.image_files import plan_drawings
    from vislang.images.sources import Skipped, find_images

    paths, skipped = find_images(args.images, strict=args.strict)
    for one in skipped:
        print_skipped(one.reason)
    if args.beta is not None and args.sentence is None:
        raise ConfigError("--beta divides a sentence into parts, expected --sentence TEXT with it")
    drawings: list[Path | None] = [None] * len(paths)
    if args.out or not args.json:
        drawings = [*plan_drawings(args.out, paths, "_regions.png")]
    import_backend_quietly()
    find_regions = region_finder(args)
    documents: list[dict[str, Any]] = []
    for path, drawing in zip(paths, drawings, strict=True):
        try:
            found = find_regions(path)
        except DataError as error:
            if args.strict:
                raise
            skipped.append(Skipped(str(path), str(error)))
            print_skipped(str(error))
            continue
        documents.append({"image": shown_name(str(path)), "regions": [region.to_json() for region in found]})
        if drawing is not None:
            write_drawing(drawing, path, found)
        if not args.json:
            print_regions(path, found)
    if not documents:
        raise DataError(f"none of {len(paths)} images could be used; the first: {skipped[0].reason}")
    if args.json:
        document = {"images": documents, "skipped": skipped_rows(skipped)}
        print(json.dumps(document, ensure_ascii=False, allow_nan=False))
    return SKIPPED_SOME if skipped else DONE


def region_finder(args: argparse.Namespace) -> Callable[[Path], list[Any]]:
    """Load the model, and return the function that finds the regions of an image file."""
    from captioner.api import describe_regions, ground_phrases, load_aligner, load_model
    from vislang.core.bundled_models import PRETRAINED, say_which
    from vislang.features.reading_options import ReadingOptions

    options = ReadingOptions(weights=args.weights, proposals=args.proposals)
    if args.sentence is None:
        say_which("captioner", args.model, _BUNDLED)
        model = load_model(args.model or PRETRAINED / _BUNDLED)
        return lambda path: describe_regions(model, path, max_regions=args.max_regions, options=options)
    say_which("aligner", args.model)
    aligner = load_aligner(args.model)
    return lambda path: ground_phrases(aligner, path, args.sentence, beta=args.beta, options=options)


def write_drawing(path: Path, image: Path, found: list[Any]) -> None:
    """Draw the regions into the image, each with its text."""
    import numpy as np

    from vislang.draw.boxes import draw_regions
    from vislang.draw.image_files import save_image
    from vislang.images.decode import decode_image

    boxes = np.array([region.box for region in found], np.float32).reshape(-1, 4)
    save_image(path, draw_regions(decode_image(image), boxes, [region.text for region in found]))
    print_written(path)


def print_regions(image: Path, found: list[Any]) -> None:
    """Print a line for each region: its box in % of the sides, and its text."""
    print(shown_name(str(image)))
    for region in found:
        left, top, right, bottom = (round(100 * edge) for edge in region.box)
        print(f"  {left:3d} {top:3d} {right:3d} {bottom:3d}  {region.text}")


if __name__ == "__main__":
    sys.exit(main())
