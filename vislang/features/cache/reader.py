"""Opening the feature cache: one file (FeatureCache), or a folder of shards (ShardedCache), which passes for one."""

import importlib.metadata
import os
from pathlib import Path

from vislang.backbones.base import LoadedBackbone
from vislang.features.cache.feature_cache import DEVICE_BUDGET, FeatureCache, resident_rows
from vislang.features.cache.keys import FeatureKey
from vislang.features.cache.manifest import MANIFEST
from vislang.features.cache.merge import import_rows
from vislang.features.cache.rows import FeatureRows
from vislang.features.cache.sharded_cache import ShardedCache
from vislang.features.cache.writer import CacheWriter

__all__ = [
    "DEVICE_BUDGET",
    "CacheWriter",
    "FeatureCache",
    "FeatureKey",
    "FeatureRows",
    "ShardedCache",
    "feature_key",
    "import_rows",
    "is_cache",
    "open_cache",
    "resident_rows",
]


def open_cache(path: str | os.PathLike) -> FeatureCache:
    """Open a feature cache for reading: a file, or a folder of shards or the manifest.json in it.

    Raises:
        DataError: missing, damaged or hostile; of shards also unfinished, of different features, or of images with the
            same name.
    """
    path = Path(path)
    if path.name == MANIFEST:
        return ShardedCache(path.parent)
    if (path / MANIFEST).is_file():
        return ShardedCache(path)
    return FeatureCache(path)


def is_cache(path: str | os.PathLike) -> bool:
    """Return whether a path looks like a feature cache, by its name or by the manifest of shards in a folder."""
    path = Path(path)
    return path.suffix in (".h5", ".hdf5") or path.name == MANIFEST or (path / MANIFEST).is_file()


def feature_key(backbone: LoadedBackbone, layer: str) -> FeatureKey:
    """Return the key of what a backbone computes at a layer."""
    import keras

    name = backbone.own_name(layer)
    libraries = (keras.backend.backend(), "keras", "pillow")
    versions = {library: importlib.metadata.version(library) for library in libraries}
    return FeatureKey(backbone.name, name, backbone.preprocessing.name, backbone.fingerprint_of(name), versions)
