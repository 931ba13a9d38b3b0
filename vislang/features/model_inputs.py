"""Pictures to the layers that a trained model reads, its CNN checked against the weights of training."""

import functools
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from vislang.backbones.base import LoadedBackbone
from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import load_backbone
from vislang.core.errors import ConfigError, DataError
from vislang.features.pipeline import FeatureBatch, encode_batches, list_images
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import with_regions
from vislang.images.decode import ImageSource


def encode_layers(
    sources: Sequence[Any],
    layers: Sequence[str],
    trained_on: Mapping[str, Any],
    options: ReadingOptions = ReadingOptions(),
) -> Iterator[FeatureBatch]:
    """Encode images batch by batch, whatever number of preprocessing the layers are of.

    Args:
        sources: what `image_sources` gives.
        layers: the `layers` of a model's settings, such as "pooled" or "grid@squash-320-tf/v1".
        trained_on: the model's backbone as `vislang.features.descriptors.identity` wrote it.
        options: how they are read.

    Raises:
        DataError: weights other than in training, or an unreadable image and `options.strict`.
    """
    streams = []
    names = []
    for preprocessing, of_preprocessing in _by_preprocessing(layers).items():
        plain = [FeatureName.parse(layer).stored for layer in of_preprocessing]
        backbone = _backbone(trained_on["name"], preprocessing, options.weights)
        backbone = with_regions(backbone, plain, options.proposals)
        _check(backbone, of_preprocessing, trained_on["weights"])
        streams.append(encode_batches(backbone, sources, plain, batch_size=options.batch_size, strict=options.strict))
        names.append(dict(zip(of_preprocessing, plain, strict=True)))
    with tqdm(total=len(sources), desc="encoding", unit="image", disable=not options.progress) as bar:
        for parts in zip(*streams, strict=True):
            pairs = zip(parts, names, strict=True)
            features = {layer: part.features[name] for part, of in pairs if part.kept for layer, name in of.items()}
            yield FeatureBatch(features, parts[0].kept, parts[0].skipped)
            bar.update(len(parts[0].kept) + len(parts[0].skipped))


def image_sources(images: Any) -> tuple[list[Any], list[str]]:
    """List the images that a user may hand over in many forms.

    Args:
        images: a path, a folder, a glob, a text file of paths, the bytes of a file, a PIL image, a uint8 array [H, W],
            [H, W, 3], [H, W, 4] or [N, H, W, 3], or an iterable of any of these.

    Returns:
        the images, each as `vislang.images.decode.decode_image` takes it, and a name for each: its path, or its index.

    Raises:
        DataError: none at all, a folder or glob without images, or something that is no image.
    """
    if isinstance(images, str | os.PathLike):
        sources: list[Any] = list(list_images(images))
    else:
        sources = list(_each_image(images))
    if not sources:
        raise DataError("no image was given, expected paths, a folder, arrays or features")
    names = [os.fspath(one) if isinstance(one, str | os.PathLike) else str(index) for index, one in enumerate(sources)]
    return sources, names


def one_image(image: Any) -> ImageSource:
    """Return the only image of what a user hands over, in any form that `image_sources` takes.

    Raises:
        ConfigError: there are several.
        DataError: there is none.
    """
    sources, _ = image_sources(image)
    if len(sources) != 1:
        raise ConfigError(f"got {len(sources)} images, expected one; call the function for each of them")
    return sources[0]


def _each_image(images: Any) -> Iterator[ImageSource]:
    """Yield images one by one; a file is not looked at: one that is missing is found when it is read."""
    if isinstance(images, str | os.PathLike):
        path = os.fspath(images)
        if os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path)):
            yield from list_images(path)
        else:
            yield images
    elif isinstance(images, np.ndarray) and images.ndim == 4:
        yield from images
    elif isinstance(images, bytes | Image.Image | np.ndarray):
        yield images
    elif isinstance(images, Iterable) and not isinstance(images, Mapping):
        for some in images:
            yield from _each_image(some)
    else:
        raise DataError(
            f"got {type(images).__name__}, expected images: paths, folders, globs, bytes, PIL images, uint8 arrays, or"
            " a list of these"
        )


def given_features(images: Any, layers: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Recognise features among what a user may hand over in place of pictures.

    Args:
        images: {layer: float [N, ...]}, or a float array [N, ...] where there is one layer; anything else is not
            features.
        layers: those that a model reads.

    Returns:
        {layer: [N, ...]} of these layers, or None when they are no features.

    Raises:
        DataError: a layer is missing, or they are of different numbers of images.
    """
    if isinstance(images, dict):
        missing = []
        for layer in layers:
            if layer not in images:
                missing.append(layer)
        if missing:
            raise DataError(
                f"features of layer {missing[0]!r} are missing, got {', '.join(images)}; extract that layer too"
            )
        features = {layer: np.asarray(images[layer]) for layer in layers}
        counts = sorted({len(rows) for rows in features.values()})
        if len(counts) > 1:
            raise DataError(f"features are of {counts} images, expected as many in every layer; extract them anew")
        return features
    if isinstance(images, np.ndarray) and images.ndim >= 2 and np.issubdtype(images.dtype, np.floating):
        if len(layers) > 1:
            raise DataError(f"this model reads layers {', '.join(layers)}; give features as {{layer: array}}")
        return {layers[0]: images}
    return None


def _by_preprocessing(layers: Sequence[str]) -> dict[str | None, list[str]]:
    groups: dict[str | None, list[str]] = {}
    for layer in layers:
        groups.setdefault(FeatureName.parse(layer).preprocessing or None, []).append(layer)
    return groups


@functools.lru_cache(maxsize=4)
def _backbone(name: str, preprocessing: str | None, weights: str | Path | None) -> LoadedBackbone:
    return load_backbone(name, preprocessing=preprocessing, weights=weights)


def _check(backbone: LoadedBackbone, layers: Sequence[str], trained_on: Mapping[str, str]) -> None:
    for layer in layers:
        found = backbone.fingerprint_of(FeatureName.parse(layer).stored)
        expected = trained_on.get(layer, found)  # an imported model does not know its own
        if expected != found:
            raise DataError(
                f"backbone {backbone.name} was loaded with weights {found[:12]} for {layer}, expected "
                f"{expected[:12]} as in training; put those into VISLANG_WEIGHTS or name the file"
            )
