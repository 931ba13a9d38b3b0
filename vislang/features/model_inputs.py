"""Pictures to the taps that a trained model reads, its CNN checked against the weights of training."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import load_backbone
from vislang.core.errors import DataError
from vislang.features.pipeline import Encoded, encode_batches, list_images
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions


def encode_taps(
    sources: Sequence[Any],
    taps: Sequence[str],
    trained_on: Mapping[str, Any],
    options: ReadingOptions = ReadingOptions(),
) -> Iterator[Encoded]:
    """Encode images batch by batch, whatever number of recipes the taps are of.

    Args:
        sources: what `image_sources` gives.
        taps: the `taps` of a model's settings, such as "pooled" or "grid@squash-320-tf/v1".
        trained_on: the model's backbone as `vislang.features.descriptors.identity` wrote it.
        options: how they are read.

    Raises:
        DataError: weights other than in training, or an unreadable image and `options.strict`.
    """
    streams, names = [], []
    for recipe, of_recipe in _by_recipe(taps).items():
        plain = [FeatureName.parse(tap).stored for tap in of_recipe]
        backbone = _backbone(trained_on["name"], recipe, options.weights)
        backbone = with_regions(backbone, plain, options.proposals)
        _check(backbone, of_recipe, trained_on["weights"])
        streams.append(encode_batches(backbone, sources, plain, batch_size=options.batch_size, strict=options.strict))
        names.append(dict(zip(of_recipe, plain, strict=True)))
    with tqdm(total=len(sources), desc="encoding", unit="image", disable=not options.progress) as bar:
        for parts in zip(*streams, strict=True):
            pairs = zip(parts, names, strict=True)
            features = {tap: part.features[name] for part, of in pairs if part.kept for tap, name in of.items()}
            yield Encoded(features, parts[0].kept, parts[0].skipped)
            bar.update(len(parts[0].kept) + len(parts[0].skipped))


def image_sources(images: Any) -> tuple[list[Any], list[str]]:
    """Lay out what a user may hand over as a list of pictures.

    Args:
        images: a path, a folder, a glob, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a sequence.

    Returns:
        the pictures, and a name for each: its path, or its number.

    Raises:
        DataError: none at all.
    """
    if isinstance(images, str | Path):
        paths = list_images(images)
        return list(paths), [str(path) for path in paths]
    if isinstance(images, np.ndarray) and images.ndim == 4:
        images = list(images)
    if isinstance(images, np.ndarray) or not isinstance(images, Sequence):
        images = [images]
    sources: list[Any] = []
    for image in images:
        folder = isinstance(image, str | Path) and Path(image).is_dir()
        sources += list_images(image) if folder else [image]
    if not sources:
        raise DataError("no image was given, expected paths, a folder, arrays or features")
    return sources, [str(one) if isinstance(one, str | Path) else str(number) for number, one in enumerate(sources)]


def given_features(images: Any, taps: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Recognise features among what a user may hand over in place of pictures.

    Args:
        images: {tap: float [N, ...]}, or a float array [N, ...] where there is one tap; anything else is not features.
        taps: those that a model reads.

    Returns:
        {tap: [N, ...]} of these taps, or None when they are no features.

    Raises:
        DataError: a tap is missing, or they are of different numbers of images.
    """
    if isinstance(images, dict):
        missing = [tap for tap in taps if tap not in images]
        if missing:
            raise DataError(
                f"features of tap {missing[0]!r} are missing, got {', '.join(images)}; extract that tap too"
            )
        features = {tap: np.asarray(images[tap]) for tap in taps}
        counts = sorted({len(rows) for rows in features.values()})
        if len(counts) > 1:
            raise DataError(f"features are of {counts} images, expected as many in every tap; extract them anew")
        return features
    if isinstance(images, np.ndarray) and images.ndim >= 2 and np.issubdtype(images.dtype, np.floating):
        if len(taps) > 1:
            raise DataError(f"this model reads taps {', '.join(taps)}; give features as {{tap: array}}")
        return {taps[0]: images}
    return None


def _by_recipe(taps: Sequence[str]) -> dict[str | None, list[str]]:
    groups: dict[str | None, list[str]] = {}
    for tap in taps:
        groups.setdefault(FeatureName.parse(tap).preprocessing or None, []).append(tap)
    return groups


@functools.lru_cache(maxsize=4)
def _backbone(name: str, recipe: str | None, weights: str | Path | None) -> LoadedBackbone:
    return load_backbone(name, recipe=recipe, weights=weights)


def _check(backbone: LoadedBackbone, taps: Sequence[str], trained_on: Mapping[str, str]) -> None:
    for tap in taps:
        found = backbone.fingerprint_of(FeatureName.parse(tap).stored)
        expected = trained_on.get(tap, found)  # an imported model does not know its own
        if expected != found:
            raise DataError(
                f"backbone {backbone.name} was loaded with weights {found[:12]} for {tap}, expected "
                f"{expected[:12]} as in training; put those into VISLANG_WEIGHTS or name the file"
            )
