"""The split and the models that the options of eval.run name."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.errors import CheckpointError

if TYPE_CHECKING:
    from datasets.captions.flickr30k_entities import EntityNotes
    from datasets.records import ImageRecord
    from eval.results.models import Run
    from eval.results.result import Row


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

    def row(self, name: str, system: str, runs: "Sequence[Run]") -> "Row":
        """Return what a row about runs on this split says before its metrics are known."""
        from datasets.records import data_fingerprint
        from eval.results.result import Row

        return Row(
            name=name,
            system=system,
            dataset=self.dataset,
            split=self.name,
            config=runs[0].model.config,
            data_fingerprint=data_fingerprint(self.records),
            seconds=round(sum(run.seconds for run in runs), 2),
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
    from datasets import registry
    from datasets.records import of_split

    everything = registry.read(dataset, folder, options=registry.reader_options(options))
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
