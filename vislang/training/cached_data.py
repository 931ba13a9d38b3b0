"""Training data of the systems that learn from captions and cached features: records, words and descriptors."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from datasets import registry
from datasets.records import ImageRecord, captions_of, data_fingerprint, of_split, with_features
from vislang.features.cache.reader import FeatureCache, open_cache
from vislang.features.descriptors import CachedDescriptors, full_name, identity
from vislang.text.vocabulary import Vocabulary
from vislang.training.fit import TrainingData


@dataclass(frozen=True, kw_only=True)
class CachedData(TrainingData):
    """Captioned images whose features lie in a cache.

    Attributes:
        train: records of the training split that have features.
        dev: those of the dev split.
        cache: the open feature cache.
        descriptors: of the training images, in the order of `train`.
        vocabulary: fitted on `train`.
    """

    train: tuple[ImageRecord, ...]
    dev: tuple[ImageRecord, ...]
    cache: FeatureCache
    descriptors: CachedDescriptors
    vocabulary: Vocabulary

    def captions(self) -> tuple[list[str], np.ndarray]:
        """Return the M training captions, image after image, and int64 [M], the row in `train` of each."""
        return captions_of(self.train)


def read_cached_data(
    args: argparse.Namespace,
    config: Any,
    tokenize: Callable[[str], list[str]],
    *,
    min_count: int,
    drop_rarest: int = 0,
) -> CachedData:
    """Read what a command line of `vislang.core.cli.training_parser` names.

    Args:
        args: the command line.
        config: settings with `layers`, whose preprocessing is written out in the result's config.
        tokenize: splits a sentence into words.
        min_count: rarer words become unknown.
        drop_rarest: see `Vocabulary.fit`.

    Raises:
        ToolkitError: an unknown name, or files that are missing or damaged.
    """
    layers = tuple(full_name(layer, args.backbone) for layer in config.layers)
    config = replace(config, layers=layers)
    records = registry.read(args.dataset, args.data, options=registry.reader_options(args.option))
    cache = open_cache(args.cache)
    train = with_features(of_split(records, "train"), cache)
    dev = with_features(of_split(records, "dev"), cache)
    words = (tokenize(sentence) for record in train for sentence in record.captions)
    splits = {record.split for record in train}
    vocabulary = Vocabulary.fit(words, splits=splits, min_count=min_count, drop_rarest=drop_rarest)
    ids = [record.image_id for record in train]
    return CachedData(
        config=config,
        train=train,
        dev=dev,
        cache=cache,
        descriptors=CachedDescriptors(cache, args.backbone, config.layers, ids),
        vocabulary=vocabulary,
    )


def describe_cached_data(args: argparse.Namespace, data: CachedData, model: Any) -> dict[str, Any]:
    """Return what config.json says of the features and the data set; see `TrainingSpec.describe`."""
    return {
        "num_features": data.descriptors.num_features,
        "backbone": identity(data.cache, args.backbone, data.config.layers),
        "data": {
            "dataset": args.dataset,
            "folder": str(args.data),
            "cache": str(args.cache),
            "options": args.option,
            "fingerprint": data_fingerprint([*data.train, *data.dev]),
        },
    }
