"""Command: draw how unnatural each place of a picture is, and rank a folder from least to most natural."""

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
    add_weights,
    command_parser,
    import_backend_quietly,
    progress_is_shown,
    run_command,
    shown_name,
)

_BLUR = 0.03  # deviation of the Gaussian that smooths a drawing, in shares of the width


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
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: map_pictures(args))


def map_pictures(args: argparse.Namespace) -> int:
    """Load the model, look at the pictures, draw and print."""
    import json

    paths, missing = list_paths(args)
    drawings = plan_maps(args, paths)
    from vislang.core.bundled_models import say_which

    say_which("naturalness", args.model)
    import_backend_quietly()
    from naturalness.api import load_model

    model = load_model(args.model, weights=args.weights)
    scores, skipped = look_at_all(args, model, paths, drawings)
    for one in missing:
        skipped.append((shown_name(one.source), one.reason))
    if args.json:
        rows = [{"image": shown_name(str(path)), "naturalness": round(score, 4)} for path, score in scores]
        print(json.dumps({"pictures": rows, "skipped": list(map(list, skipped))}, ensure_ascii=False))
    else:
        for path, score in scores:
            print(f"{score:+.3f}  {shown_name(str(path))}")
    for name, reason in skipped:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    if skipped:
        return SKIPPED_SOME
    return DONE


def list_paths(args: argparse.Namespace) -> tuple[list[Path], list[Any]]:
    """List the pictures, and refuse before any work what cannot end well."""
    from vislang.core.errors import ConfigError
    from vislang.core.files import require_writable_folder
    from vislang.features.pipeline import find_images

    paths, missing = find_images(args.images)
    args.folder = len(paths) > 1 or bool(missing)
    if args.npy and args.folder:
        raise ConfigError(f"--npy writes one map, got {len(paths)} images; name one with --images")
    if args.npy:
        require_writable_folder(args.npy.parent)
    return paths, missing


def plan_maps(args: argparse.Namespace, paths: list[Path]) -> list[Path | None]:
    """Return the drawing of each picture; None where none is wanted."""
    from vislang.draw.image_files import plan_drawings

    if args.out is None and (args.folder or args.json):
        return [None] * len(paths)
    return [*plan_drawings(args.out, paths, "_unnatural.png")]


def look_at_all(
    args: argparse.Namespace, model: Any, paths: list[Path], drawings: list[Path | None]
) -> tuple[list, list]:
    """Return (path, score) from least to most natural, and (name, reason) of what is unreadable; draw on the way."""
    from tqdm import tqdm

    from naturalness.inference import as_pixels
    from vislang.core.errors import ToolkitError
    from vislang.images.decode import decode_image

    scores = []
    skipped = []
    hidden = not progress_is_shown() or len(paths) == 1
    for path, drawing in tqdm(zip(paths, drawings, strict=True), total=len(paths), unit="picture", disable=hidden):
        try:
            pixels = as_pixels(decode_image(path))
            scores.append((path, model.score(pixels)))
            draw(args, model, pixels, drawing)
        except ToolkitError as error:
            if not args.folder:
                raise
            skipped.append((shown_name(str(path)), str(error)))
    return sorted(scores, key=lambda row: row[1]), skipped


def draw(args: argparse.Namespace, model: Any, pixels: Any, drawing: Path | None) -> None:
    """Draw one picture's map where that is wanted, and write its numbers."""
    import numpy as np

    from vislang.core.files import whole_file
    from vislang.draw.image_files import save_image

    if drawing is None and args.npy is None:
        return
    found = model.map(pixels, kind="anomaly" if args.anomaly else "fixation")
    if args.npy:
        with whole_file(args.npy) as part, part.open("wb") as stream:
            np.save(stream, found, allow_pickle=False)
        print(f"wrote {shown_name(str(args.npy))}", file=sys.stderr)
    if drawing:
        save_image(drawing, drawn(pixels, found, overlaid=args.overlay))
        print(f"wrote {shown_name(str(drawing))}", file=sys.stderr)


def drawn(pixels: Any, found: Any, *, overlaid: bool) -> Any:
    """Give the map as a picture, smooth, from its smallest number to its largest; over the picture, or in grey."""
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
