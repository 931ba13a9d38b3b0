"""Training on captioned images whose features lie in a cache."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np

from datasets import registry
from datasets.records import ImageRecord, captions_of, data_fingerprint, of_split, with_features
from vislang.features.cache.reader import FeatureCache, open_cache
from vislang.features.descriptors import CachedDescriptors, full_name, identity
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import Vocabulary
from vislang.training.fit import Training
from vislang.training.trained_model import TrainedModel


class CachedTraining(Training):
    """A training whose command line is that of `vislang.training.command.cached_training_parser`.

    Attributes:
        model_class: reads the checkpoint.
        train: records of the training split that have features.
        dev: those of the dev split.
        cache: the open feature cache.
        descriptors: of the training images, in the order of `train`.
    """

    model_class: ClassVar[type[TrainedModel]]
    vocabulary: Vocabulary
    train: tuple[ImageRecord, ...]
    dev: tuple[ImageRecord, ...]
    cache: FeatureCache
    descriptors: CachedDescriptors

    def read_data(self) -> None:
        """Read captions and features."""
        self.read_captions(tokenize)

    def read_captions(self, split_words: Callable[[str], list[str]], drop_rarest: int = 0) -> None:
        """Read captions and features, and fit the vocabulary.

        Args:
            split_words: splits a sentence into words.
            drop_rarest: see `Vocabulary.fit`.

        Raises:
            ToolkitError: an unknown name, or files that are missing or damaged.
        """
        args = self.args
        # Their preprocessing is written out in the checkpoint.
        layers = tuple(full_name(layer, args.backbone) for layer in self.config.layers)
        self.config = replace(self.config, layers=layers)
        records = registry.read(args.dataset, args.data, options=registry.reader_options(args.option))
        self.cache = open_cache(args.cache)
        self.train = with_features(of_split(records, "train"), self.cache)
        self.dev = with_features(of_split(records, "dev"), self.cache)
        words = (split_words(sentence) for record in self.train for sentence in record.captions)
        splits = {record.split for record in self.train}
        self.vocabulary = Vocabulary.fit(words, splits=splits, min_count=self.config.min_count, drop_rarest=drop_rarest)
        ids = [record.image_id for record in self.train]
        self.descriptors = CachedDescriptors(self.cache, args.backbone, layers, ids)

    def captions(self) -> tuple[list[str], np.ndarray]:
        """Return the M training captions, image after image, and int64 [M], the row in `train` of each."""
        return captions_of(self.train)

    def dev_ids(self) -> list[str]:
        """Return the ids of the dev images."""
        return [record.image_id for record in self.dev]

    def describe(self) -> dict[str, Any]:
        """Return what config.json says of the features and the data set."""
        args = self.args
        return {
            "num_features": self.descriptors.num_features,
            "backbone": identity(self.cache, args.backbone, self.config.layers),
            "data": {
                "dataset": args.dataset,
                "folder": str(args.data),
                "cache": str(args.cache),
                "options": args.option,
                "fingerprint": data_fingerprint([*self.train, *self.dev]),
            },
        }

    def make_model(self) -> keras.Model:
        """Build the network of `description`."""
        return self.model_class.build_network(self.description, self.vocabulary)

    def trained_model(self) -> Any:
        """Return the model with its current weights, as users load it."""
        return self.model_class(self.model, self.vocabulary, self.description)
