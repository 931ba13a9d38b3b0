"""The split and the models that the options of eval.run name."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.captions.flickr30k_entities import EntityNotes
from datasets.captions.precomputed import PRECOMPUTED_SPLITS, read_precomputed, read_precomputed_features
from datasets.records import ImageRecord, captions_of, data_fingerprint, of_split
from datasets.registry import read, read_named_boxes, reader_options
from eval.results.models import ModelInfo, Run, model_info, require_kind
from eval.results.result import Row
from vislang.core.bundled_models import find_checkpoint
from vislang.core.errors import CheckpointError, ConfigError, unknown_name
from vislang.core.files import require_writable_folder
from vislang.core.seeds import stream
from vislang.training.checkpoints import read_settings
from vse.api import load_model as load_ranker

if TYPE_CHECKING:
    from vse.inference import TrainedRanker

RELEASED = "precomputed"  # the reader of the original ranker's files
_RELEASED_NAMES = {"f8k": "flickr8k", "f30k": "flickr30k"}  # NAME of its files: the data set


@dataclass(frozen=True)
class Split:
    """A split of a data set."""

    reader: str  # the name of its reader
    dataset: str  # its name in the tables
    name: str  # of the split
    folder: Path  # of the data set
    cache: Path  # feature cache with its images
    records: tuple[ImageRecord, ...]  # its N images
    all_records: tuple[ImageRecord, ...]  # the images of all splits
    features: Any = None  # float32 [N, F], where the data set's own files hold them and there is no cache

    @property
    def image_ids(self) -> list[str]:
        """The N image ids."""
        return [record.image_id for record in self.records]

    @property
    def captions(self) -> tuple[list[str], Any]:
        """The M captions, and int64 [M], the row of the image of each."""
        return captions_of(self.records)

    def row(self, name: str, system: str, runs: Sequence[Run]) -> Row:
        """Return what is known of the row of some runs before its metrics are."""
        return Row(
            name=name,
            system=system,
            dataset=self.dataset,
            split=self.name,
            config=runs[0].model.config,
            data_fingerprint=data_fingerprint(self.records),
            seconds=round(sum(run.seconds for run in runs), 2),
        )

    def named_boxes(self, entities: Path | None) -> dict[str, EntityNotes]:
        """Read the phrases of each image with their boxes; see `datasets.registry.read_named_boxes`."""
        return read_named_boxes(self.reader, self.folder, entities, self.image_ids)

    def random_images(self, task: str, count: int) -> list[tuple[ImageRecord, Path]]:
        """Return up to `count` images that have a file, in random order, the same in every run of a task."""
        readable = [(record, record.path) for record in self.records if record.path is not None]
        order = stream(0, "gallery", task).permutation(len(readable))[:count]
        return [readable[row] for row in order]


def read_split(args: argparse.Namespace, kind: str) -> Split:
    """Find the models, read the split that the options name, and check that results can be written.

    What the options leave open is taken from the training of the first model.

    Raises:
        CheckpointError: a model of another kind, or one whose training data is unknown.
        DataError: no such split.
    """
    resolve_models(args, kind)
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


def names_released_model(args: argparse.Namespace) -> bool:
    """Return whether `args.models` are files of the original ranker, to be scored on the features that go with it."""
    return all(path.is_file() for path in args.models) and not args.cache and args.dataset in (None, RELEASED)


def read_released_split(args: argparse.Namespace) -> Split:
    """Read the captions of a split in the format of the original ranker; its files of other splits may be missing.

    Raises:
        ConfigError: no folder, or an option that this reader lacks.
        DataError: no such split, damaged files, or a folder that cannot be written.
    """
    if not args.data:
        raise ConfigError("a released model says nothing of its data; pass --data DIR, which holds NAME_test_caps.txt")
    options = reader_options(args.option)
    name = options.pop("name", args.data.resolve().name)
    if options:
        raise ConfigError(f"--option got {', '.join(options)}, expected name=NAME, of the files NAME_test_caps.txt")
    if args.split not in PRECOMPUTED_SPLITS:
        raise unknown_name("split", args.split, PRECOMPUTED_SPLITS)
    records = read_precomputed(args.data, name=name, splits=(args.split,))
    _, features = read_precomputed_features(args.data, name, splits=(args.split,))
    require_writable_folder(args.out)
    dataset = args.dataset_name or _RELEASED_NAMES.get(name, name)
    return Split(RELEASED, dataset, args.split, args.data, args.data, records, records, features)


def open_split(args: argparse.Namespace, dataset: str, folder: Path, cache: Path, options: Sequence[str]) -> Split:
    """Read the split `args.split` of a data set, and check that results can be written.

    Raises:
        DataError: no such split, damaged files, or a folder that cannot be written.
    """
    everything = read(dataset, folder, options=reader_options(options))
    records = of_split(everything, args.split)
    require_writable_folder(args.out)
    return Split(dataset, args.dataset_name or dataset, args.split, folder, cache, records, everything)


def resolve_models(args: argparse.Namespace, kind: str) -> None:
    """Replace names of bundled models in `args.models` by their folders, and refuse models of another kind.

    Raises:
        CheckpointError: a model of another kind.
    """
    args.models = [find_checkpoint(kind, given) for given in args.models]
    require_kind(args.models, kind)


def read_ranker(given: Path | None) -> "tuple[TrainedRanker, ModelInfo]":
    """Load the ranker of a task that maps words, None: the bundled one, and say what it is."""
    ranker = load_ranker(given)
    checkpoint = find_checkpoint(ranker.kind, given)
    return ranker, model_info(checkpoint, ranker.description, ranker.fingerprint)
