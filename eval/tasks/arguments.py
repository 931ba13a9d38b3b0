"""Options that several tasks of eval.run share."""

import argparse
from pathlib import Path

from vislang.core.cli import Options, add_json, add_models


def add_data(parser: Options, dataset: str = "the one of training") -> None:
    """Add the options that name a split of a data set; `dataset` is what the help says of the default."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set (default: that of training)")
    parser.add_argument("--dataset", help=f"name of its reader (default: {dataset})")
    parser.add_argument("--dataset-name", metavar="NAME", help="name in the tables, such as coco (default: --dataset)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    add_reader_options(parser)


def add_reader_options(parser: Options) -> None:
    """Add `--option`: `args.option`, a list of "name=value"."""
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )


def add_cache(parser: Options) -> None:
    """Add `--cache`: `args.cache`, a Path or None."""
    parser.add_argument("--cache", type=Path, metavar="FILE", help="feature cache (default: that of training)")


def add_entities(parser: Options) -> None:
    """Add `--entities`: `args.entities`, a Path or None."""
    parser.add_argument("--entities", type=Path, metavar="DIR", help="Flickr30k Entities: annotated boxes of phrases")


def add_output(parser: Options) -> None:
    """Add the options that say where results go."""
    parser.add_argument("--out", default=Path("results"), type=Path, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--name", help="name of the row (default: preset and backbone)")
    add_json(parser)


def add_required_models(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add `--model`, one or more: `args.models`, a list of Path."""
    add_models(parser, f"trained {kind}s; those that differ in their seed alone become one row: mean and std")
    action = next(action for action in parser._actions if action.dest == "models")
    action.required = True
