"""Descriptors: the features of a model's layers, joined into one set of vectors per image."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import full_preprocessing_name
from vislang.core.errors import ConfigError, DataError
from vislang.features.cache.reader import DEVICE_BUDGET, FeatureCache, resident_rows
from vislang.features.cache.rows import row_bytes

Tensor = Any


def full_name(text: str, backbone: str) -> str:
    """Write out the preprocessing of a feature such as "pooled@320", which a checkpoint stores."""
    name = FeatureName.parse(text)
    if name.preprocessing:
        whose = name.backbone or backbone
        name = replace(name, preprocessing=full_preprocessing_name(whose, name.preprocessing) or "")
    return str(name)


def join_layers(features: Sequence[Tensor]) -> Tensor:
    """Join the features of several layers.

    Args:
        features: one array per layer, [B, F] for vectors, [B, ..., F] for grids and regions.

    Returns:
        [B, N, sum of F]: a vector is repeated beside each of the N descriptors; alone, N is 1.

    Raises:
        ConfigError: two layers with different numbers of descriptors.
    """
    counts = [int(np.prod(feature.shape[1:-1])) for feature in features]  # 1 for a vector
    several = set(counts) - {1}
    if len(several) > 1:
        raise ConfigError(f"layers have {sorted(several)} descriptors, expected one number; choose other layers")
    ops = _operations(features)
    sets = [ops.reshape(one, (-1, count, one.shape[-1])) for one, count in zip(features, counts, strict=True)]
    return ops.concatenate([ops.repeat(one, max(counts) // one.shape[1], axis=1) for one in sets], axis=-1)


def as_float32(descriptors: Tensor) -> Tensor:
    """Return NumPy arrays or tensors, which stay on their device, as float32."""
    if isinstance(descriptors, np.ndarray):
        return descriptors.astype(np.float32, copy=False)
    return _operations([descriptors]).cast(descriptors, "float32")


def _operations(values: Sequence[Tensor]) -> Any:
    """Return NumPy for arrays, and Keras' operations for tensors: arrays of exported networks need no Keras."""
    if all(isinstance(one, np.ndarray) for one in values):
        return np
    from keras import ops

    return ops


class CachedDescriptors:
    """The descriptors of a list of images, from one feature cache or several.

    Args:
        sources: open caches, and which of their images, in the order of row numbers.
        backbone: its name in the caches.
        layers: the `layers` of a config.
        budget_bytes: memory of the compute device that all layers together may take; more is read batch by batch.
    """

    def __init__(
        self,
        sources: Sequence[tuple[FeatureCache, Sequence[str]]],
        backbone: str,
        layers: Sequence[str],
        *,
        budget_bytes: int = DEVICE_BUDGET,
    ):
        places = [FeatureName.parse(layer).in_cache(backbone) for layer in layers]
        needed = 0
        for cache, ids in sources:
            needed += sum(len(ids) * row_bytes(cache.shape(*place)) for place in places)
        budget = budget_bytes if needed <= budget_bytes else 0
        self._parts = [resident_rows(sources, *place, budget_bytes=budget) for place in places]
        self.is_resident = all(part.is_resident for part in self._parts)
        self.num_features = sum(part.shape[-1] for part in self._parts)
        vectors = itertools.takewhile(lambda part: len(part.shape) == 2, self._parts[::-1])
        self.num_beside = sum(part.shape[-1] for part in vectors)  # the last features, where all descriptors share them

    def __len__(self) -> int:
        return len(self._parts[0])

    def rows(self, numbers: Tensor) -> Tensor:
        """Return float32 [B, N, F] for int [B]; inside a compiled graph only when `is_resident`."""
        return join_layers([part.rows(numbers) for part in self._parts])

    def blocks(self, size: int = 256) -> Iterator[Tensor]:
        """Yield all rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.rows(np.arange(start, min(start + size, len(self))))

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations, float32 [2, F] each: of mean descriptors, and of single descriptors."""
        count = 0
        totals = np.zeros(1)
        squares = np.zeros(1)
        for block in self.blocks():
            cells = np.asarray(block, np.float64)  # [B, N, F]
            pooled = cells.mean(axis=1)
            totals = totals + np.stack([pooled.sum(axis=0), cells.mean(axis=1).sum(axis=0)])
            squares = squares + np.stack([np.square(pooled).sum(axis=0), np.square(cells).mean(axis=1).sum(axis=0)])
            count += len(cells)
        means = totals / count
        deviations = np.sqrt(np.maximum(squares / count - np.square(means), 0.0))
        return means.astype(np.float32), deviations.astype(np.float32)


def identity(cache: FeatureCache, backbone: str, layers: Sequence[str]) -> dict[str, Any]:
    """Return what a checkpoint says of its features: {"name": backbone, "weights": {layer: sha256}}."""
    return {
        "name": backbone,
        "weights": {layer: cache.key(*FeatureName.parse(layer).in_cache(backbone)).weights for layer in layers},
    }


def check_weights(cache: FeatureCache, trained_on: Mapping[str, Any]) -> None:
    """Refuse a cache whose features were computed with other weights than those that `identity` returned in training.

    Raises:
        DataError: the fingerprints differ.
    """
    for layer, expected in trained_on["weights"].items():
        found = cache.key(*FeatureName.parse(layer).in_cache(trained_on["name"])).weights
        if found != expected:
            raise DataError(
                f"{cache.path}: {trained_on['name']}/{layer} was made with weights {found[:12]}, expected"
                f" {expected[:12]} as in training; extract into another file: "
                "python -m vislang.features.extract --weights FILE --cache NEW"
            )
