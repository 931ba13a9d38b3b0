"""Pictures to vectors: the CNN behind a ranker, checked against the weights of training, then the ranker itself."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import DataError
from features.backbones import load_backbone
from features.loaded import LoadedBackbone
from features.pipeline import Skipped, encode_batches

if TYPE_CHECKING:
    from vse.ranker import TrainedRanker


def encode_pictures(
    model: "TrainedRanker",
    sources: Sequence[Any],
    *,
    weights: str | Path | None = None,
    batch_size: int = 8,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, list[int], list[Skipped]]:
    """Encode pictures batch by batch; only the vectors are kept, whatever the size of the taps.

    Returns:
        float32 [K, D], the numbers of the K usable sources, and the other sources with their reasons.

    Raises:
        DataError: weights other than in training, or a bad picture and `strict`.
    """
    streams, names = [], []
    for recipe, taps in _taps_by_recipe(model.config.taps).items():
        backbone = _backbone(model.backbone, recipe, weights)
        _check(backbone, taps, model.description["backbone"]["weights"])
        plain = [tap.partition("@")[0] for tap in taps]
        report = None if streams else progress  # each picture is counted once
        streams.append(encode_batches(backbone, sources, plain, batch_size=batch_size, strict=strict, progress=report))
        names.append(dict(zip(taps, plain, strict=True)))
    vectors, kept, skipped = [np.zeros((0, model.width), np.float32)], [], []
    for parts in zip(*streams, strict=True):
        kept += parts[0].kept
        skipped += parts[0].skipped
        if parts[0].kept:
            vectors.append(
                model.encode_features(
                    {
                        tap: part.features[name]
                        for part, of in zip(parts, names, strict=True)
                        for tap, name in of.items()
                    }
                )
            )
    return np.concatenate(vectors), kept, skipped


def _taps_by_recipe(taps: Sequence[str]) -> dict[str | None, list[str]]:
    groups: dict[str | None, list[str]] = {}
    for tap in taps:
        groups.setdefault(tap.partition("@")[2] or None, []).append(tap)
    return groups


@functools.lru_cache(maxsize=4)
def _backbone(name: str, recipe: str | None, weights: str | Path | None) -> LoadedBackbone:
    return load_backbone(name, recipe=recipe, weights=weights)


def _check(backbone: LoadedBackbone, taps: Sequence[str], trained_on: dict[str, str]) -> None:
    for tap in taps:
        expected = trained_on.get(tap, backbone.fingerprint)  # an imported model does not know its own
        if expected != backbone.fingerprint:
            raise DataError(
                f"backbone {backbone.name} was loaded with weights {backbone.fingerprint[:12]}, expected "
                f"{expected[:12]} as in training; put those into VISLANG_WEIGHTS or name the file"
            )
