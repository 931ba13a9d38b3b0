"""Command: index image files, so that `vislang search` finds them.

Examples:
    python -m vse.build_index ~/Pictures
    python -m vse.build_index ~/Pictures /mnt/photos --store lance:pictures.lance --watch
    python -m vse.build_index runs/features/many --store lance:many.lance
    vislang caption ~/Pictures > captions.txt && python -m vse.build_index ~/Pictures --captions captions.txt

Run again, it encodes what is new or changed, and removes what is gone; an interrupted run goes on.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vislang.core import cli


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("vse.build_index", __doc__)
    cli.add_images(parser, "image files, folders or patterns, or one feature cache (.h5, or a folder of shards)")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="a folder, lance:PATH, s3://BUCKET/PATH or postgresql://USER@HOST/DATABASE"
        " (default: VISLANG_INDEX, then ~/.cache/vislang/index)",
    )
    parser.add_argument(
        "--captions", type=Path, metavar="FILE", help="what `vislang caption` prints, image<TAB>caption, for filters"
    )
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=10.0,
        metavar="SECONDS",
        help="look for changes again and again, every 10 seconds or as many as given",
    )
    cli.add_model(parser, "ranker")
    cli.add_weights(parser)
    cli.add_batch_size(parser)
    cli.add_json(parser)
    cli.add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: index(args))


def index(args: argparse.Namespace) -> int:
    """Index once, or again and again."""
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError
    from vislang.features.cache.reader import is_cache
    from vislang.features.reading_options import ReadingOptions
    from vse.api import load_model
    from vse.index.images import collection_of, own_place
    from vse.index.open_store import open_store

    if args.watch is not None and args.watch <= 0:
        raise ConfigError(f"--watch got {args.watch}, expected more than 0 seconds")
    options = ReadingOptions(
        weights=args.weights, batch_size=args.batch_size, strict=args.strict, progress=cli.progress_is_shown()
    )
    if not args.images:
        raise ConfigError("no image was given, expected files, folders or patterns: --images FILE ...")
    if args.watch is not None and len(args.images) == 1 and is_cache(args.images[0]):
        raise ConfigError("--watch looks for changed images, got a feature cache; leave out --watch")
    captions = read_captions(args.captions) if args.captions else {}
    say_which("vse", args.model)
    model = load_model(args.model)
    with open_store(args.store or own_place(model), collection_of(model)) as store:
        if args.watch is not None:
            store.compact()  # what a killed process left
        done = update(args, store, model, captions, options)
        report(args, store, done)
        while args.watch is not None:
            time.sleep(args.watch)
            done = look_again(args, store, done, lambda: update(args, store, model, captions, options))
    if done.skipped:
        return cli.SKIPPED_SOME
    return cli.DONE


def update(args: argparse.Namespace, store: Any, model: Any, captions: dict[str, str], options: Any) -> Any:
    """Bring the store up to date."""
    from vislang.features.cache.reader import is_cache, open_cache
    from vse.index.cached_images import update_from_cache
    from vse.index.images import update_store

    if len(args.images) == 1 and is_cache(args.images[0]):
        return update_from_cache(store, model, open_cache(args.images[0]), captions=captions)
    watching = args.watch is not None
    return update_store(store, model, args.images, captions=captions, watching=watching, options=options)


def look_again(args: argparse.Namespace, store: Any, last: Any, look: Callable[[], Any]) -> Any:
    """Bring the store up to date once more, and say what has changed since the last time."""
    from vislang.core.errors import DataError

    try:
        done = look()
    except DataError as error:  # such as a folder on a disk that is away for now
        print(f"error: {cli.printable(str(error))}; trying again", file=sys.stderr)
        return last
    if done.encoded or done.removed or done.skipped != last.skipped:
        report(args, store, done)
    return done


def report(args: argparse.Namespace, store: Any, done: Any) -> None:
    """Say what was done."""
    numbers = {"encoded": done.encoded, "unchanged": done.unchanged, "removed": done.removed, "indexed": store.count()}
    unused = done.unused_captions
    if unused:
        first = cli.printable(unused[0])
        print(f"captions that name none of the images: {len(unused)}, such as {first}", file=sys.stderr)
    if args.json:
        cli.print_json({"store": store.url, **numbers, "skipped": cli.skipped_rows(done.skipped)})
        return
    cli.print_some_skipped([one.reason for one in done.skipped])
    counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    print(f"{counts} in {cli.printable(store.url)}", flush=True)


def read_captions(path: Path) -> dict[str, str]:
    """Read {image: caption} from lines `image<TAB>caption`.

    Raises:
        DataError: the file cannot be read, a line has no tab, or an image comes twice.
    """
    from vislang.core.errors import DataError, shown
    from vislang.core.files import keyed

    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--captions {path} cannot be read ({error}); give a UTF-8 text file") from error
    pairs = []
    for line in filter(str.strip, lines):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise DataError(f"--captions {path} holds {shown(line)}, expected image<TAB>caption")
        pairs.append((name, caption.strip()))
    return keyed(pairs, f"{path}, captions", "give each image one caption")


if __name__ == "__main__":
    sys.exit(main())
