"""The features that a trained model reads: computed from images by the CNN of its training, or passed by the user."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.exported import exported_backbone
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import load_backbone_of_model
from vislang.core.errors import DataError
from vislang.features.pipeline import FeatureBatch, encode_batches
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions


def encode_layers(
    sources: Sequence[Any],
    layers: Sequence[str],
    trained_on: Mapping[str, Any],
    options: ReadingOptions = ReadingOptions(),
) -> Iterator[FeatureBatch]:
    """Yield the features of images batch by batch; layers may be of several preprocessings.

    Args:
        sources: what `image_sources` returns.
        layers: the `layers` of a model's config, such as "pooled" or "grid@squash-320-tf/v1".
        trained_on: the model's backbone as `vislang.features.descriptors.identity` describes it.
        options: how they are read.

    Raises:
        DataError: weights other than in training, or an unreadable image and `options.strict`.
    """
    streams = []
    stored_names = []
    groups: dict[tuple[str, str | None], list[str]] = {}
    for layer in layers:
        parsed = FeatureName.parse(layer)
        groups.setdefault((parsed.backbone or trained_on["name"], parsed.preprocessing or None), []).append(layer)
    for (name, preprocessing), group in groups.items():
        stored = [FeatureName.parse(layer).stored for layer in group]
        cnn = exported_backbone(name, preprocessing, options.weights, stored)
        if cnn is None:
            cnn = _backbone(name, preprocessing, options.weights)
        backbone = with_regions(cnn, stored, options.proposals)
        _check(backbone, group, trained_on["weights"])
        streams.append(encode_batches(backbone, sources, stored, batch_size=options.batch_size, strict=options.strict))
        stored_names.append(dict(zip(group, stored, strict=True)))
    with tqdm(total=len(sources), desc="encoding", unit="image", disable=not options.progress) as bar:
        for parts in zip(*streams, strict=True):
            features = {}
            for part, names in zip(parts, stored_names, strict=True):
                if part.kept:
                    features.update({layer: part.features[name] for layer, name in names.items()})
            yield FeatureBatch(features, parts[0].kept, parts[0].skipped)
            bar.update(len(parts[0].kept) + len(parts[0].skipped))


def given_features(images: Any, layers: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Return the features that a user passed in place of images, {layer: [N, ...]}; None where these are no features.

    Args:
        images: {layer: float [N, ...]}, or a float array [N, ...] where there is one layer.
        layers: those that a model reads.

    Raises:
        DataError: a layer is missing, or they are of different numbers of images.
    """
    if isinstance(images, dict):
        for layer in layers:
            if layer not in images:
                raise DataError(
                    f"features of layer {layer!r} are missing, got {', '.join(images)}; extract that layer too"
                )
        features = {layer: np.asarray(images[layer]) for layer in layers}
        counts = sorted({len(rows) for rows in features.values()})
        if len(counts) > 1:
            raise DataError(f"features are of {counts} images, expected as many in every layer; extract them again")
        return features
    if isinstance(images, np.ndarray) and images.ndim >= 2 and np.issubdtype(images.dtype, np.floating):
        if len(layers) > 1:
            raise DataError(f"this model reads layers {', '.join(layers)}; give features as {{layer: array}}")
        return {layers[0]: images}
    return None


@functools.lru_cache(maxsize=4)
def _backbone(name: str, preprocessing: str | None, weights: str | Path | None) -> LoadedBackbone:
    return load_backbone_of_model(name, preprocessing=preprocessing, weights=weights)


def _check(backbone: LoadedBackbone, layers: Sequence[str], trained_on: Mapping[str, str]) -> None:
    for layer in layers:
        found = backbone.fingerprint_of(FeatureName.parse(layer).stored)
        expected = trained_on.get(layer, found)  # an imported model does not know its own
        if expected != found:
            raise DataError(
                f"backbone {backbone.name} was loaded with weights {found[:12]} for {layer}, expected "
                f"{expected[:12]} as in training; put those into VISLANG_WEIGHTS or name the file"
            )
