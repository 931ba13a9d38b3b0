"""The images of a feature cache in a store, from their features, without reading the images again."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vislang.features.cache.reader import FeatureCache
from vse.index.images import Updated
from vse.index.store import ADDED_TOGETHER, Record, VectorStore, stored_text

if TYPE_CHECKING:
    from vse.inference import TrainedRanker


def update_from_cache(
    store: VectorStore, model: "TrainedRanker", cache: FeatureCache, *, captions: Mapping[str, str] = {}
) -> Updated:
    """Store the images of a cache that a store lacks or holds with another vector; none is removed.

    Args:
        store: of the ranker's collection.
        model: the ranker.
        cache: one file or many shards, with the features that the ranker reads; its names of images become ids.
        captions: {name: caption} to be stored with the images; those of the others stay.

    Raises:
        DataError: features that the cache lacks or that other weights made, or the store cannot be written.
    """
    encoded = 0
    for start in range(0, len(cache.ids), ADDED_TOGETHER):
        names = cache.ids[start : start + ADDED_TOGETHER]
        vectors = model.encode_cached(cache, names)
        ids = [stored_text(name) for name in names]
        held = store.records(ids)
        records = []
        rows = []
        for row, (name, own_id) in enumerate(zip(names, ids, strict=True)):
            before = held.get(own_id, Record(own_id))
            caption = captions.get(name, before.caption)
            record = Record(own_id, sha256=hashlib.sha256(vectors[row].tobytes()).hexdigest(), caption=caption)
            if record != before:
                records.append(record)
                rows.append(row)
        if records:
            store.add(records, vectors[rows])
            encoded += len(records)
    if encoded:
        store.compact()
    known = set(cache.ids)
    unused = [name for name in captions if name not in known]
    return Updated(encoded, len(cache.ids) - encoded, 0, [], unused)
