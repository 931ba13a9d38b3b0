"""Captions borrowed from training images, the baselines of every caption table; part of eval.run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.nearest_neighbour_baselines import (
    AGREEING,
    NEIGHBOURS,
    consensus_captions,
    first_captions,
    nearest_images,
    standardised,
)
from datasets.records import ImageRecord, captions_of
from eval.metrics.captions.cider import PairwiseCider
from eval.metrics.captions.ngrams import word_rows
from eval.metrics.captions.ptb_tokenizer import treebank_tokenize
from eval.metrics.captions.score import Captions
from vislang.core.errors import DataError
from vislang.features.cache.layout import group_name
from vislang.features.cache.reader import FeatureCache, FeatureKey, open_cache

TAP = "pooled"


@dataclass(frozen=True)
class Borrowed:
    """The captions of one baseline.

    Attributes:
        name: of its row.
        captions: one for each image id.
        config: how they were found.
        fingerprint: of the weights behind the features.
        seconds: how long finding them took.
    """

    name: str
    captions: Captions
    config: dict[str, Any]
    fingerprint: str
    seconds: float


def borrow_captions(
    cache_path: Path, backbone: str | None, training: Sequence[ImageRecord], images: Sequence[ImageRecord]
) -> list[Borrowed]:
    """Find the caption of the nearest training image, and the consensus caption, for each image.

    Args:
        cache_path: a feature cache with the pooled features of all these images.
        backbone: whose features; None takes the first in the cache.
        training: the images whose captions may be borrowed.
        images: the images to caption; none of them in `training`.

    Raises:
        DataError: no training images, images that are among them, or features that are not in the cache.
    """
    started = time.perf_counter()
    training = [record for record in training if record.captions]
    neighbours, key = nearest_training_images(cache_path, backbone, training, images)
    sentences, image_of_caption = captions_of(training)
    ends = np.cumsum([len(record.captions) for record in training]).tolist()
    numbers = [list(range(end - len(record.captions), end)) for record, end in zip(training, ends, strict=True)]
    nearest, found_nearest = first_captions(neighbours, numbers), time.perf_counter()
    words = treebank_tokenize(sentences)  # needs no Java, so that the choice is the same everywhere
    rows = word_rows(words)
    pairwise_cider = PairwiseCider(rows, image_of_caption)
    consensus = consensus_captions(neighbours, numbers, lambda captions: pairwise_cider(rows[captions], captions))
    features = {
        "backbone": {"name": key.backbone, "weights": key.weights},
        "features": f"{TAP}@{key.recipe}, standardised, Euclidean distance",
    }
    found = (
        ("nearest", nearest, {**features, "neighbours": 1}, found_nearest - started),
        ("consensus", consensus, {**features, "neighbours": NEIGHBOURS, "agreeing": AGREEING}, None),
    )
    return [
        Borrowed(
            f"{name}-{key.backbone}",
            {record.image_id: sentences[number] for record, number in zip(images, chosen, strict=True)},
            config,
            key.weights,
            time.perf_counter() - started if seconds is None else seconds,
        )
        for name, chosen, config, seconds in found
    ]


def nearest_training_images(
    cache_path: Path, backbone: str | None, training: Sequence[ImageRecord], images: Sequence[ImageRecord]
) -> tuple[NDArray[np.int64], FeatureKey]:
    """Give int64 [images, NEIGHBOURS] rows of `training`, nearest first, and whose features were compared."""
    both = {record.image_id for record in training} & {record.image_id for record in images}
    if both or not training:
        raise DataError(
            f"{len(both)} of {len(images)} images are among the {len(training)} training images, expected none of "
            "some; baselines need a data set with a train split and another --split"
        )
    with open_cache(cache_path) as cache:
        key = pooled_key(cache, backbone)
        known, asked = (
            cache.read(group_name(key), TAP, [record.image_id for record in records], expect=key)
            for records in (training, images)
        )
    candidates, queries = standardised(known, asked)
    return nearest_images(queries, candidates, NEIGHBOURS), key


def pooled_key(cache: FeatureCache, backbone: str | None) -> FeatureKey:
    """Choose whose pooled features to compare.

    Raises:
        DataError: the cache has none, or none of this backbone.
    """
    for key in cache.taps():
        if key.tap == TAP and backbone in (None, key.backbone):
            return key
    return cache.key(backbone or "NAME", TAP)  # raises, with what there is and the command that adds it
