"""Command: search a folder of photographs by a sentence or by another photograph. The folder is indexed once."""

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
    print_skipped,
    progress_is_shown,
    run_command,
    shown_name,
    skipped_rows,
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("vse.search", __doc__)
    add_images(parser, "image files, folders or patterns, or one feature cache (.h5)")
    query = parser.add_argument_group("query (one of them, or neither to index only)")
    query.add_argument("--text", help="a sentence")
    query.add_argument("--like", metavar="IMAGE", help="an image to find similar ones of")
    add_model(parser, "ranker")
    add_weights(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="number of results (default: %(default)s)")
    add_json(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the pictures found")
    add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: search(args))


def search(args: argparse.Namespace) -> int:
    """Index, search, print."""
    from vislang.core.bundled_models import say_which
    from vislang.core.cli import import_backend_quietly
    from vislang.core.errors import ConfigError
    from vislang.features.reading_options import ReadingOptions
    from vse.api import encode_images, load_model, retrieve_images
    from vse.nearest import nearest

    if args.text is not None and args.like is not None:
        raise ConfigError("--text and --like were both given, expected one query; run the command twice")
    if args.top < 1:
        raise ConfigError(f"--top got {args.top}, expected 1 or more")
    say_which("vse", args.model)
    import_backend_quietly()
    model = load_model(args.model)
    encoded = open_index(args, model)
    found: list[dict[str, Any]] = []
    if args.text is not None:
        (matches,) = retrieve_images(model, encoded, args.text, top=args.top)
        found = [{"image": shown_name(match.name), "score": round(match.score, 4)} for match in matches]
    elif args.like is not None:
        query = encode_images(model, args.like, options=ReadingOptions(weights=args.weights, strict=True)).vectors
        if len(query) != 1:
            raise ConfigError(f"--like got {len(query)} pictures, expected one; name a file")
        numbers, scores = nearest(query[:1], encoded.vectors, args.top)
        pairs = zip(numbers[0], scores[0], strict=True)
        found = []
        for number, score in pairs:
            found.append({"image": shown_name(encoded.names[number]), "score": round(float(score), 4)})
    show(args, encoded, found)
    if encoded.skipped:
        return SKIPPED_SOME
    return DONE


def open_index(args: argparse.Namespace, model: Any) -> Any:
    """Encode the folder, or read the cache."""
    from vislang.features.cache.reader import open_cache
    from vislang.features.reading_options import ReadingOptions
    from vse.api import EncodedImages
    from vse.index import index_images

    if len(args.images) == 1 and Path(args.images[0]).suffix in (".h5", ".hdf5"):
        cache = open_cache(args.images[0])
        return EncodedImages(model.encode_cached(cache, cache.ids), list(cache.ids))
    options = ReadingOptions(weights=args.weights, strict=args.strict, progress=progress_is_shown())
    return index_images(model, args.images, options=options)


def show(args: argparse.Namespace, encoded: Any, found: list[dict[str, Any]]) -> None:
    """Print the answers and what was skipped."""
    import json

    skipped = skipped_rows(encoded.skipped)
    if args.html:
        write_page(args.html, args.text or args.like or "", found)
    if args.json:
        query = {"text": args.text, "like": args.like}
        print(json.dumps({**query, "indexed": len(encoded), "results": found, "skipped": skipped}, ensure_ascii=False))
        return
    for one in encoded.skipped:
        print_skipped(one.reason)
    for row in found:
        print(f"{row['score']:.3f}\t{row['image']}")
    if not found:
        print(f"{len(encoded)} images are indexed; search them with --text or --like")


def write_page(path: Path, query: str, found: list[dict[str, Any]]) -> None:
    """Write the answers as one HTML page with the pictures inside."""
    from vse.page import search_page

    search_page(query, [(Path(row["image"]), row["score"]) for row in found]).write(path)


if __name__ == "__main__":
    sys.exit(main())
