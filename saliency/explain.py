"""Command: say where in a photograph, or when in a video, each word of a sentence comes from.

Without --sentence, of the caption that the model writes itself.

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

_RATE = 8.0  # frames a second, of videos


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("saliency.explain", __doc__)
    add_images(parser)
    parser.add_argument("--video", type=Path, metavar="FILE", help="explain a video instead of images")
    parser.add_argument("--sentence", metavar="TEXT", help="(default: the model's own caption)")
    add_model(parser, "captioner")
    add_weights(parser)
    parser.add_argument(
        "--method", choices=("gradient", "original"), default="gradient",
        help="gradient of each word's loss by the features of each cell, or each cell alone as in the published code"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--fps", type=float, metavar="N", help=f"video: frames looked at in a second (default: {_RATE:g})"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE|DIR", help="where to draw (default: drawings/NAME_words.png or .mp4)"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="image: also write a page; over a word, its map shows"
    )
    parser.add_argument("--npy", type=Path, metavar="FILE", help="also write the maps, float32 [frames, words, R, C]")
    add_json(parser)
    parser.add_argument("--tile", type=int, default=240, metavar="PIXELS", help="longer side of a tile (default: 240)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: explain(args))


def explain(args: argparse.Namespace) -> int:
    """Explain, then draw and print what was asked for."""
    import json

    from saliency.api import load_model

    args.image = only_image(args)
    drawing = check(args)
    from vislang.core.bundled_models import say_which

    say_which("captioner", args.model)
    import_backend_quietly()
    model = load_model(args.model)
    found = explain_picture(args, model, drawing) if args.image else explain_film(args, model, drawing)
    if args.npy:
        write_maps(args.npy, found)
    if args.json:
        print(json.dumps(document(args, found), ensure_ascii=False, allow_nan=False))
    else:
        print_words(args, found)
    return DONE


def only_image(args: argparse.Namespace) -> Path | None:
    """Return the image to explain, or None for a video."""
    from vislang.core.errors import ConfigError
    from vislang.features.pipeline import find_images

    if args.video and args.images:
        raise ConfigError("--images and --video were both given, expected one of them; run the command twice")
    if args.video:
        return None
    paths, _ = find_images(args.images, strict=True)
    if len(paths) > 1:
        raise ConfigError(f"--images got {len(paths)} images, expected one; run the command for each")
    return paths[0]


def check(args: argparse.Namespace) -> Path | None:
    """Refuse, before any work is done, what cannot end well; return the file to draw."""
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.files import require_writable_folder
    from vislang.draw.image_files import plan_drawings

    source = args.image or args.video
    if not source.is_file():
        raise DataError(
            f"{shown_name(str(source))}: no such file, expected a {'photograph' if args.image else 'video'}"
        )
    if args.html and args.video:
        raise ConfigError("--html shows a photograph, got --video; draw the video with --out FILE.mp4")
    if args.fps is not None and args.image:
        raise ConfigError("--fps is for videos, got --images; leave one out")
    if args.fps is not None and not args.fps > 0:
        raise ConfigError(f"--fps got {args.fps:g}, expected frames a second, more than 0")
    if args.tile < 32:
        raise ConfigError(f"--tile got {args.tile} pixels, expected 32 or more")
    for path in (args.html, args.npy):
        if path is not None:
            require_writable_folder(path.parent)
    if args.json and args.out is None:
        return None
    return plan_drawings(args.out, [source], "_words.png" if args.image else "_words.mp4")[0]


def explain_picture(args: argparse.Namespace, model: Any, drawing: Path | None) -> Any:
    """Explain a photograph and draw it."""
    from saliency.api import explain_image
    from saliency.draw import draw_words
    from vislang.draw.image_files import save_image
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.decode import decode_image

    picture = decode_image(args.image)
    options = ReadingOptions(weights=args.weights)
    found = explain_image(model, picture, args.sentence, method=args.method, options=options)
    if drawing:
        save_image(drawing, draw_words(picture, found, tile=args.tile))
        said_written(drawing)
    if args.html:
        from saliency.page import explained_image, word_maps_page

        name = shown_name(args.image.name)
        word_maps_page(f"Words of {name}", [explained_image(picture, name, found)]).write(args.html)
        said_written(args.html)
    return found


def explain_film(args: argparse.Namespace, model: Any, drawing: Path | None) -> Any:
    """Explain a video and draw it."""
    from tqdm import tqdm

    from saliency.api import explain_video
    from saliency.draw import write_clip
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.video import survey

    facts = survey(args.video)
    rate = args.fps
    if args.fps is None:
        rate = _RATE
    if facts.cut:
        print(f"{shown_name(str(args.video))} {facts.cut}; what comes before is explained", file=sys.stderr)
    count = int(facts.seconds * rate) + 1
    options = ReadingOptions(weights=args.weights, progress=progress_is_shown())
    found = explain_video(model, args.video, args.sentence, fps=rate, method=args.method, options=options)
    if drawing:
        with tqdm(total=count, desc="drawing", unit="frame", disable=not progress_is_shown()) as bar:
            write_clip(drawing, args.video, found, fps=rate, tile=args.tile, progress=bar.update)
        said_written(drawing)
    return found


def write_maps(path: Path, found: Any) -> None:
    """Write the maps as a NumPy file."""
    import numpy as np

    from vislang.core.files import whole_file

    with whole_file(path) as part, part.open("wb") as stream:
        np.save(stream, found.maps, allow_pickle=False)
    said_written(path)


def said_written(path: Path) -> None:
    """Tell on stderr that a file was written."""
    print(f"wrote {shown_name(str(path))}", file=sys.stderr)


def document(args: argparse.Namespace, found: Any) -> dict[str, Any]:
    """Give everything as plain JSON values: for each word its evidence and its maps, and of videos its moments."""
    maps = found.maps
    words = []
    for number, word in enumerate(found.words):
        row = {
            "word": word,
            "known": not found.unknown[number],
            "evidence": round(float(found.evidence[number]), 4),
            "maps": maps[:, number].round(4).tolist(),
        }
        words.append(row | ({"in_time": found.in_time[:, number].round(4).tolist()} if args.video else {}))
    return {
        "source": shown_name(str(args.image or args.video)),
        "written_by_the_model": found.written,
        "method": found.method,
        "seen": [round(edge, 4) for edge in found.seen],
        "seconds": found.seconds.round(3).tolist(),
        "words": words,
    }


def print_words(args: argparse.Namespace, found: Any) -> None:
    """Print a line for each word: where it comes from, in percent of the sides, and what speaks for it."""
    from eval.metrics.pointing_game import peak

    print(f"{'the model writes' if found.written else 'given'}: {' '.join(found.words)}")
    left, top, right, bottom = found.seen
    print("  word              x %  y %" + ("      at" if args.video else "") + "  evidence")
    for number, word in enumerate(found.words):
        frame = int(found.maps[:, number].max(axis=(1, 2)).argmax())
        across, down = peak(found.maps[frame, number])
        place = f"{100 * (left + across * (right - left)):5.0f}{100 * (top + down * (bottom - top)):5.0f}"
        moment = ""
        if args.video:
            moment = f"  {found.seconds[frame]:5.1f} s"
        note = ""
        if found.unknown[number]:
            note = "  (a word that the model does not know)"
        print(f"  {word:16}{place}{moment}  {found.evidence[number]:+.1f}{note}")


if __name__ == "__main__":
    sys.exit(main())
