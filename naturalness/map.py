"""Command: draw how unnatural each place of a picture is, and rank a folder from least to most natural."""

import argparse
import sys
from pathlib import Path
from typing import Any

from vislang.core.cli import DONE, SKIPPED_SOME, import_backend_quietly, progress_is_shown, run_command, shown_name

_BLUR = 0.03  # deviation of the Gaussian that smooths a drawing, in shares of the width


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m naturalness.map", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image", type=Path, metavar="FILE", help="a photograph of any size")
    source.add_argument("--folder", metavar="WHERE", help="folder or pattern: rank its pictures")
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="a trained model (default: the one in the box)")
    parser.add_argument("--weights", metavar="FILE", help="weights of its CNN (default: VISLANG_WEIGHTS)")
    parser.add_argument(
        "--out", type=Path, metavar="PNG", help="the drawing (default: NAME_unnatural.png); of a folder: a folder"
    )
    parser.add_argument(
        "--overlay", action="store_true", help="lay the map over the picture instead of drawing it in grey"
    )
    parser.add_argument("--odd", action="store_true", help="what does not belong, instead of what draws the eye")
    parser.add_argument("--npy", type=Path, metavar="FILE", help="also write the map, float32 [H, W], not smoothed")
    parser.add_argument("--json", action="store_true", help="print scores as JSON; draws only what --out names")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: map_pictures(args))


def map_pictures(args: argparse.Namespace) -> int:
    """Load the model, look at the pictures, draw and print."""
    import json

    paths = list_paths(args)
    from vislang.core.bundled_models import say_which

    say_which("naturalness", args.checkpoint)
    import_backend_quietly()
    from naturalness.api import load_model

    model = load_model(args.checkpoint, weights=args.weights)
    scores, skipped = look_at_all(args, model, paths)
    if args.json:
        rows = [{"image": shown_name(str(path)), "naturalness": round(score, 4)} for path, score in scores]
        print(json.dumps({"pictures": rows, "skipped": [list(one) for one in skipped]}, ensure_ascii=False))
    else:
        for path, score in scores:
            print(f"{score:+.3f}  {shown_name(str(path))}")
    for name, reason in skipped:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if skipped else DONE


def list_paths(args: argparse.Namespace) -> list[Path]:
    """List the pictures, and refuse before any work what cannot end well."""
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.files import require_writable_folder
    from vislang.features.pipeline import list_images

    if args.folder and args.npy:
        raise ConfigError("--npy writes one map, got --folder; name one picture with --image")
    for path in (args.npy, args.out if args.image else None):
        if path is not None:
            require_writable_folder(path.parent)
    if args.folder:
        return list_images(args.folder)
    if not args.image.is_file():
        raise DataError(f"{shown_name(str(args.image))}: no such file, expected a photograph")
    return [args.image]


def look_at_all(args: argparse.Namespace, model: Any, paths: list[Path]) -> tuple[list, list]:
    """Give (path, score) from least to most natural, and (name, reason) of what could not be read; draw on the way."""
    from tqdm import tqdm

    from naturalness.inference import as_pixels
    from vislang.core.errors import ToolkitError
    from vislang.images.decode import decode_image

    scores, skipped = [], []
    for path in tqdm(paths, unit="picture", disable=not progress_is_shown() or len(paths) == 1):
        try:
            pixels = as_pixels(decode_image(path))
            scores.append((path, model.score(pixels)))
            draw(args, model, path, pixels)
        except ToolkitError as error:
            if args.image:
                raise
            skipped.append((shown_name(str(path)), str(error)))
    return sorted(scores, key=lambda row: row[1]), skipped


def draw(args: argparse.Namespace, model: Any, path: Path, pixels: Any) -> None:
    """Draw one picture's map where that is wanted, and write its numbers."""
    import numpy as np

    from vislang.core.files import whole_file

    drawing = drawing_path(args, path)
    if drawing is None and args.npy is None:
        return
    found = model.map(pixels, odd=args.odd)
    if args.npy:
        with whole_file(args.npy) as part, part.open("wb") as stream:
            np.save(stream, found, allow_pickle=False)
        print(f"wrote {shown_name(str(args.npy))}", file=sys.stderr)
    if drawing:
        with whole_file(drawing) as part:
            drawn(pixels, found, overlaid=args.overlay).save(part, format="PNG")
        print(f"wrote {shown_name(str(drawing))}", file=sys.stderr)


def drawing_path(args: argparse.Namespace, path: Path) -> Path | None:
    """Name the drawing of a picture; None where none is wanted."""
    name = f"{path.stem}_unnatural.png"
    if args.folder:
        if args.out is None:
            return None
        args.out.mkdir(parents=True, exist_ok=True)
        return args.out / name
    return args.out or (None if args.json else path.with_name(name))


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
