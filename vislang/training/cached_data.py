"""Training on captioned images whose features lie in a cache."""

import argparse
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np

from datasets import registry
from datasets.records import ImageRecord, captions_of, data_fingerprint, of_split, with_features
from vislang.core.errors import ConfigError, DataError
from vislang.features.cache.reader import FeatureCache, open_cache
from vislang.features.descriptors import CachedDescriptors, full_name, identity
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import Vocabulary
from vislang.training.fit import Training
from vislang.training.trained_model import TrainedModel


@dataclass(frozen=True)
class CaptionSource:
    """Captioned images of one data set, whose features lie in one cache."""

    name: str  # of the reader, with a number where several have the same one
    dataset: str  # name of the reader
    folder: str
    options: list[str]  # of the reader, such as "restval=train"
    sampling: float  # times that each caption is read in an epoch
    train: tuple[ImageRecord, ...]  # those that have features
    dev: tuple[ImageRecord, ...]
    cache: FeatureCache

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the data set."""
        return {
            "dataset": self.dataset,
            "folder": self.folder,
            "cache": str(self.cache.path),
            "options": self.options,
        }


class CachedTraining(Training):
    """A training whose command line is that of `vislang.training.command.cached_training_parser`.

    Attributes:
        model_class: reads the checkpoint.
        sources: the data sets.
        train: training records of all data sets, one after the other.
        descriptors: of the training images, in the order of `train`.
    """

    model_class: ClassVar[type[TrainedModel]]
    vocabulary: Vocabulary
    sources: list[CaptionSource]
    train: tuple[ImageRecord, ...]
    descriptors: CachedDescriptors

    def read_data(self) -> None:
        """Read captions and features."""
        self.read_captions(tokenize)

    def read_captions(
        self, split_words: Callable[[str], list[str]], drop_rarest: int = 0, others: Sequence[str] = ()
    ) -> None:
        """Read captions and features, and fit the vocabulary.

        Args:
            split_words: splits a sentence into words.
            drop_rarest: see `Vocabulary.fit`.
            others: sentences without images, whose words the vocabulary counts too.

        Raises:
            ToolkitError: an unknown name, files that are missing or damaged, or an image that is in the training split
                of one data set and in another split of another.
        """
        args = self.args
        # Their preprocessing is written out in the checkpoint.
        layers = tuple(full_name(layer, args.backbone) for layer in self.config.layers)
        self.config = replace(self.config, layers=layers)
        self.sources = read_sources(args)
        self.train = tuple(record for source in self.sources for record in source.train)
        sentences = [sentence for record in self.train for sentence in record.captions]
        sentences += set(others).difference(sentences)
        words = map(split_words, sentences)
        splits = {record.split for record in self.train}
        self.vocabulary = Vocabulary.fit(words, splits=splits, min_count=self.config.min_count, drop_rarest=drop_rarest)
        rows = [(source.cache, [record.image_id for record in source.train]) for source in self.sources]
        budget = round(args.device_memory * 2**30)
        self.descriptors = CachedDescriptors(rows, args.backbone, layers, budget_bytes=budget)

    def captions(self) -> tuple[list[str], np.ndarray]:
        """Return the M training captions, image after image, and int64 [M], the row in `train` of each."""
        return captions_of(self.train)

    def sampling(self) -> np.ndarray | None:
        """Return how many times each training caption is read in an epoch, float [M]; None: each once."""
        times = []
        for source in self.sources:
            times.extend([source.sampling] * sum(len(record.captions) for record in source.train))
        if set(times) == {1.0}:
            return None
        return np.array(times)

    def validate(self) -> dict[str, float]:
        """Return the metrics of the current weights on dev: where there are several data sets, the mean and of each."""
        measured = {}
        for source in self.sources:
            if source.dev:
                measured[source.name] = self.validate_on(source)
        rows = list(measured.values())
        if len(rows) == 1:
            return rows[0]
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        for source_name, row in measured.items():
            means.update({f"{source_name}_{name}": value for name, value in row.items()})
        return means

    @abstractmethod
    def validate_on(self, source: CaptionSource) -> dict[str, float]:
        """Return the metrics of the current weights on the dev split of a data set."""

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the features and the data sets; evaluation measures on the first one."""
        records = [record for source in self.sources for record in (*source.train, *source.dev)]
        (first, *others) = [source.describe() for source in self.sources]
        return {
            "num_features": self.descriptors.num_features,
            "backbone": identity(self.sources[0].cache, self.args.backbone, self.config.layers),
            "sampling": [source.sampling for source in self.sources],
            "data": {**first, "others": others, "fingerprint": data_fingerprint(records)},
        }

    def make_model(self) -> keras.Model:
        """Build the network of `description`."""
        return self.model_class.build_network(self.description, self.vocabulary)

    def trained_model(self) -> Any:
        """Return the model with its current weights, as users load it."""
        return self.model_class(self.model, self.vocabulary, self.description)


def read_sources(args: argparse.Namespace) -> list[CaptionSource]:
    """Read the data sets that a command line names.

    Raises:
        ConfigError: not as many folders, caches or sampling rates as data sets, or an unknown name.
        DataError: files that are missing or damaged, or data sets of which one trains on what another is measured on.
    """
    rates = args.sampling or [1.0] * len(args.dataset)
    for option, values in (("--data", args.data), ("--cache", args.cache), ("--sampling", rates)):
        if len(values) != len(args.dataset):
            raise ConfigError(
                f"{option} got {len(values)} values for {len(args.dataset)} data sets"
                f" ({', '.join(args.dataset)}), expected one for each"
            )
    sources: list[CaptionSource] = []
    for dataset, folder, path, rate in zip(args.dataset, args.data, args.cache, rates, strict=True):
        if rate <= 0:
            raise ConfigError(f"--sampling got {rate:g} for {dataset}, expected more than 0; leave the data set out")
        options = [word.removeprefix(f"{dataset}:") for word in args.option if _belongs(word, dataset)]
        records = registry.read(dataset, folder, options=registry.reader_options(options), require_images=False)
        cache = open_cache(path)
        train = with_features(of_split(records, "train"), cache)
        dev = tuple(record for record in records if record.split == "dev")
        if dev:
            dev = with_features(dev, cache)
        others = [source.dataset for source in sources].count(dataset)
        name = f"{dataset}_{others + 1}" if others else dataset
        sources.append(CaptionSource(name, dataset, str(folder), options, rate, train, dev, cache))
    if not any(source.dev for source in sources):
        of_split(records, "dev")  # says which splits there are
    check_disjoint(sources)
    return sources


def _belongs(option: str, dataset: str) -> bool:
    """Return whether an option of a reader, NAME=VALUE or DATASET:NAME=VALUE, is for a data set."""
    owner, colon, _ = option.partition("=")[0].partition(":")
    return not colon or owner == dataset


def check_disjoint(sources: Sequence[CaptionSource]) -> None:
    """Refuse data sets of which one trains on images that another chooses weights by.

    Raises:
        DataError: names the first image; images are compared by their ids.
    """
    trained = {record.image_id: source.name for source in sources for record in source.train}
    for source in sources:
        for record in source.dev:
            if record.image_id in trained:
                raise DataError(
                    f"image {record.image_id!r} is in dev of {source.name} and in train of"
                    f" {trained[record.image_id]}, expected no image in both; scores on dev would be worthless"
                )
