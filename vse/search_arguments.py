"""The arguments of `vislang search`: what its words are, and which options go together."""

import argparse
import glob
import os
from datetime import date
from typing import Any


def day(text: str) -> date:
    """Parse a date such as 2024-06-01."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a day such as 2024-06-01") from error


def with_words(args: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments with the words that have no name as the sentence, or as images where all of them are."""
    if not args.words:
        return args
    if args.text is not None or args.sentences is not None or all(map(_names_images, args.words)):
        args.images = args.words + args.images
    else:
        args.text = " ".join(args.words)
    return args


def _names_images(word: str) -> bool:
    """Return whether a word is a file, a folder, or a pattern of some."""
    return os.path.exists(word) or any(glob.iglob(word, recursive=True))


def check_query(args: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: names them.
    """
    from vislang.core.errors import ConfigError, shown
    from vse.index.store import spaced_words

    queries = [name for name in ("text", "like", "sentences") if getattr(args, name) is not None]
    if len(queries) > 1 and args.sentences is not None:
        names = " and ".join(f"--{name}" for name in queries)
        raise ConfigError(f"{names} were both given, expected one query; run the command twice")
    if args.text is not None and args.minus is not None:
        raise ConfigError("--minus and --plus go together with --like IMAGE alone; leave out --text")
    if args.images and (args.store is not None or args.offset or filter_options(args)):
        raise ConfigError(
            "--store, --offset and filters are for what is indexed; leave out --images and words that name files"
        )
    if args.sentences is not None and not args.images:
        raise ConfigError("--sentences describes images; name them by --images")
    if filter_options(args) and not queries:
        raise ConfigError("--folder, --taken-from, --taken-to and --caption-words need a query; add --text or --like")
    if args.caption_words is not None and not spaced_words(args.caption_words):
        raise ConfigError(f"--caption-words got {shown(args.caption_words)}, expected at least one word")
    if args.taken_from and args.taken_to and args.taken_from > args.taken_to:
        raise ConfigError(f"--taken-from got {args.taken_from}, expected a day up to --taken-to, {args.taken_to}")
    if args.offset < 0:
        raise ConfigError(f"--offset got {args.offset}, expected 0 or more")
    if args.top < 1:
        raise ConfigError(f"--top got {args.top}, expected 1 or more")
    if args.html and args.sentences is not None:
        raise ConfigError("--html shows images, --sentences finds sentences; leave out --html, or take --json")
    if args.html and not queries:
        raise ConfigError("--html shows the images that a query finds, got no query; add --text or --like")
    if (args.minus is None) != (args.plus is None) or (args.minus is not None and args.like is None):
        raise ConfigError("--minus and --plus go together with --like IMAGE: image - word + word")
    if args.rerank and args.minus is None:
        raise ConfigError("--rerank is for --minus and --plus; leave it out")


def filter_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the filters that were given, as arguments of `vse.index.store.Filter`."""
    given = {"folder": args.folder, "taken_from": args.taken_from, "taken_to": args.taken_to}
    given["words"] = args.caption_words
    return {name: value for name, value in given.items() if value is not None}
