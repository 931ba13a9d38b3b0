"""Command: show where in images, and when in a video, each word of a sentence comes from.

Without --sentence, the model's own caption is explained.

Examples:
    vislang explain --images dog.jpg
    vislang explain --images dog.jpg --sentence "a dog catches a red frisbee" --html dog.html
    vislang explain --video clip.mp4 --sentence "a man rides a bike" --out maps.mp4
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
    print_skipped,
    print_written,
    progress_is_shown,
    run_command,
    shown_name,
    skipped_rows,
)

_FPS = 8.0
_MIN_TILE = 32  # pixels


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("saliency.explain", __doc__)
    add_images(parser)
    parser.add_argument("--video", type=Path, metavar="FILE", help="explain a video instead of images")
    parser.add_argument("--sentence", metavar="TEXT", help="(default: the model's own caption)")
    add_model(parser, "captioner")
    add_weights(parser)
    parser.add_argument(
        "--method", choices=("gradient", "ramanishka"), default="gradient",
        help="gradient of each word's loss by the features of each cell, or each cell alone as Ramanishka et al. 2017"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--fps", type=float, metavar="N", help=f"frames per second of a video (default: {_FPS:g})")
    parser.add_argument(
        "--out", type=Path, metavar="FILE|DIR", help="where to draw (default: drawings/NAME_words.png or .mp4)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the map of each word")
    parser.add_argument("--npy", type=Path, metavar="FILE", help="also write the maps, float32 [frames, words, R, C]")
    parser.add_argument("--tile", type=int, default=240, metavar="PIXELS", help="longer side of a tile (default: 240)")
    add_json(parser)
    add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: explain(args))


def explain(args: argparse.Namespace) -> int:
    """Explain images or a video, draw and print."""
    from vislang.core.files import require_writable_folder

    check_options(args)
    for path in (args.html, args.npy):
        if path is not None:
            require_writable_folder(path.parent)
    if args.video is not None:
        return explain_one_video(args)
    return explain_images(args)


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, or are out of range.

    Raises:
        ConfigError: what and why.
    """
    from vislang.core.errors import ConfigError

    if args.video is not None and args.images:
        raise ConfigError("--images and --video were both given, expected one of them; run the command twice")
    if args.video is not None and args.html:
        raise ConfigError("--html shows images, got --video; draw the video with --out FILE.mp4")
    if args.fps is not None and args.video is None:
        raise ConfigError("--fps is for videos, expected --video with it; leave it out")
    if args.fps is not None and not args.fps > 0:
        raise ConfigError(f"--fps got {args.fps:g}, expected frames per second, more than 0")
    if args.tile < _MIN_TILE:
        raise ConfigError(f"--tile got {args.tile} pixels, expected {_MIN_TILE} or more")


def planned_drawings(args: argparse.Namespace, sources: list[Path], ending: str) -> list[Path | None]:
    """Return the file to draw for each source; None with --json and without --out."""
    from vislang.draw.image_files import plan_drawings

    if args.json and args.out is None:
        return [None] * len(sources)
    return [*plan_drawings(args.out, sources, ending)]


def loaded_model(args: argparse.Namespace) -> Any:
    """Load the captioner, and say which it is if none was named."""
    from vislang.core.bundled_models import say_which

    say_which("captioner", args.model)
    import_backend_quietly()
    from saliency.api import load_model

    return load_model(args.model)


def explain_images(args: argparse.Namespace) -> int:
    """Explain every image; those that cannot be read are skipped."""
    from saliency.api import explain_image
    from saliency.page import explained_image, word_maps_page
    from vislang.core.errors import ConfigError, DataError
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.decode import decode_image
    from vislang.images.sources import Skipped, find_images

    paths, skipped = find_images(args.images, strict=args.strict)
    for one in skipped:
        print_skipped(one.reason)
    if args.npy and len(paths) > 1:
        raise ConfigError(f"--npy writes the maps of one image, got {len(paths)} images; name one with --images")
    drawings = planned_drawings(args, paths, "_words.png")
    model = loaded_model(args)
    options = ReadingOptions(weights=args.weights)
    documents: list[dict[str, Any]] = []
    cards = []
    for path, drawing in zip(paths, drawings, strict=True):
        try:
            image = decode_image(path)
            found = explain_image(model, image, args.sentence, method=args.method, options=options)
        except DataError as error:
            if args.strict:
                raise
            skipped.append(Skipped(str(path), str(error)))
            print_skipped(str(error))
            continue
        documents.append({"image": shown_name(str(path)), **word_rows(found)})
        if drawing is not None:
            draw_image(drawing, image, found, args.tile)
        if args.html:
            cards.append(explained_image(image, shown_name(path.name), found))
        if args.npy:
            write_maps(args.npy, found)
        if not args.json:
            print_words(path, found)
    if not documents:
        raise DataError(f"none of {len(paths)} images could be explained; the first: {skipped[0].reason}")
    if args.html:
        title = f"Words of {len(cards)} images"
        if len(cards) == 1:
            title = f"Words of {documents[0]['image']}"
        word_maps_page(title, cards).write(args.html)
        print_written(args.html)
    if args.json:
        print_document({"images": documents, "skipped": skipped_rows(skipped)})
    return SKIPPED_SOME if skipped else DONE


def explain_one_video(args: argparse.Namespace) -> int:
    """Explain a video."""
    from tqdm import tqdm

    from saliency.api import explain_video
    from saliency.draw import write_clip
    from vislang.core.errors import DataError
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.video import survey

    if not args.video.is_file():
        raise DataError(f"{shown_name(str(args.video))}: no such file, expected a video")
    (drawing,) = planned_drawings(args, [args.video], "_words.mp4")
    model = loaded_model(args)
    facts = survey(args.video)
    fps = _FPS if args.fps is None else args.fps
    if facts.cut:
        print(f"{shown_name(str(args.video))} {facts.cut}; only the part before is explained", file=sys.stderr)
    options = ReadingOptions(weights=args.weights, progress=progress_is_shown())
    found = explain_video(model, args.video, args.sentence, fps=fps, method=args.method, options=options)
    if drawing is not None:
        count = int(facts.seconds * fps) + 1
        with tqdm(total=count, desc="drawing", unit="frame", disable=not progress_is_shown()) as bar:
            write_clip(drawing, args.video, found, fps=fps, tile=args.tile, progress=bar.update)
        print_written(drawing)
    if args.npy:
        write_maps(args.npy, found)
    if args.json:
        document = {"video": shown_name(str(args.video)), "seconds": found.seconds.round(3).tolist()}
        print_document({**document, **word_rows(found)})
    else:
        print_words(args.video, found)
    return DONE


def draw_image(path: Path, image: Any, found: Any, tile: int) -> None:
    """Write a drawing with a tile for each word."""
    from saliency.draw import draw_words
    from vislang.draw.image_files import save_image

    save_image(path, draw_words(image, found, tile=tile))
    print_written(path)


def write_maps(path: Path, found: Any) -> None:
    """Write the maps as a NumPy file."""
    from vislang.core.files import write_array

    write_array(path, found.maps)
    print_written(path)


def word_rows(found: Any) -> dict[str, Any]:
    """Return an `Explanation` as plain JSON values."""
    words = []
    for index, word in enumerate(found.words):
        row = {
            "word": word,
            "known": not found.unknown[index],
            "evidence": round(float(found.evidence[index]), 4),
            "maps": found.maps[:, index].round(4).tolist(),
        }
        if len(found.maps) > 1:
            row["in_time"] = found.in_time[:, index].round(4).tolist()
        words.append(row)
    return {
        "written_by_the_model": found.written,
        "method": found.method,
        "seen": [round(edge, 4) for edge in found.seen],
        "words": words,
    }


def print_document(document: dict[str, Any]) -> None:
    """Print a JSON document on one line."""
    import json

    print(json.dumps(document, ensure_ascii=False, allow_nan=False))


def print_words(source: Path, found: Any) -> None:
    """Print a line for each word: the peak of its map, in % of the sides, its time in a video, and its evidence."""
    from eval.metrics.pointing_game import peak

    origin = "the model's caption" if found.written else "given"
    print(f"{shown_name(str(source))}, {origin}: {' '.join(found.words)}")
    left, top, right, bottom = found.seen
    is_video = len(found.maps) > 1
    print("  word              x %  y %" + ("      at" if is_video else "") + "  evidence")
    for index, word in enumerate(found.words):
        frame = int(found.maps[:, index].max(axis=(1, 2)).argmax())
        x, y = peak(found.maps[frame, index])
        line = f"  {word:16}{100 * (left + x * (right - left)):5.0f}{100 * (top + y * (bottom - top)):5.0f}"
        if is_video:
            line += f"  {found.seconds[frame]:5.1f} s"
        line += f"  {found.evidence[index]:+.1f}"
        if found.unknown[index]:
            line += "  (unknown to the model)"
        print(line)


if __name__ == "__main__":
    sys.exit(main())
