"""Options that several tasks of eval.run share, and the split that they name."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.cli import Options, add_json, add_models
from vislang.core.errors import CheckpointError

if TYPE_CHECKING:
    from datasets.captions.flickr30k_entities import EntityNotes
    from datasets.records import ImageRecord
    from eval.results.models import ModelInfo
    from eval.results.result import Result, Row
    from vislang.draw.html.page import Page


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


@dataclass(frozen=True)
class Split:
    """A split of a data set.

    Attributes:
        reader: the name of its reader.
        dataset: its name in the tables.
        name: of the split.
        folder: of the data set.
        cache: feature cache with its images.
        records: its N images.
        all_records: the images of all splits.
    """

    reader: str
    dataset: str
    name: str
    folder: Path
    cache: Path
    records: "tuple[ImageRecord, ...]"
    all_records: "tuple[ImageRecord, ...]"

    @property
    def image_ids(self) -> list[str]:
        """The N image ids."""
        return [record.image_id for record in self.records]

    def row(self, name: str, system: str, model: "ModelInfo", seconds: float) -> "Row":
        """Return what a row about one model on this split says before it is measured."""
        from datasets.records import data_fingerprint
        from eval.results.result import Row

        return Row(
            name=name,
            system=system,
            dataset=self.dataset,
            split=self.name,
            config=model.config,
            data_fingerprint=data_fingerprint(self.records),
            seconds=round(seconds, 2),
        )

    def named_boxes(self, entities: Path | None) -> "dict[str, EntityNotes]":
        """Read the phrases of each image with their boxes; see `datasets.registry.read_named_boxes`."""
        from datasets.registry import read_named_boxes

        return read_named_boxes(self.reader, self.folder, entities, self.image_ids)


def read_split(args: argparse.Namespace, kind: str) -> Split:
    """Read the split that the options name; the first model's training says what they leave open.

    Args:
        args: with the options of `add_models`, `add_data` and `add_cache`.
        kind: of the models.

    Raises:
        CheckpointError: a model of another kind, or one that does not say what it was trained on.
        DataError: no such split.
    """
    from vislang.training.checkpoints import read_settings

    trained_on: dict[str, Any] = {}
    if not (args.dataset and args.data and args.cache):
        trained_on = read_settings(args.models[0], kind).get("data", {})
    try:
        dataset = args.dataset or trained_on["dataset"]
        folder = args.data or Path(trained_on["folder"])
        cache = args.cache or Path(trained_on["cache"])
    except KeyError as error:
        raise CheckpointError(
            f"{args.models[0]} does not say what it was trained on; pass --dataset, --data and --cache"
        ) from error
    options = args.option
    if not options and dataset == trained_on.get("dataset"):
        options = trained_on.get("options", [])
    return open_split(args, dataset, folder, cache, options)


def open_split(args: argparse.Namespace, dataset: str, folder: Path, cache: Path, options: Sequence[str]) -> Split:
    """Read the split `args.split` of a data set.

    Raises:
        DataError: no such split, or damaged files.
    """
    from datasets.records import of_split
    from datasets.registry import read_dataset, reader_options

    everything = read_dataset(dataset, folder, **reader_options(options))
    return Split(
        reader=dataset,
        dataset=args.dataset_name or dataset,
        name=args.split,
        folder=folder,
        cache=cache,
        records=of_split(everything, args.split),
        all_records=everything,
    )


def resolve_models(args: argparse.Namespace, kind: str) -> None:
    """Replace names of bundled models in `args.models` by their folders, and refuse models of another kind.

    Raises:
        CheckpointError: a model of another kind.
    """
    from eval.results.models import require_kind
    from vislang.core.bundled_models import find_checkpoint

    args.models = [find_checkpoint(kind, given) for given in args.models]
    require_kind(args.models, kind)


def is_bundled(model: Path) -> bool:
    """Return whether a model is one of the bundled ones, whose folders must not change."""
    from vislang.core.bundled_models import PRETRAINED

    return model.resolve().parent == PRETRAINED.resolve()


def report(args: argparse.Namespace, results: "Sequence[Result]") -> None:
    """Write new results, and print them as JSON, or the tables that they stand in.

    Args:
        args: with the options of `add_output`.
        results: one or more.
    """
    from eval.results.result import read_table, write_result
    from eval.tables.sections import table_section

    for result in results:
        print(f"wrote {write_result(args.out, result)}", file=sys.stderr)
    if args.json:
        print(json.dumps([result.to_json() for result in results], indent=1))
        return
    tables = {}
    for result in results:
        tables[result.kind, result.table_key()] = result
    print("\n".join(table_section(read_table(args.out, result)) for result in tables.values()), end="")


def write_page(args: argparse.Namespace, stem: str, page: "Page") -> None:
    """Write an HTML page beside the results and say where."""
    from vislang.core.files import file_name

    path = args.out / f"{file_name(stem)}.html"
    page.write(path)
    print(f"wrote {path}", file=sys.stderr)
