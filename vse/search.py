"""Command: search images by a sentence, by another image or by both, or sentences by images.

Examples:
    python -m vse.search "two dogs in the snow"
    python -m vse.search --images ~/Pictures --text "two dogs in the snow"
    python -m vse.search --store lance:pictures.lance --text "a dog" --folder ~/Pictures/2024 --taken-from 2024-06-01
    python -m vse.search --images photo.jpg --sentences f8k_train_caps.txt --top 5
    python -m vse.search --images ~/Pictures --like car.jpg --minus blue --plus red --model runs/vse-f8k-kiros-bow-0

Without --images it searches what `vislang index` indexed; what --images names is indexed once. --minus and --plus
search by an image less one word and plus another.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vislang.core import cli
from vse.search_arguments import check_query, day, filter_options, with_words


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("vse.search", __doc__)
    parser.add_argument("words", nargs="*", metavar="SENTENCE|IMAGE", help="the query; or files, as for --images")
    images = "image files, folders or patterns, or one feature cache (.h5, or a folder of shards), to be searched in"
    parser.add_argument("--images", "--image", nargs="+", action="extend", default=[], metavar="IMAGE", help=images)
    query = parser.add_argument_group("query (or none, to index only)")
    query.add_argument("--text", help="a sentence")
    query.add_argument("--like", metavar="IMAGE", help="an image to find similar ones of; with --text, of both")
    query.add_argument(
        "--sentences", type=Path, metavar="FILE", help="sentences, one a line: find those that describe each image best"
    )
    arithmetic = parser.add_argument_group("with --like")
    arithmetic.add_argument("--minus", metavar="WORD", help="what the images found should not show, such as blue")
    arithmetic.add_argument("--plus", metavar="WORD", help="what they should show in its place, such as red")
    arithmetic.add_argument("--rerank", action="store_true", help="order them by their similarity to their own mean")
    stored = parser.add_argument_group("in a store, without --images")
    stored.add_argument("--store", metavar="URL", help="where `vislang index --store` put them (default: as there)")
    stored.add_argument("--folder", metavar="DIR", help="only images in this folder or below")
    stored.add_argument("--taken-from", type=day, metavar="DATE", help="only those taken on this day or later")
    stored.add_argument("--taken-to", type=day, metavar="DATE", help="only those taken on this day or before")
    stored.add_argument("--caption-words", metavar="WORDS", help="only those whose caption holds all of these words")
    stored.add_argument("--offset", type=int, default=0, metavar="N", help="leave out the N best, for the next page")
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
    return cli.run_command(lambda: search(with_words(args)))


def search(args: argparse.Namespace) -> int:
    """Index, search, print."""
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError
    from vislang.core.files import check_outputs
    from vislang.images.sources import find_images
    from vse.api import load_model

    check_query(args)
    inputs: list[Path] = []
    if named_cache(args):
        inputs = [Path(args.images[0])]
    elif args.images:
        inputs, _ = find_images(args.images, strict=args.strict)  # before a model is loaded
    if args.like is not None:
        liked, _ = find_images([args.like])
        if len(liked) != 1:
            raise ConfigError(f"--like got {len(liked)} images, expected one; name a file")
        inputs += liked
    check_outputs({"--html": args.html}, inputs)
    say_which("vse", args.model)
    model = load_model(args.model)
    if args.text is not None:
        check_words(model, args.text, "--text")
    if args.minus is not None:
        check_words(model, args.minus, "--minus")
        check_words(model, args.plus, "--plus")
    sentences = read_sentences(args.sentences) if args.sentences else []
    if not args.images:
        return search_store(args, model)
    encoded = open_index(args, model)
    if sentences:
        show_sentences(args, encoded, find_sentences(args, model, encoded, sentences))
    else:
        show(args, len(encoded), encoded.skipped, found_images(args, encoded, query_vector(args, model)))
    if encoded.skipped:
        return cli.SKIPPED_SOME
    return cli.DONE


def read_sentences(path: Path) -> list[str]:
    """Read sentences, one a line, each once.

    Raises:
        DataError: the file cannot be read, or holds no sentence.
    """
    from vislang.core.errors import DataError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--sentences {path} cannot be read ({error}); give a UTF-8 text file") from error
    sentences = list(dict.fromkeys(line.strip() for line in text.split("\n") if line.strip()))
    if not sentences:
        raise DataError(f"--sentences {path} holds no sentence, expected one a line")
    return sentences


def query_vector(args: argparse.Namespace, model: Any) -> Any:
    """Encode the query: float32 [1, D] of length 1; of a sentence and an image their mean; None without one."""
    import numpy as np

    from vse.api import encode_sentences

    vectors = []
    if args.text is not None:
        vectors.append(encode_sentences(model, args.text))
    if args.like is not None:
        vectors.append(image_query(args, model))
    if not vectors:
        return None
    total = np.sum(vectors, axis=0)
    return total / max(float(np.linalg.norm(total)), 1e-12)


def image_query(args: argparse.Namespace, model: Any) -> Any:
    """Encode the image of `--like`, less `--minus` and plus `--plus`: float32 [1, D]."""
    from vislang.features.reading_options import ReadingOptions
    from vse.api import encode_images
    from vse.arithmetic import arithmetic_query

    query = encode_images(model, args.like, options=ReadingOptions(weights=args.weights, strict=True)).vectors
    if args.minus is not None:
        if model.config.encoder != "bow":
            print(
                "note: this ranker reads words in order; arithmetic needs one that adds them, of preset kiros-bow",
                file=sys.stderr,
            )
        query = arithmetic_query(model, query[0], args.minus, args.plus)[None]
    return query


def found_images(args: argparse.Namespace, encoded: Any, query: Any) -> list[dict[str, Any]]:
    """Return the nearest images to a query, float32 [1, D]; none for None."""
    from vse.arithmetic import order_by_mean
    from vse.nearest import nearest

    if query is None:
        return []
    (indices,), (scores,) = nearest(query, encoded.vectors, args.top)
    found = []
    for index, score in zip(indices, scores, strict=True):
        found.append({"image": cli.shown_name(encoded.names[index]), "score": round(float(score), 4)})
    if args.rerank:
        found = [found[rank] for rank in order_by_mean(encoded.vectors[indices])]
    return found


def search_store(args: argparse.Namespace, model: Any) -> int:
    """Search what is indexed, and print it."""
    from vislang.core.errors import DataError
    from vse.arithmetic import order_by_mean
    from vse.index.folder import DATABASE
    from vse.index.images import collection_of, own_place
    from vse.index.open_store import open_store
    from vse.index.store import Filter, path_of_stored

    place = args.store or own_place(model)
    if not args.store and not (place / DATABASE).is_file():
        of_model = f" --model {args.model}" if args.model else ""
        raise DataError(f"{place.parent} holds no index of this ranker; make it by: vislang index FOLDER{of_model}")
    where = Filter(**filter_options(args))
    with open_store(place, collection_of(model), create=False) as store:
        hits = []
        query = query_vector(args, model)
        if query is not None:
            (hits,) = store.search(query, args.top, where=where, offset=args.offset)
        if args.rerank:
            hits = [hits[rank] for rank in order_by_mean(store.vectors([hit.record.id for hit in hits]))]
        count = store.count()
    found = []
    for hit in hits:
        row = {"image": cli.shown_name(path_of_stored(hit.record.id)), "score": round(hit.score, 4)}
        more = {"taken": hit.record.taken, "caption": hit.record.caption}
        found.append({**row, **{name: text for name, text in more.items() if text}})
    show(args, count, [], found)
    return cli.DONE


def find_sentences(args: argparse.Namespace, model: Any, encoded: Any, sentences: list[str]) -> list[dict[str, Any]]:
    """Return the sentences that describe each image best."""
    from vse.api import retrieve_captions

    strange = [sentence for sentence in sentences if not model.known_words(sentence)[0]]
    if 0 < len(strange) < len(sentences):
        first = cli.printable(strange[0][:80])
        print(
            f"left out {len(strange)} sentences without a word that the ranker knows, such as: {first}", file=sys.stderr
        )
    rows = []
    for name, matches in zip(encoded.names, retrieve_captions(model, encoded, sentences, top=args.top), strict=True):
        results = [{"sentence": match.name, "score": round(match.score, 4)} for match in matches]
        rows.append({"image": cli.shown_name(name), "results": results})
    return rows


def show_sentences(args: argparse.Namespace, encoded: Any, rows: list[dict[str, Any]]) -> None:
    """Print the sentences found for each image, and what was skipped."""
    if args.json:
        cli.print_json({"images": rows, "skipped": cli.skipped_rows(encoded.skipped)})
        return
    for one in encoded.skipped:
        cli.print_skipped(one.reason)
    for row in rows:
        for found in row["results"]:
            print(f"{found['score']:.3f}\t{cli.printable(row['image'])}\t{cli.printable(found['sentence'])}")


def query_in_words(args: argparse.Namespace) -> str:
    """Return the title of the page of results."""
    if args.like is None:
        return args.text
    name = cli.shown_name(Path(args.like).name)
    if args.text is not None:
        return f"{name} + {args.text}"
    if args.minus is None:
        return name
    return f"{name} \N{MINUS SIGN} {args.minus} + {args.plus}"


def check_words(model: Any, text: str, option: str) -> None:
    """Name the words of an option that the ranker does not know, on stderr, and refuse an option of no others.

    Raises:
        ConfigError: no word of the query is known.
    """
    model.require_known(text, option)
    _, unknown = model.known_words(text)
    if unknown:
        print(f"the ranker does not know: {cli.printable(', '.join(unknown))}", file=sys.stderr)


def named_cache(args: argparse.Namespace) -> bool:
    """Return whether the images are those of a feature cache."""
    from vislang.features.cache.reader import is_cache

    return len(args.images) == 1 and is_cache(args.images[0])


def open_index(args: argparse.Namespace, model: Any) -> Any:
    """Encode the folder, or read the cache."""
    from vislang.features.cache.reader import open_cache
    from vislang.features.reading_options import ReadingOptions
    from vse.api import EncodedImages
    from vse.index.images import index_images

    if named_cache(args):
        cache = open_cache(args.images[0])
        return EncodedImages(model.encode_cached(cache, cache.ids), list(cache.ids))
    options = ReadingOptions(weights=args.weights, strict=args.strict, progress=cli.progress_is_shown())
    return index_images(model, args.images, options=options)


def show(args: argparse.Namespace, count: int, skipped: Sequence[Any], found: list[dict[str, Any]]) -> None:
    """Print the results among `count` images and what was skipped, and write the page."""
    if args.html:
        from vse.page import search_page

        results = [(Path(row["image"]), row["score"]) for row in found]
        search_page(query_in_words(args), results).write(args.html)
    if args.json:
        query = {name: getattr(args, name) for name in ("text", "like", "minus", "plus")}
        document = {**query, "indexed": count, "results": found}
        cli.print_json({**document, "skipped": cli.skipped_rows(skipped)})
        return
    for one in skipped:
        cli.print_skipped(one.reason)
    for row in found:
        print(f"{row['score']:.3f}\t{cli.printable(row['image'])}")
    if args.text is None and args.like is None:
        print(f"{count} images are indexed; search them with --text, --like or --sentences")
    elif not found:
        print(f"none of {count} images is found; loosen the filters, or take a smaller --offset", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
