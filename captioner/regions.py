"""Command: describe the regions of photographs, or say which region each part of a sentence is about.

Examples:
    python -m captioner.regions --image dog.jpg --out dog_regions.png
    python -m captioner.regions --image dog.jpg --sentence "a dog catches a red frisbee" --json
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from vislang.core.cli import DONE, SKIPPED_SOME, import_backend_quietly, run_command, shown_name

_IN_THE_BOX = "region-captioner"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m captioner.regions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", nargs="+", action="extend", required=True, metavar="FILE", help="photographs")
    parser.add_argument("--sentence", metavar="TEXT", help="tie its words to regions instead of writing snippets")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="NAME|DIR",
        help="a captioner trained on snippets, or with --sentence an aligner (default: the one in the box)",
    )  # fmt: skip
    parser.add_argument("--weights", help="weights file of its backbone (default: VISLANG_WEIGHTS, then a download)")
    parser.add_argument("--proposals", metavar="WHERE", help="the detector, such as detector:FILE.pb")
    parser.add_argument("--most", type=int, default=8, metavar="N", help="regions described (default: %(default)s)")
    parser.add_argument("--same", type=float, metavar="BETA", help="with --sentence: larger, fewer parts")
    parser.add_argument(
        "--out", type=Path, metavar="FILE|DIR", help="where to draw (default: drawings/PHOTO_regions.png)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document; draws only with --out")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad photograph")
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
    from vislang.features.reading_options import ReadingOptions

    if args.same is not None and args.sentence is None:
        raise ConfigError("--same cuts a sentence, expected --sentence TEXT with it")
    drawings = {}
    if args.out or not args.json:
        planned = plan_drawings(args.out, [Path(image) for image in args.image], "_regions.png")
        drawings = dict(zip(args.image, planned, strict=True))
    import_backend_quietly()
    options = ReadingOptions(weights=args.weights, proposals=args.proposals)
    if args.sentence is None:
        say_which("captioner", args.checkpoint, _IN_THE_BOX)
        model = load_model(args.checkpoint or PRETRAINED / _IN_THE_BOX)
    else:
        say_which("aligner", args.checkpoint)
        aligner = load_aligner(args.checkpoint)
    documents, failed = [], []
    for image in args.image:
        try:
            if args.sentence is None:
                found = describe_regions(model, image, max_regions=args.most, options=options)
            else:
                found = ground_phrases(aligner, image, args.sentence, beta=args.same, options=options)
        except DataError as error:
            if args.strict or len(failed) == len(args.image) - 1:  # nothing could be used
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
