"""Command: write captions for images and videos, as text, JSON, CSV, COCO results or a page that shows them.

A video is captioned as a whole, from 26 of its frames; videos come after all images. Many images, or tar files of
them, are captioned shard by shard into files of JSON lines:
    python -m captioner.generate DIR --shards runs/captions --jobs 2
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from captioner.decoding.options import METHODS, DecodeOptions
from vislang.core import cli
from vislang.core.config_options import add_fields
from vislang.features.shards.command import add_shards, check_shards, named_images, refuse_beside_shards, run_and_report

KIND = "captioner"
_DECODING = (
    "max_words",
    "forbid_repeats",
    "no_repeat_ngram",
    "length_power",
    "repetition_weight",
    "scorer_weight",
    "consensus_weight",
    "groups",
    "diversity",
    "temperature",
    "top_p",
    "seed",
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("captioner.generate", __doc__)
    cli.add_images(parser, "image and video files, folders or patterns (default: paths on stdin, one a line)")
    cli.add_model(parser, "captioner")
    cli.add_weights(parser)
    cli.add_strict(parser)
    decoding = parser.add_argument_group("decoding (default: as the preset says)")
    decoding.add_argument("--decode", default="beam", choices=METHODS)
    decoding.add_argument("--beam", type=int, metavar="N", help="width; by default --num widens it as needed")
    decoding.add_argument("--num", type=int, default=1, metavar="N", help="captions of each image or video")
    add_fields(decoding, DecodeOptions, _DECODING)
    output = parser.add_argument_group("output (default: a line for each file, its path, a tab, the caption)")
    form = output.add_mutually_exclusive_group()
    for name, words in (
        ("json", "print one JSON document"),
        ("jsonl", "print one line of JSON for each file, as soon as it is done"),
        ("csv", "print one row for each caption"),
    ):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=words)
    output.add_argument("--explain", action="store_true", help="also give each word's probability and the confidence")
    output.add_argument(
        "--coco-results", type=Path, metavar="FILE",
        help="also write the first captions in COCO's results form; image_id is the number of a file named as in COCO "
        "(COCO_val2014_000000391895.jpg, 000000391895.jpg), of others the file name",
    )  # fmt: skip
    output.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the images and captions")
    add_shards(parser)
    parser.set_defaults(form="text")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    parser = build_parser()
    args = parser.parse_args(argv)
    check_shards(parser, args)
    if args.shards is None:
        return cli.run_command(lambda: generate(args))
    if args.form == "csv":
        parser.error("got --csv and --shards, which writes JSON lines")
    refuse_beside_shards(parser, args, ("coco_results", "html"))
    return cli.run_command(lambda: generate_shards(args))


def generate_shards(args: argparse.Namespace) -> int:
    """Caption shards of images."""
    from captioner.shard_jobs import CaptionJob
    from vislang.core.bundled_models import find_checkpoint, say_which
    from vislang.features.reading_options import ReadingOptions

    say_which(KIND, args.model)
    options = ReadingOptions(weights=args.weights, strict=args.strict)
    images = named_images(args, args.images[0])
    job = CaptionJob(
        args.shards,
        images,
        args.strict,
        find_checkpoint(KIND, args.model),
        options,
        _decode_options(args),
        args.explain,
    )
    return run_and_report(job, args, as_json=args.form == "json")


def _decode_options(args: argparse.Namespace) -> DecodeOptions:
    given = {name: getattr(args, name) for name in _DECODING if getattr(args, name) is not None}
    return DecodeOptions(method=args.decode, num=args.num, width=args.beam, **given)


def generate(args: argparse.Namespace) -> int:
    """Find the images and videos, caption them batch by batch, and write the captions."""
    from captioner.api import load_model
    from vislang.core.bundled_models import BUNDLED, say_which
    from vislang.core.config import to_json
    from vislang.core.errors import DataError
    from vislang.features.command_images import CommandImages
    from vislang.images.decode import SUFFIXES
    from vislang.images.video import SUFFIXES as VIDEO_SUFFIXES
    from vislang.images.video import is_video

    args.images = args.images or paths_on_stdin()
    images = CommandImages(args, SUFFIXES | VIDEO_SUFFIXES)
    check_outputs(args, images.paths)
    say_which(KIND, args.model)
    model = load_model(args.model)
    options = model.complete(_decode_options(args))
    captioned = list(caption_and_print(args, model, options, images))
    if args.form == "json":
        from captioner.output_formats import json_row

        used = {name: value for name, value in to_json(options).items() if value is not None}
        document = {
            "model": cli.shown_name(str(args.model or BUNDLED[KIND])),
            "fingerprint": model.fingerprint,
            "decode": used,
            "images": [json_row(one, args.explain) for one in captioned if not is_video(one.path)],
            "videos": [json_row(one, args.explain) for one in captioned if is_video(one.path)],
            "skipped": cli.skipped_rows(images.skipped),
        }
        cli.print_json(document)
    if not captioned:
        raise DataError(f"none of {len(images.skipped)} files could be used; the first: {images.skipped[0].reason}")
    if args.coco_results:
        write_coco_results(args.coco_results, captioned)
    if args.html:
        method = args.decode
        if options.width is not None:
            method += f", {options.width} wide"
        tags = [f"preset {model.description.get('preset')}", model.description["backbone"]["name"], method]
        write_page(args.html, tags, captioned, images.skipped)
    return images.exit_code


def paths_on_stdin() -> list[str]:
    """Read paths, one a line or separated by NUL; none when a person sits at the terminal."""
    if sys.stdin.isatty():
        return []
    content = sys.stdin.buffer.read()
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def check_outputs(args: argparse.Namespace, paths: list[Path]) -> None:
    """Refuse, before any work is done, output that could not be written at its end."""
    from captioner.output_formats import image_id
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs as check_files

    check_files({"--coco-results": args.coco_results, "--html": args.html}, paths)
    seen: dict[Any, Path] = {}
    for path in paths if args.coco_results else []:
        other = seen.setdefault(image_id(path), path)
        if other is not path:
            raise ConfigError(
                f"--coco-results would name {cli.shown_name(str(other))} and {cli.shown_name(str(path))} both "
                f"{image_id(path)!r}, expected one image for each image_id; caption the folders one by one"
            )


def caption_and_print(args: argparse.Namespace, model: Any, options: Any, images: Any) -> Iterator[Any]:
    """Yield every `Captioned` file, printed as soon as its batch is done; `CommandImages.skip` the others."""
    from tqdm import tqdm

    from captioner.output_formats import LINES, csv_header
    from vislang.features.reading_options import ReadingOptions

    if args.form == "csv":
        print(csv_header(args.explain))
    lines = LINES.get(args.form)  # none for JSON, which is one document at the end
    reading = ReadingOptions(weights=args.weights, strict=args.strict, progress=cli.progress_is_shown())
    for captioned, bad in each_batch(model, options, reading, images.paths, with_pictures=args.html is not None):
        with tqdm.external_write_mode():
            for one in captioned:
                if lines is not None:
                    print("\n".join(lines(one, args.explain)))
            images.skip(bad)
            sys.stdout.flush()
        yield from captioned


def each_batch(
    model: Any, options: Any, reading: Any, paths: list[Path], *, with_pictures: bool
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield, for each batch of images and then for each video, what is `Captioned` and what is `Skipped`.

    Args:
        with_pictures: keep pictures of the videos for a page.
    """
    from captioner.output_formats import Captioned
    from vislang.images.video import is_video

    videos = [path for path in paths if is_video(path)]
    images = [path for path in paths if not is_video(path)]
    if images:
        for batch, kept, bad in model.caption_images(images, options, reading):
            yield [Captioned(images[index], captions) for index, captions in zip(kept, batch, strict=True)], bad
    yield from each_video(model, options, reading, videos, with_pictures=with_pictures)


def each_video(
    model: Any, options: Any, reading: Any, paths: list[Path], *, with_pictures: bool
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield for each video what is `Captioned` and what is `Skipped`; arguments as for `each_batch`."""
    from tqdm import tqdm

    from captioner.output_formats import Captioned
    from captioner.page import picture_of_frames
    from vislang.core.errors import DataError
    from vislang.images.sources import Skipped
    from vislang.images.video import spread_frames

    quiet = replace(reading, progress=False)  # one bar for all videos
    shown = tqdm(paths, desc="captioning", unit="video", disable=not (reading.progress and paths))
    for number, path in enumerate(shown):
        try:
            frames = spread_frames(path)
        except DataError as error:
            if reading.strict:
                raise
            yield [], [Skipped(str(path), str(error))]
            continue
        captions = model.caption_clip(frames, options, quiet, number)
        picture = None
        if with_pictures:
            picture = picture_of_frames(frames)
        yield [Captioned(path, captions, picture)], []


def write_coco_results(path: Path, captioned: list[Any]) -> None:
    """Write the first caption of each image in COCO's results form."""
    from captioner.output_formats import image_id
    from eval.metrics.captions.coco_files import write_results

    write_results(path, {image_id(image.path): image.captions[0].text for image in captioned})
    cli.print_written(path)


def write_page(path: Path, tags: list[str], captioned: list[Any], skipped: list[Any]) -> None:
    """Write the page of the images and videos and their captions."""
    from captioner.page import captions_page
    from vislang.images.video import is_video

    num_videos = sum(is_video(one.path) for one in captioned)
    counts = ((len(captioned) - num_videos, "image"), (num_videos, "video"))
    title = "Captions of " + " and ".join(_counted(count, noun) for count, noun in counts if count)
    reasons = [cli.shown_name(one.short_reason) for one in skipped]
    captions_page(title, tags, captioned, reasons).write(path)
    cli.print_written(path)


def _counted(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


if __name__ == "__main__":
    sys.exit(main())
