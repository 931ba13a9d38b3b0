"""Command: map how unnatural each place of an image is, and rank images from least to most natural."""

import argparse
import sys
from collections.abc import Mapping
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
    progress_is_shown,
    run_command,
    shown_name,
    skipped_rows,
)

_BLUR = 0.03  # standard deviation of the Gaussian that smooths a drawing, as a share of the width


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("naturalness.map", __doc__)
    add_images(parser, "image files, folders or patterns; several are ranked from least to most natural")
    add_model(parser, "visual language model")
    add_weights(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE|DIR",
        help="where to draw (default: drawings/NAME_unnatural.png; of several images: none)",
    )
    parser.add_argument(
        "--overlay", action="store_true", help="lay the map over the picture instead of drawing it in grey"
    )
    parser.add_argument(
        "--anomaly", action="store_true", help="map what does not belong, instead of predicting fixations"
    )
    parser.add_argument("--npy", type=Path, metavar="FILE", help="also write the map, float32 [H, W], not smoothed")
    add_json(parser)
    add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: map_images(args))


def map_images(args: argparse.Namespace) -> int:
    """Score the images from least to most natural, draw and print; images that cannot be read are skipped."""
    import json

    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError
    from vislang.core.files import require_writable_folder
    from vislang.images.sources import find_images

    paths, skipped = find_images(args.images, strict=args.strict)
    for one in skipped:
        print_skipped(one.reason)
    if args.npy and len(paths) > 1:
        raise ConfigError(f"--npy writes one map, got {len(paths)} images; name one with --images")
    if args.npy:
        require_writable_folder(args.npy.parent)
    drawings = planned_drawings(args, paths)
    say_which("naturalness", args.model)
    import_backend_quietly()
    from naturalness.api import load_model

    model = load_model(args.model, weights=args.weights)
    scores = score_and_draw(args, model, dict(zip(paths, drawings, strict=True)), skipped)
    if args.json:
        rows = [{"image": shown_name(str(path)), "naturalness": round(score, 4)} for path, score in scores]
        print(json.dumps({"images": rows, "skipped": skipped_rows(skipped)}, ensure_ascii=False))
    else:
        for path, score in scores:
            print(f"{score:+.3f}  {shown_name(str(path))}")
    return SKIPPED_SOME if skipped else DONE


def planned_drawings(args: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """Return the file to draw for each image; None where nothing is drawn."""
    from vislang.draw.image_files import plan_drawings

    if args.out is None and (len(paths) > 1 or args.json):
        return [None] * len(paths)
    return [*plan_drawings(args.out, paths, "_unnatural.png")]


def score_and_draw(
    args: argparse.Namespace, model: Any, drawings: Mapping[Path, Path | None], skipped: list[Any]
) -> list[tuple[Path, float]]:
    """Return (path, score) from least to most natural, and add to `skipped`.

    Args:
        args: of the command.
        model: from `naturalness.load_model`.
        drawings: the file to draw, or None, for each image.
        skipped: gets a `Skipped` for each image that cannot be read.

    Raises:
        DataError: an image cannot be read, and `--strict`; or none can.
    """
    from tqdm import tqdm

    from naturalness.inference import as_pixels
    from vislang.core.errors import DataError
    from vislang.images.decode import decode_image
    from vislang.images.sources import Skipped

    scores = []
    hidden = not progress_is_shown() or len(drawings) == 1
    for path, drawing in tqdm(drawings.items(), unit="image", disable=hidden):
        try:
            pixels = as_pixels(decode_image(path))
            scores.append((path, model.score(pixels)))
        except DataError as error:
            if args.strict:
                raise
            skipped.append(Skipped(str(path), str(error)))
            print_skipped(str(error))
            continue
        if drawing is not None or args.npy is not None:
            write_map(args, model, pixels, drawing)
    if not scores:
        raise DataError(f"none of {len(drawings)} images could be used; the first: {skipped[0].reason}")
    return sorted(scores, key=lambda row: row[1])


def write_map(args: argparse.Namespace, model: Any, pixels: Any, drawing: Path | None) -> None:
    """Compute the map of an image; draw it, and write it as an array, where the command asks for it."""
    from vislang.core.files import write_array
    from vislang.draw.image_files import save_image

    kind = "anomaly" if args.anomaly else "fixation"
    found = model.map(pixels, kind=kind)
    if args.npy:
        write_array(args.npy, found)
        print_written(args.npy)
    if drawing is not None:
        save_image(drawing, drawn(pixels, found, overlaid=args.overlay))
        print_written(drawing)


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
