"""The grid cells of images in the feature space of a captioner, whether it reads a grid or only the grid's mean."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vislang.backbones.feature_name import FeatureName
from vislang.backbones.registry import full_preprocessing_name
from vislang.core.errors import ConfigError
from vislang.features.descriptors import CachedDescriptors, check_weights, join_layers
from vislang.features.model_inputs import encode_layers
from vislang.features.reading_options import ReadingOptions
from vislang.images.preprocess import seen_part

_IMAGES = 64


def cell_layers(layers: Sequence[str]) -> list[str]:
    """Return the layers whose descriptors are cells: "grid" in place of the pooled vectors, which are its mean.

    Raises:
        ConfigError: the captioner reads regions, not images.
    """
    names = list(map(FeatureName.parse, layers))
    if any(name.layer == "grid" for name in names):
        return list(layers)
    pooled = []
    for index, name in enumerate(names):
        if name.layer in ("pooled", "frames"):
            pooled.append(index)
    if not pooled:
        raise ConfigError(
            f"this captioner reads {', '.join(layers)}, expected one of whole images or clips, which reads grid, pooled"
            " or frames; regions are described by: python -m captioner.regions"
        )
    names[pooled[0]] = replace(names[pooled[0]], layer="grid")
    return list(map(str, names))


def encoded_cells(
    model: Any, sources: Sequence[Any], options: ReadingOptions = ReadingOptions()
) -> Iterator[np.ndarray]:
    """Yield the cells of each image, float32 [R, C, D].

    Args:
        sources: paths, bytes, PIL images or arrays.
        options: how they are read; the first unreadable one raises.

    Raises:
        ConfigError: a captioner of regions.
        DataError: an unreadable image, or weights other than in training.
    """
    layers = cell_layers(model.config.layers)
    trained_on = model.description["backbone"]
    known = {**trained_on["weights"]}
    for own, layer in zip(model.config.layers, layers, strict=True):
        if own in known:
            known[layer] = known[own]
    options = model.reading_options(replace(options, strict=True))
    for batch in encode_layers(sources, layers, {**trained_on, "weights": known}, options):
        shape = next(batch.features[layer].shape[1:3] for layer in layers if batch.features[layer].ndim == 4)
        joined = np.asarray(join_layers([batch.features[layer] for layer in layers]), np.float32)
        yield from joined.reshape(len(joined), *shape, -1)


def cached_cells(model: Any, cache: Any, ids: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield the cells of images in a feature cache, float32 [R, C, D] each; the grid has to be square.

    Raises:
        ConfigError: a captioner of regions.
        DataError: an image or the grid is not there, or other weights made it.
    """
    trained_on = model.description["backbone"]
    check_weights(cache, trained_on)
    layers = cell_layers(model.config.layers)
    for start in range(0, len(ids), _IMAGES):
        some = CachedDescriptors([(cache, ids[start : start + _IMAGES])], trained_on["name"], layers)
        cells = np.asarray(some.rows(np.arange(len(some))), np.float32)
        side = round(cells.shape[1] ** 0.5)
        yield from cells.reshape(len(cells), side, side, -1)


def seen_of(model: Any, layer: str, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of images of a size that a layer of a model's CNN reads, in shares of the sides."""
    name = FeatureName.parse(layer)
    backbone = name.backbone or model.description["backbone"]["name"]
    preprocessing = full_preprocessing_name(backbone, name.preprocessing or None)
    if preprocessing:
        return seen_part(size, preprocessing)
    return (0.0, 0.0, 1.0, 1.0)
