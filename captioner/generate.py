"""Command: write captions for photographs, as text, JSON, CSV, COCO results or a page with the pictures."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_images,
    add_model,
    add_strict,
    add_weights,
    command_parser,
    print_skipped,
    print_written,
    progress_is_shown,
    run_command,
    shown_name,
    skipped_rows,
)

KIND = "captioner"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("captioner.generate", __doc__)
    add_images(parser, "image files, folders or patterns (default: paths on stdin, one a line)")
    add_model(parser, "captioner")
    add_weights(parser)
    add_strict(parser)
    _describe_decoding(parser.add_argument_group("decoding (default: as the preset says)"))
    output = parser.add_argument_group("output (default: a line for each photograph, its path, a tab, the caption)")
    form = output.add_mutually_exclusive_group()
    for name, words in (
        ("json", "print one JSON document"),
        ("jsonl", "print one line of JSON for each photograph, as soon as it is done"),
        ("csv", "print one row for each caption"),
    ):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=words)
    output.add_argument("--explain", action="store_true", help="also give each word's probability")
    output.add_argument(
        "--coco-results", type=Path, metavar="FILE",
        help="also write the first captions in COCO's results form; image_id is the number of a file named as in COCO "
        "(COCO_val2014_000000391895.jpg, 000000391895.jpg), of others the file name",
    )  # fmt: skip
    output.add_argument("--html", type=Path, metavar="FILE", help="also write a page with pictures and captions")
    parser.set_defaults(form="text")
    return parser


def _describe_decoding(group: Any) -> None:
    group.add_argument("--decode", default="beam", choices=("beam", "greedy", "diverse", "sample"))
    group.add_argument("--beam", type=int, metavar="N", help="width; by default --num widens it as needed")
    group.add_argument("--num", type=int, default=1, metavar="N", help="captions of each photograph")
    group.add_argument("--max-words", type=int, metavar="N", help="longest caption, its end mark counted")
    group.add_argument("--length-power", type=float, metavar="A", help="beam, diverse: rank by log P / length^A")
    group.add_argument(
        "--scorer-weight", type=float, metavar="W", help="re-ranking: weight of the image-text scorers' cosine"
    )
    group.add_argument(
        "--consensus-weight",
        type=float,
        metavar="W",
        help="beam, diverse: of the CIDEr-D with captions of similar images",
    )
    group.add_argument("--groups", type=int, metavar="N", help="diverse: groups that the beam is split into")
    group.add_argument("--diversity", type=float, metavar="D", help="diverse: what repeating an earlier group costs")
    group.add_argument("--temperature", type=float, metavar="T", help="sample: below 1 keeps to likely words")
    group.add_argument("--top-p", type=float, metavar="P", help="sample: only from this share of the probability")
    group.add_argument("--seed", type=int, metavar="N", help="sample: other numbers, other captions (default: 0)")


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: generate(args))


def generate(args: argparse.Namespace) -> int:
    """Find the photographs, caption them batch by batch, and write what was asked for."""
    from captioner.api import load_model
    from captioner.decoding.options import DecodeOptions
    from vislang.core.bundled_models import say_which
    from vislang.core.cli import import_backend_quietly
    from vislang.core.config import to_json
    from vislang.core.errors import DataError
    from vislang.images.sources import find_images

    paths, skipped = find_images(args.images or paths_on_stdin(), strict=args.strict)
    for one in skipped:
        print_skipped(one.reason)
    check_outputs(args, paths)
    say_which(KIND, args.model)
    import_backend_quietly()
    model = load_model(args.model)
    names = ["max_words", "length_power", "scorer_weight", "consensus_weight"]
    names += ["groups", "diversity", "temperature", "top_p", "seed"]
    asked = {}
    for name in names:
        if getattr(args, name) is not None:
            asked[name] = getattr(args, name)
    options = model.complete(DecodeOptions(method=args.decode, num=args.num, width=args.beam, **asked))
    captioned = list(caption_and_print(args, model, options, paths, skipped))
    if args.form == "json":
        used = {}
        for name, value in to_json(options).items():
            if value is not None:
                used[name] = value
        print_document(args, {"fingerprint": model.fingerprint, "decode": used}, captioned, skipped)
    if not captioned:
        raise DataError(f"none of {len(skipped)} photographs could be captioned; the first: {skipped[0].reason}")
    if args.coco_results:
        write_coco_results(args.coco_results, captioned)
    if args.html:
        way = args.decode if args.decode in ("greedy", "sample") else f"{args.decode}, {options.width} wide"
        tags = [f"preset {model.description.get('preset')}", model.description["backbone"]["name"], way]
        write_page(args.html, tags, captioned, skipped)
    return SKIPPED_SOME if skipped else DONE


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
    from vislang.core.files import require_writable_folder

    for option, path in (("--coco-results", args.coco_results), ("--html", args.html)):
        if path is not None:
            if path.is_dir():
                raise ConfigError(f"{option} got the folder {path}, expected a file; name one, such as {path / 'out'}")
            require_writable_folder(path.parent)
    seen: dict[Any, Path] = {}
    for path in paths if args.coco_results else []:
        other = seen.setdefault(image_id(path), path)
        if other is not path:
            raise ConfigError(
                f"--coco-results would name {shown_name(str(other))} and {shown_name(str(path))} both "
                f"{image_id(path)!r}, expected one photograph for each image_id; caption the folders one by one"
            )


def caption_and_print(
    args: argparse.Namespace, model: Any, options: Any, paths: list[Path], skipped: list[Any]
) -> Iterator[Any]:
    """Give every `Captioned` photograph, printed as soon as its batch is done; add the others to `skipped`."""
    from tqdm import tqdm

    from captioner.output_formats import LINES, Captioned, csv_header
    from vislang.features.reading_options import ReadingOptions

    if args.form == "csv":
        print(csv_header(args.explain))
    lines = LINES.get(args.form)  # none for JSON, which is one document at the end
    reading = ReadingOptions(weights=args.weights, strict=args.strict, progress=progress_is_shown())
    for batch, kept, bad in model.caption_images(paths, options, reading):
        images = [Captioned(paths[index], captions) for index, captions in zip(kept, batch, strict=True)]
        with tqdm.external_write_mode():
            for image in images:
                if lines is not None:
                    print("\n".join(lines(image, args.explain)))
            for one in bad:
                print_skipped(one.reason)
            sys.stdout.flush()
        skipped += bad
        yield from images


def print_document(args: argparse.Namespace, way: dict[str, Any], captioned: list[Any], skipped: list[Any]) -> None:
    """Print everything as one JSON document: the model, its `way` of decoding, captions, and what was left out."""
    import json

    from captioner.output_formats import json_row
    from vislang.core.bundled_models import BUNDLED

    images = [json_row(image, args.explain) for image in captioned]
    document = {
        "model": shown_name(str(args.model or BUNDLED[KIND])),
        **way,
        "images": images,
        "skipped": skipped_rows(skipped),
    }
    print(json.dumps(document, ensure_ascii=False, allow_nan=False))


def write_coco_results(path: Path, captioned: list[Any]) -> None:
    """Write the first caption of each photograph in COCO's results form."""
    from captioner.output_formats import image_id
    from eval.metrics.captions.coco_files import write_results

    write_results(path, {image_id(image.path): image.captions[0].text for image in captioned})
    print_written(path)


def write_page(path: Path, tags: list[str], captioned: list[Any], skipped: list[Any]) -> None:
    """Write the page of the images and their captions."""
    from captioner.page import captions_page

    title = "Captions of 1 image" if len(captioned) == 1 else f"Captions of {len(captioned):,} images"
    reasons = [shown_name(one.reason) for one in skipped]
    captions_page(title, tags, captioned, reasons).write(path)
    print_written(path)


if __name__ == "__main__":
    sys.exit(main())
