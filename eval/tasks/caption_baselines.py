"""Captions copied from training images, the baselines of every caption table."""

import time

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
from eval.results.kinds import BASELINE
from eval.results.models import ModelInfo
from eval.tables.captions import CaptionRun
from eval.tasks.split import Split
from vislang.core.errors import DataError
from vislang.features.cache.layout import group_name
from vislang.features.cache.reader import FeatureCache, FeatureKey, open_cache

LAYER = "pooled"


def copy_captions(data: Split, backbone: str | None) -> list[CaptionRun]:
    """Copy the caption of the nearest training image, and the consensus caption, for each image of a split.

    Their features are the pooled ones of `backbone` in the split's cache, None: of the first backbone there.

    Raises:
        DataError: no training images, images that are among them, or features that are not in the cache.
    """
    started = time.perf_counter()
    training = [record for record in data.all_records if record.split == "train" and record.captions]
    neighbours, key = nearest_training_images(data, backbone, training)
    sentences, image_of_caption = captions_of(training)
    indices = []
    first = 0
    for record in training:
        indices.append(list(range(first, first + len(record.captions))))
        first += len(record.captions)
    nearest = first_captions(neighbours, indices)
    nearest_seconds = time.perf_counter() - started
    words = word_rows(treebank_tokenize(sentences))  # needs no Java, so that the choice is the same everywhere
    cider = PairwiseCider(words, image_of_caption)
    consensus = consensus_captions(neighbours, indices, lambda captions: cider(words[captions], captions))
    features = {
        "backbone": {"name": key.backbone, "weights": key.weights},
        "features": f"{LAYER}@{key.preprocessing}, standardised, Euclidean distance",
    }

    def copied(name: str, chosen: NDArray[np.int64], settings: dict[str, int], seconds: float) -> CaptionRun:
        captions: Captions = dict(zip(data.image_ids, (sentences[index] for index in chosen), strict=True))
        model = ModelInfo(config={**features, **settings}, weights_fingerprint=key.weights)
        name = f"{name}-{key.backbone}"
        return CaptionRun(model=model, seconds=seconds, key=name, captions=captions, system=BASELINE)

    consensus_settings = {"neighbours": NEIGHBOURS, "agreeing": AGREEING}
    return [
        copied("nearest", nearest, {"neighbours": 1}, nearest_seconds),
        copied("consensus", consensus, consensus_settings, time.perf_counter() - started),
    ]


def nearest_training_images(
    data: Split, backbone: str | None, training: list[ImageRecord]
) -> tuple[NDArray[np.int64], FeatureKey]:
    """Return int64 [N, NEIGHBOURS] rows of `training`, nearest first, and whose features were compared.

    Raises:
        DataError: no training images, or images that are among them.
    """
    training_ids = [record.image_id for record in training]
    shared = set(training_ids) & set(data.image_ids)
    if shared or not training:
        raise DataError(
            f"{len(shared)} of {len(data.records)} images are among the {len(training)} training images, expected none"
            " of some; baselines need a data set with a train split and another --split"
        )
    with open_cache(data.cache) as cache:
        key = pooled_key(cache, backbone)
        candidates = cache.read(group_name(key), LAYER, training_ids, expect=key)
        queries = cache.read(group_name(key), LAYER, data.image_ids, expect=key)
    candidates, queries = standardised(candidates, queries)
    return nearest_images(queries, candidates, NEIGHBOURS), key


def pooled_key(cache: FeatureCache, backbone: str | None) -> FeatureKey:
    """Return the key of the pooled features of a backbone, None: of the first.

    Raises:
        DataError: the cache has none.
    """
    for key in cache.layers():
        if key.layer == LAYER and backbone in (None, key.backbone):
            return key
    return cache.key(backbone or "NAME", LAYER)  # raises: what there is, and the command that adds it
