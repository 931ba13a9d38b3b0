"""Command: describe the regions of images, or ground the phrases of a sentence in regions.

--json prints the "unit" of boxes and for each image its "regions": "box" (left, top, right, bottom), "text" and "score"
(higher is more certain).

Examples:
    python -m captioner.regions --images dog.jpg --out dog_regions.png
    python -m captioner.regions --images dog.jpg --sentence "a dog catches a red frisbee" --json
    python -m captioner.regions --images DIR --shards runs/regions --jobs 2
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vislang.core import cli
from vislang.features.shards.command import add_shards, check_shards, named_images, refuse_beside_shards, run_and_report

_BUNDLED = "region-captioner"
_MAX_REGIONS = 8


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("captioner.regions", __doc__)
    cli.add_images(parser)
    parser.add_argument("--sentence", metavar="TEXT", help="ground its phrases instead of describing regions")
    cli.add_model(parser, "region captioner, with --sentence of an aligner")
    parser.add_argument(
        "--ranker", metavar="NAME|DIR|none",
        help="a ranker whose maps choose regions, or the words of a region, too (default: the bundled one)",
    )  # fmt: skip
    cli.add_weights(parser)
    parser.add_argument("--proposals", metavar="WHERE", help="the detector, such as detector:FILE.pb")
    parser.add_argument("--max-regions", type=int, metavar="N", help=f"regions described (default: {_MAX_REGIONS})")
    parser.add_argument("--beta", type=float, metavar="B", help="with --sentence: larger gives fewer parts")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE|DIR",
        help="where to draw (default: drawings/IMAGE_regions.png; with --json: nowhere)",
    )
    cli.add_json(parser)
    cli.add_strict(parser)
    add_shards(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    parser = build_parser()
    args = parser.parse_args(argv)
    check_shards(parser, args)
    if args.shards is None:
        return cli.run_command(lambda: describe(args))
    refuse_beside_shards(parser, args, ("sentence", "beta", "out"))
    return cli.run_command(lambda: describe_shards(args))


def describe_shards(args: argparse.Namespace) -> int:
    """Describe the regions of the images of shards."""
    from captioner.shard_jobs import RegionJob
    from vislang.core.bundled_models import find_checkpoint, say_which
    from vislang.features.reading_options import ReadingOptions

    say_which("captioner", args.model, _BUNDLED)
    options = ReadingOptions(weights=args.weights, proposals=args.proposals, strict=args.strict)
    images = named_images(args, args.images[0])
    model = find_checkpoint("captioner", args.model or _BUNDLED)
    ranker = None
    if args.ranker != "none":
        ranker = find_checkpoint("vse", args.ranker)
    job = RegionJob(args.shards, images, args.strict, model, options, _max_regions(args), ranker)
    return run_and_report(job, args, as_json=args.json)


def _max_regions(args: argparse.Namespace) -> int:
    return _MAX_REGIONS if args.max_regions is None else args.max_regions


def describe(args: argparse.Namespace) -> int:
    """Describe the regions of every image, draw and print; images that cannot be read are skipped."""
    from vislang.core.errors import ConfigError
    from vislang.draw.image_files import optional_drawings
    from vislang.features.command_images import CommandImages

    images = CommandImages(args)
    if args.beta is not None and args.sentence is None:
        raise ConfigError("--beta divides a sentence into parts, expected --sentence TEXT with it")
    if args.max_regions is not None and args.sentence is not None:
        raise ConfigError(
            "--max-regions is for descriptions, got --sentence, whose phrases are all placed; leave it out"
        )
    drawings = optional_drawings(args, images.paths, "_regions.png")
    documents: list[dict[str, Any]] = []
    for path, found in images.each(region_finder(args)):
        drawing = drawings[path]
        if drawing is not None:
            write_drawing(drawing, path, found)
        if args.json:
            documents.append({"image": cli.shown_name(str(path)), "regions": [region.to_json() for region in found]})
        else:
            print_regions(path, found)
    if args.json:
        unit = "fraction of the image's width and height"
        cli.print_json({"unit": unit, "images": documents, "skipped": cli.skipped_rows(images.skipped)})
    return images.exit_code


def region_finder(args: argparse.Namespace) -> Callable[[Path], list[Any]]:
    """Load the model, and return the function that finds the regions of an image file."""
    from captioner.api import describe_regions, ground_phrases, load_aligner, load_model
    from vislang.core.bundled_models import PRETRAINED, say_which
    from vislang.features.reading_options import ReadingOptions

    options = ReadingOptions(weights=args.weights, proposals=args.proposals)
    if args.sentence is None:
        say_which("captioner", args.model, _BUNDLED)
        model = load_model(args.model or PRETRAINED / _BUNDLED)
        count = _max_regions(args)
        ranker = chosen_ranker(args, model.backbone)
        return lambda path: describe_regions(model, path, max_regions=count, ranker=ranker, options=options)
    say_which("aligner", args.model)
    aligner = load_aligner(args.model)
    ranker = chosen_ranker(args, aligner.backbone)
    return lambda path: ground_phrases(aligner, path, args.sentence, beta=args.beta, ranker=ranker, options=options)


def chosen_ranker(args: argparse.Namespace, backbone: str) -> Any:
    """Load the ranker, None where none is wanted; one of the model's backbone reads the same weights of it."""
    from vse.api import load_model

    if args.ranker == "none":
        return None
    ranker = load_model(args.ranker)
    if args.weights is not None and ranker.backbone == backbone:
        ranker = load_model(args.ranker, weights=args.weights)
    return ranker


def write_drawing(path: Path, image: Path, found: list[Any]) -> None:
    """Draw the regions into the image, each with its text."""
    import numpy as np

    from vislang.draw.boxes import draw_regions
    from vislang.draw.image_files import save_image
    from vislang.images.decode import decode_image

    boxes = np.array([region.box for region in found], np.float32).reshape(-1, 4)
    save_image(path, draw_regions(decode_image(image), boxes, [region.text for region in found]))
    cli.print_written(path)


def print_regions(image: Path, found: list[Any]) -> None:
    """Print a line for each region: its box in % of the sides, and its text."""
    print(cli.printable(str(image)))
    for region in found:
        left, top, right, bottom = (round(100 * edge) for edge in region.box)
        print(f"  {left:3d} {top:3d} {right:3d} {bottom:3d}  {cli.printable(region.text)}")


if __name__ == "__main__":
    sys.exit(main())
