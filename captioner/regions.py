"""Command: describe the regions of photographs, or say which region each part of a sentence is about.

Examples:
    vislang regions --images dog.jpg --out dog_regions.png
    vislang regions --images dog.jpg --sentence "a dog catches a red frisbee" --json
"""

import argparse
import sys
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
    run_command,
    shown_name,
)

_IN_THE_BOX = "region-captioner"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("captioner.regions", __doc__)
    add_images(parser)
    parser.add_argument("--sentence", metavar="TEXT", help="tie its words to regions instead of writing snippets")
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
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: describe(args))


def describe(args: argparse.Namespace) -> int:
    """Describe each photograph, print and draw."""
    import json

    from captioner.api import describe_regions, ground_phrases, load_aligner, load_model
    from vislang.core.bundled_models import PRETRAINED, say_which
    from vislang.core.errors import ConfigError, DataError
    from vislang.draw.image_files import plan_drawings
    from vislang.features.pipeline import find_images
    from vislang.features.reading_options import ReadingOptions

    paths, missing = find_images(args.images, strict=args.strict)
    if args.beta is not None and args.sentence is None:
        raise ConfigError("--beta divides a sentence into parts, expected --sentence TEXT with it")
    drawings = {}
    if args.out or not args.json:
        planned = plan_drawings(args.out, paths, "_regions.png")
        drawings = {str(path): drawing for path, drawing in zip(paths, planned, strict=True)}
    import_backend_quietly()
    options = ReadingOptions(weights=args.weights, proposals=args.proposals)
    if args.sentence is None:
        say_which("captioner", args.model, _IN_THE_BOX)
        model = load_model(args.model or PRETRAINED / _IN_THE_BOX)
    else:
        say_which("aligner", args.model)
        aligner = load_aligner(args.model)
    documents: list[dict[str, Any]] = []
    failed = [one.reason for one in missing]
    for reason in failed:
        print(f"skipped {shown_name(reason)}", file=sys.stderr)
    for image in map(str, paths):
        try:
            if args.sentence is None:
                found = describe_regions(model, image, max_regions=args.max_regions, options=options)
            else:
                found = ground_phrases(aligner, image, args.sentence, beta=args.beta, options=options)
        except DataError as error:
            if args.strict or not documents and image == str(paths[-1]):  # nothing could be used
                raise
            failed.append(str(error))
            print(f"skipped {shown_name(str(error))}", file=sys.stderr)
            continue
        documents.append({"image": shown_name(image), "regions": [one.to_json() for one in found]})
        if image in drawings:
            write_drawing(drawings[image], image, found)
        if not args.json:
            print_regions(image, found)
    if args.json:
        print(json.dumps({"images": documents, "skipped": failed}, ensure_ascii=False, allow_nan=False))
    return SKIPPED_SOME if failed else DONE


def write_drawing(path: Path, image: str, found: list[Any]) -> None:
    """Draw the regions that are not the whole picture, and say where."""
    import numpy as np

    from vislang.draw.boxes import draw_regions
    from vislang.draw.image_files import save_image
    from vislang.images.decode import decode_image

    boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
    drawing = draw_regions(decode_image(image), boxes, [one.text for one in found])
    save_image(path, drawing)
    print(f"wrote {shown_name(str(path))}", file=sys.stderr)


def print_regions(image: str, found: list[Any]) -> None:
    """Print a line for each region: its box in percent of the sides, and its words."""
    print(shown_name(image))
    for one in found:
        left, top, right, bottom = (round(100 * share) for share in one.box)
        print(f"  {left:3d} {top:3d} {right:3d} {bottom:3d}  {one.text}")


if __name__ == "__main__":
    sys.exit(main())
