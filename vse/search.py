"""Command: search a folder of images by a sentence or by another image. The folder is indexed once."""

import argparse
import sys
from pathlib import Path
from typing import Any

from vislang.core import cli


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("vse.search", __doc__)
    cli.add_images(parser, "image files, folders or patterns, or one feature cache (.h5)")
    query = parser.add_argument_group("query (one of them, or neither to index only)")
    query.add_argument("--text", help="a sentence")
    query.add_argument("--like", metavar="IMAGE", help="an image to find similar ones of")
    cli.add_model(parser, "ranker")
    cli.add_weights(parser)
    parser.add_argument("--top", type=int, default=5, metavar="K", help="number of results (default: %(default)s)")
    cli.add_json(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the images found")
    cli.add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: search(args))


def search(args: argparse.Namespace) -> int:
    """Index, search, print."""
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.sources import find_images
    from vse.api import encode_images, encode_sentences, load_model
    from vse.nearest import nearest

    if args.text is not None and args.like is not None:
        raise ConfigError("--text and --like were both given, expected one query; run the command twice")
    if args.top < 1:
        raise ConfigError(f"--top got {args.top}, expected 1 or more")
    if args.html and args.text is None and args.like is None:
        raise ConfigError("--html shows what a query finds, got no query; add --text or --like")
    inputs, _ = find_images(args.images, strict=args.strict)  # before a model is loaded
    if args.like is not None:
        inputs += find_images([args.like])[0]
    check_outputs({"--html": args.html}, inputs)
    say_which("vse", args.model)
    model = load_model(args.model)
    if args.text is not None:
        check_words(model, args.text)
    encoded = open_index(args, model)
    query = None
    if args.text is not None:
        query = encode_sentences(model, args.text)
    elif args.like is not None:
        query = encode_images(model, args.like, options=ReadingOptions(weights=args.weights, strict=True)).vectors
        if len(query) != 1:
            raise ConfigError(f"--like got {len(query)} images, expected one; name a file")
    found: list[dict[str, Any]] = []
    if query is not None:
        indices, scores = nearest(query, encoded.vectors, args.top)
        for index, score in zip(indices[0], scores[0], strict=True):
            found.append({"image": cli.shown_name(encoded.names[index]), "score": round(float(score), 4)})
    show(args, encoded, found)
    if encoded.skipped:
        return cli.SKIPPED_SOME
    return cli.DONE


def check_words(model: Any, text: str) -> None:
    """Name the words of a query that the ranker does not know, on stderr, and refuse a query of no others.

    Raises:
        ConfigError: no word of the query is known.
    """
    from vislang.core.errors import ConfigError

    known, unknown = model.known_words(text)
    if not known:
        raise ConfigError(
            f"--text got {cli.printable(repr(text))}, expected words of which the ranker knows one; try others"
        )
    if unknown:
        print(f"the ranker does not know: {cli.printable(', '.join(unknown))}", file=sys.stderr)


def open_index(args: argparse.Namespace, model: Any) -> Any:
    """Encode the folder, or read the cache."""
    from vislang.features.cache.reader import open_cache
    from vislang.features.reading_options import ReadingOptions
    from vse.api import EncodedImages
    from vse.index import index_images

    if len(args.images) == 1 and Path(args.images[0]).suffix in (".h5", ".hdf5"):
        cache = open_cache(args.images[0])
        return EncodedImages(model.encode_cached(cache, cache.ids), list(cache.ids))
    options = ReadingOptions(weights=args.weights, strict=args.strict, progress=cli.progress_is_shown())
    return index_images(model, args.images, options=options)


def show(args: argparse.Namespace, encoded: Any, found: list[dict[str, Any]]) -> None:
    """Print the results and what was skipped, and write the page."""
    if args.html:
        from vse.page import search_page

        results = [(Path(row["image"]), row["score"]) for row in found]
        query = args.text or cli.shown_name(Path(args.like or "").name)
        search_page(query, results).write(args.html)
    if args.json:
        document = {"text": args.text, "like": args.like, "indexed": len(encoded), "results": found}
        cli.print_json({**document, "skipped": cli.skipped_rows(encoded.skipped)})
        return
    for one in encoded.skipped:
        cli.print_skipped(one.reason)
    for row in found:
        print(f"{row['score']:.3f}\t{cli.printable(row['image'])}")
    if not found:
        print(f"{len(encoded)} images are indexed; search them with --text or --like")


if __name__ == "__main__":
    sys.exit(main())
