"""What every training command does first: read settings, records and features, collect words, describe the run."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from datasets.records import ImageRecord, data_fingerprint, of_split, with_features
from datasets.registry import read_dataset, reader_options
from vislang.core.cli import chosen_config, import_backend_quietly
from vislang.core.files import require_writable_folder
from vislang.features.cache.reader import FeatureCache, open_cache
from vislang.text.vocabulary import Vocabulary
from vislang.training.checkpoints import describe_run

Splits = dict[str, tuple[ImageRecord, ...]]  # "train" and "dev"


def read_training(args: argparse.Namespace, presets: Mapping[str, Any]) -> tuple[Any, Splits, FeatureCache]:
    """Read what a command line of `vislang.core.cli.training_parser` names.

    Returns:
        the settings, their taps with recipes written out; the records that have features; the open cache.

    Raises:
        ToolkitError: an unknown name or setting, or files that are missing, damaged or cannot be written.
    """
    config = chosen_config(args, presets)
    import_backend_quietly()
    from vislang.features.descriptors import full_name

    config = replace(config, layers=tuple(full_name(tap, args.backbone) for tap in config.layers))
    records = read_dataset(args.dataset, args.data, **reader_options(args.option))
    cache = open_cache(args.cache)
    splits = {name: with_features(of_split(records, name), cache) for name in ("train", "dev")}
    require_writable_folder(args.out)
    return config, splits, cache


def fit_vocabulary(records: Sequence[ImageRecord], tokenize: Callable[[str], list[str]], **limits: int) -> Vocabulary:
    """Collect the words of captions.

    Args:
        records: of the training split.
        tokenize: gives the words of a sentence.
        **limits: of `Vocabulary.fit`.
    """
    words = (tokenize(sentence) for record in records for sentence in record.captions)
    return Vocabulary.fit(words, splits={record.split for record in records}, **limits)


def describe(
    args: argparse.Namespace, kind: str, config: Any, splits: Splits, cache: FeatureCache, num_features: int
) -> dict[str, Any]:
    """Give the config.json of a checkpoint."""
    from vislang.features.descriptors import identity

    fingerprint = data_fingerprint([*splits["train"], *splits["dev"]])
    backbone = identity(cache, args.backbone, config.layers)
    return describe_run(args, kind, config, num_features=num_features, backbone=backbone, fingerprint=fingerprint)
