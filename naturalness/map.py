"""Command: map how unnatural each place of an image is, and rank images from least to most natural.

Many images, or tar files of them, are scored shard by shard into files of JSON lines, not ranked:
    python -m naturalness.map DIR --shards runs/naturalness --jobs 2
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from vislang.core import cli
from vislang.features.shards.command import add_shards, check_shards, named_images, refuse_beside_shards, run_and_report

_BLUR = 0.03  # standard deviation of the Gaussian that smooths a drawing, as a share of the width


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("naturalness.map", __doc__)
    cli.add_images(parser, "image files, folders or patterns; several are ranked from least to most natural")
    cli.add_model(parser, "visual language model")
    cli.add_weights(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE|DIR",
        help="where to draw (default: drawings/NAME_unnatural.png; of several, or with --json or --npy: nowhere)",
    )
    parser.add_argument(
        "--overlay", action="store_true", help="lay the map over the image instead of drawing it in grey"
    )
    parser.add_argument(
        "--anomaly", action="store_true", help="map what does not belong, instead of predicting fixations"
    )
    parser.add_argument("--npy", type=Path, metavar="FILE", help="write the map, float32 [H, W], not smoothed")
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
        return cli.run_command(lambda: map_images(args))
    refuse_beside_shards(parser, args, ("out", "overlay", "anomaly", "npy"))
    return cli.run_command(lambda: score_shards(args))


def score_shards(args: argparse.Namespace) -> int:
    """Score the images of shards."""
    from naturalness.shard_job import NaturalnessJob
    from vislang.core.bundled_models import find_checkpoint, say_which
    from vislang.features.reading_options import ReadingOptions

    say_which("naturalness", args.model)
    options = ReadingOptions(weights=args.weights, strict=args.strict)
    images = named_images(args, args.images[0])
    job = NaturalnessJob(args.shards, images, args.strict, find_checkpoint("naturalness", args.model), options)
    return run_and_report(job, args, as_json=args.json)


def map_images(args: argparse.Namespace) -> int:
    """Score the images from least to most natural, draw and print; images that cannot be read are skipped."""
    from tqdm import tqdm

    from naturalness.api import load_model
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs
    from vislang.draw.image_files import optional_drawings
    from vislang.features.command_images import CommandImages
    from vislang.images.decode import decode_image

    images = CommandImages(args)
    count = len(images.paths)
    if args.npy and count > 1:
        raise ConfigError(f"--npy writes one map, got {count} images; name one with --images")
    check_outputs({"--npy": args.npy}, images.paths)
    drawings = optional_drawings(args, images.paths, "_unnatural.png", by_default=count == 1)
    if (args.overlay or args.anomaly) and not args.npy and not any(drawings.values()):
        raise ConfigError("--overlay and --anomaly are for maps, got none to write; add --out FILE or DIR")
    say_which("naturalness", args.model)
    model = load_model(args.model, weights=args.weights)
    from naturalness.inference import as_pixels

    def rated(path: Path) -> tuple[Any, Any]:
        pixels = as_pixels(decode_image(path))
        return pixels, model.rate(pixels)

    ratings = []
    hidden = count == 1 or not cli.progress_is_shown()
    for path, (pixels, rating) in tqdm(images.each(rated), total=count, unit="image", disable=hidden):
        ratings.append((rating, cli.shown_name(str(path))))
        if drawings[path] is not None or args.npy:
            write_map(args, model, pixels, drawings[path])
    ratings.sort(key=lambda row: row[0].score)
    if args.json:
        rows = [json_row(name, rating) for rating, name in ratings]
        cli.print_json({"images": rows, "skipped": cli.skipped_rows(images.skipped)})
    else:
        for rating, name in ratings:
            print(f"{rating.score:+.3f}  {rating_words(rating)}  {cli.printable(name)}")
    return images.exit_code


def json_row(name: str, rating: Any) -> dict[str, Any]:
    """Return what `--json` prints of an image."""
    from naturalness.shard_job import rating_row

    return {"image": name, **rating_row(rating)}


def rating_words(rating: Any) -> str:
    """Return in words what a score means."""
    if rating.percentile is None:
        return "0: as photographs of training"
    words = f"more natural than {rating.percentile:.0f} % of training photographs"
    if rating.flat:
        words += " (nearly uniform: 99 % of them vary more)"
    return words


def write_map(args: argparse.Namespace, model: Any, pixels: Any, drawing: Path | None) -> None:
    """Compute the map of an image; draw it, and write it as an array, where the command asks for it."""
    from vislang.core.files import write_array
    from vislang.draw.image_files import save_image

    kind = "anomaly" if args.anomaly else "fixation"
    found = model.map(pixels, kind=kind)
    if args.npy:
        write_array(args.npy, found)
        cli.print_written(args.npy)
    if drawing is not None:
        save_image(drawing, drawn(pixels, found, overlaid=args.overlay))
        cli.print_written(drawing)


def drawn(pixels: Any, found: Any, *, overlaid: bool) -> Any:
    """Return a map as an RGB or grey image, smoothed and stretched to its range; laid over the image, or in grey.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        found: float [H, W].
        overlaid: lay it over the image.
    """
    import numpy as np
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    from vislang.draw.heatmap import overlay

    smooth = gaussian_filter(np.asarray(found, np.float32), _BLUR * pixels.shape[1])
    smooth = (smooth - smooth.min()) / max(float(smooth.max() - smooth.min()), 1e-12)
    if overlaid:
        return overlay(Image.fromarray(pixels), smooth)
    return Image.fromarray((255 * smooth).astype(np.uint8))


if __name__ == "__main__":
    sys.exit(main())
