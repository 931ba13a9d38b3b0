"""Command: show where in images, and when in a video, each word of a sentence comes from.

Without --sentence, the model's own caption is explained.

--json prints for each image, or for the video: "written_by_the_model" (else the sentence was given), "method", "seen"
(left, top, right, bottom of what the model reads, as fractions of width and height) and "words", each with "word",
"known" (to the model), "evidence" (nats for the word by the image), with --maps "maps" (0 to 1, [frames, R, C]) and, of
a video, "in_time" (0 to 1, one per frame, at "seconds").

Examples:
    python -m saliency.explain --images dog.jpg
    python -m saliency.explain --images dog.jpg --sentence "a dog catches a red frisbee" --html dog.html --regions
    python -m saliency.explain --video clip.mp4 --sentence "a man rides a bike" --out maps.mp4
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vislang.core import cli

_FPS = 8.0
_MIN_TILE = 32  # pixels


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("saliency.explain", __doc__)
    cli.add_images(parser)
    parser.add_argument("--video", type=Path, metavar="FILE", help="explain a video instead of images")
    parser.add_argument("--sentence", metavar="TEXT", help="(default: the model's own caption)")
    cli.add_model(parser, "captioner")
    cli.add_weights(parser)
    parser.add_argument(
        "--method", choices=("activation", "regions", "gradient", "ramanishka"), default="activation",
        help="what each cell adds to the ranker's score of a word; of an aligner the regions of the word; or, of the"
        " captioner, the gradient of the word's loss by the features of each cell, or each cell alone as Ramanishka et"
        " al. 2017 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ranker", type=Path, metavar="NAME|DIR",
        help="of --method activation: checkpoint folder of a trained ranker (default: the bundled one)",
    )  # fmt: skip
    parser.add_argument(
        "--aligner", type=Path, metavar="NAME|DIR",
        help="of --method regions: checkpoint folder of a trained aligner (default: the bundled one)",
    )  # fmt: skip
    parser.add_argument("--fps", type=float, metavar="N", help=f"frames per second of a video (default: {_FPS:g})")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE|DIR",
        help="where to draw (default: drawings/NAME_words.png or .mp4; with --html, --json or --npy: nowhere)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the map of each word")
    parser.add_argument(
        "--regions", action="store_true",
        help="with --html: also the regions of the sentence's phrases or, without --sentence, descriptions of regions",
    )  # fmt: skip
    parser.add_argument("--npy", type=Path, metavar="FILE", help="write the maps, float32 [frames, words, R, C]")
    parser.add_argument("--tile", type=int, default=240, metavar="PIXELS", help="longer side of a tile (default: 240)")
    cli.add_json(parser)
    parser.add_argument("--maps", action="store_true", help="with --json: also the cells of each word's map")
    cli.add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: explain(args))


def explain(args: argparse.Namespace) -> int:
    """Explain images or a video, draw and print."""
    from vislang.images.video import is_video

    if args.video is None and len(args.images) == 1 and is_video(args.images[0]):
        args.video = Path(args.images.pop())
    check_options(args)
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
    if args.regions and (args.video is not None or not args.html):
        raise ConfigError("--regions shows regions of images on the page, expected --images and --html FILE with it")
    for option, given, method in (("ranker", args.ranker, "activation"), ("aligner", args.aligner, "regions")):
        if given is not None and args.method != method:
            raise ConfigError(f"--{option} is for --method {method}, got --method {args.method}; leave one of them out")
    if args.method == "regions" and args.video is not None:
        raise ConfigError("--method regions explains images, got --video; take another method")
    if args.fps is not None and args.video is None:
        raise ConfigError("--fps is for videos, expected --video with it; leave it out")
    if args.fps is not None and not args.fps > 0:
        raise ConfigError(f"--fps got {args.fps:g}, expected frames per second, more than 0")
    if args.maps and not args.json:
        raise ConfigError("--maps adds to --json, expected --json with it; --npy FILE writes the maps as an array")
    if args.tile < _MIN_TILE:
        raise ConfigError(f"--tile got {args.tile} pixels, expected {_MIN_TILE} or more")


def loaded_models(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Load the captioner and what else its method reads, by name, and say which the captioner is if none was named."""
    from captioner.api import load_aligner
    from saliency.api import load_model
    from vislang.core.bundled_models import say_which
    from vse.api import load_model as load_ranker

    say_which("captioner", args.model)
    readers: dict[str, Any] = {}
    if args.method == "activation":
        readers["ranker"] = load_ranker(args.ranker, weights=args.weights)
    if args.method == "regions":
        readers["aligner"] = load_aligner(args.aligner, weights=args.weights)
    return load_model(args.model), readers


def explain_images(args: argparse.Namespace) -> int:
    """Explain every image; those that cannot be read are skipped."""
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs
    from vislang.draw.image_files import optional_drawings, save_image
    from vislang.features.command_images import CommandImages
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.decode import decode_image

    images = CommandImages(args)
    if args.npy and len(images.paths) > 1:
        raise ConfigError(f"--npy writes the maps of one image, got {len(images.paths)} images; name one with --images")
    check_outputs({"--html": args.html, "--npy": args.npy}, images.paths)
    drawings = optional_drawings(args, images.paths, "_words.png")
    from saliency.api import explain_image  # with Keras, after what can be refused without it
    from saliency.draw import draw_words
    from saliency.page import explained_image, word_maps_page

    model, readers = loaded_models(args)
    options = ReadingOptions(weights=args.weights)
    regions_of = region_finder(args, options, readers.get("aligner"))

    def explained(path: Path) -> tuple[Any, Any, Any]:
        image = decode_image(path)
        found = explain_image(model, image, args.sentence, method=args.method, options=options, **readers)
        return image, found, regions_of(image)

    documents: list[dict[str, Any]] = []
    cards = []
    for path, (image, found, regions) in images.each(explained):
        documents.append({"image": cli.shown_name(str(path)), **word_rows(found, with_maps=args.maps)})
        drawing = drawings[path]
        if drawing is not None:
            save_image(drawing, draw_words(image, found, tile=args.tile))
            cli.print_written(drawing)
        if args.html:
            cards.append(explained_image(image, cli.shown_name(path.name), found, regions=regions))
        if args.npy:
            write_maps(args.npy, found)
        if not args.json:
            print_words(path, found)
    if args.html:
        title = f"Words of {len(cards)} images"
        if len(cards) == 1:
            title = f"Words of {Path(documents[0]['image']).name}"
        word_maps_page(title, cards).write(args.html)
        cli.print_written(args.html)
    if args.json:
        cli.print_json({"images": documents, "skipped": cli.skipped_rows(images.skipped)})
    return images.exit_code


def region_finder(args: argparse.Namespace, options: Any, aligner: Any) -> Callable[[Any], dict[str, Any]]:
    """Load a model of regions, and return the function that finds those of an image, by their title on the page.

    `aligner` grounds the phrases; None: the bundled one.
    """
    from captioner.api import describe_regions, ground_phrases, load_aligner, load_model

    if not args.regions:
        return lambda image: {}
    if args.sentence is None:
        model = load_model("region-captioner")
        return lambda image: {"Regions": describe_regions(model, image, options=options)}
    aligner = aligner or load_aligner()
    return lambda image: {"Phrases": ground_phrases(aligner, image, args.sentence, options=options)}


def explain_one_video(args: argparse.Namespace) -> int:
    """Explain a video."""
    from tqdm import tqdm

    from saliency.api import explain_video
    from saliency.draw import write_clip
    from vislang.core.errors import DataError
    from vislang.core.files import check_outputs
    from vislang.draw.image_files import optional_drawings
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.video import survey

    if not args.video.is_file():
        raise DataError(f"{args.video}: no such file, expected a video")
    check_outputs({"--html": args.html, "--npy": args.npy}, [args.video])
    drawing = optional_drawings(args, [args.video], "_words.mp4")[args.video]
    model, readers = loaded_models(args)
    facts = survey(args.video)
    fps = _FPS if args.fps is None else args.fps
    options = ReadingOptions(weights=args.weights, progress=cli.progress_is_shown())
    found = explain_video(model, args.video, args.sentence, fps=fps, method=args.method, options=options, **readers)
    if drawing is not None:
        count = int(facts.seconds * fps) + 1
        with tqdm(total=count, desc="drawing", unit="frame", disable=not cli.progress_is_shown()) as bar:
            write_clip(drawing, args.video, found, fps=fps, tile=args.tile, progress=bar.update)
        cli.print_written(drawing)
    if args.html:
        write_clip_page(args.html, args.video, found, fps)
    if args.npy:
        write_maps(args.npy, found)
    if args.json:
        document = {"video": cli.shown_name(str(args.video)), "seconds": rounded(found.seconds, 3)}
        cli.print_json({**document, **word_rows(found, with_maps=args.maps)})
    else:
        print_words(args.video, found)
    return cli.DONE


def write_clip_page(path: Path, video: Path, found: Any, fps: float) -> None:
    """Write the page of a video, which is decoded again for the frames where its words are strongest."""
    from saliency.page import explained_clip, strongest_frames, word_maps_page
    from vislang.images.video import sampled_frames

    numbers = strongest_frames(found)
    frames = {}
    for number, frame in enumerate(sampled_frames(video, fps)):
        if number in numbers:
            frames[number] = frame.image
    name = cli.shown_name(video.name)
    card = explained_clip([frames[number] for number in numbers], name, found)
    word_maps_page(f"Words of {name}", [card]).write(path)
    cli.print_written(path)


def write_maps(path: Path, found: Any) -> None:
    """Write the maps as a NumPy file."""
    from vislang.core.files import write_array

    write_array(path, found.maps)
    cli.print_written(path)


def rounded(values: Any, digits: int = 4) -> Any:
    """Return a float32 array as lists of Python floats, rounded so that they are written with so many digits."""
    return values.astype(float).round(digits).tolist()


def word_rows(found: Any, *, with_maps: bool = False) -> dict[str, Any]:
    """Return an `Explanation` as plain JSON values, whose keys the command's help describes."""
    words = []
    for index, word in enumerate(found.words):
        row = {
            "word": word,
            "known": not found.unknown[index],
            "evidence": round(float(found.evidence[index]), 4),
        }
        if with_maps:
            row["maps"] = rounded(found.maps[:, index])
        if len(found.maps) > 1:
            row["in_time"] = rounded(found.in_time[:, index])
        words.append(row)
    return {
        "written_by_the_model": found.written,
        "method": found.method,
        "seen": [round(edge, 4) for edge in found.seen],
        "words": words,
    }


def print_words(source: Path, found: Any) -> None:
    """Print a line for each word: the peak of its map, in % of the sides, its time in a video, and its evidence."""
    from eval.metrics.pointing_game import peak
    from saliency.word_maps import FAINTEST

    origin = "the model's caption" if found.written else "given"
    print(f"{cli.printable(str(source))}, {origin}: {cli.printable(' '.join(found.words))}")
    left, top, right, bottom = found.seen
    is_video = len(found.maps) > 1
    print("  word              x %  y %" + ("      at" if is_video else "") + "  evidence")
    for index, word in enumerate(found.words):
        if found.maps[:, index].max() < FAINTEST:
            moment = "        –" if is_video else ""
            reason = "unknown to the model" if found.unknown[index] else "no clear place"
            print(f"  {cli.printable(word):16}{'–':>5}{'–':>5}{moment}  {found.evidence[index]:+.1f}  ({reason})")
            continue
        frame = int(found.maps[:, index].max(axis=(1, 2)).argmax())
        x, y = peak(found.maps[frame, index])
        x_percent = 100 * (left + x * (right - left))
        y_percent = 100 * (top + y * (bottom - top))
        line = f"  {cli.printable(word):16}{x_percent:5.0f}{y_percent:5.0f}"
        if is_video:
            line += f"  {found.seconds[frame]:5.1f} s"
        line += f"  {found.evidence[index]:+.1f}"
        if found.unknown[index]:
            line += "  (unknown to the model)"
        print(line)


if __name__ == "__main__":
    sys.exit(main())
