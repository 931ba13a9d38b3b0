"""The public functions of naturalness. Keras, where it is needed, is imported inside them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.errors import CheckpointError, DataError
from vislang.core.model_kinds import require_kind

if TYPE_CHECKING:
    import numpy as np

    from naturalness.inference import TrainedNaturalness
    from vislang.images.sources import Skipped

_KIND = "naturalness"


@dataclass(frozen=True)
class UnnaturalnessMaps:
    """Images and their maps.

    Attributes:
        names: K names: the path of each image, or its index in the input.
        maps: K arrays float32 [H, W], 0 or more, of the size of their images.
        skipped: the images that could not be used, each with `source` and `reason`.
    """

    names: list[str] = field(default_factory=list)
    maps: "list[np.ndarray]" = field(default_factory=list)
    skipped: "list[Skipped]" = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.maps)


def load_model(name_or_path: str | Path | None = None, *, weights: str | Path | None = None) -> "TrainedNaturalness":
    """Load a visual language model with the CNN that it was trained on.

    Its `loss(images)` takes float32 [B, H, W, 3], RGB, 0 to 255, and is differentiable: a prior of natural images.

    Args:
        name_or_path: the name of a bundled model, or a checkpoint folder; None: the bundled naturalness model.
        weights: weights file of the CNN; None: looked for in VISLANG_WEIGHTS, then downloaded.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        DataError: a bundled model that differs from its model card, or weights other than in training.
    """
    from naturalness.inference import TrainedNaturalness
    from vislang.core.bundled_models import find_checkpoint

    return TrainedNaturalness.read(find_checkpoint(TrainedNaturalness.kind, name_or_path), backbone_weights=weights)


def unnaturalness_map(model: "TrainedNaturalness", image: Any, *, kind: str = "fixation") -> "np.ndarray":
    """Compute how unnatural each pixel of an image is.

    Args:
        model: from `load_model`.
        image: one image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3].
        kind: "fixation", which predicts where people look; "anomaly", what does not belong into the image, such as
            a strange texture.

    Returns:
        float32 [H, W], 0 or more, not smoothed.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: an unknown kind, several images, or one that is too small.
        DataError: an unreadable image.

    Example:
        >>> import naturalness
        >>> naturalness.unnaturalness_map(naturalness.load_model(), "drawn.png", kind="anomaly").shape
        (120, 160)
    """
    require_kind(model, _KIND)
    return model.map(_pixels(image), kind=kind)


def unnaturalness_maps(
    model: "TrainedNaturalness", images: Any, *, kind: str = "fixation", strict: bool = False
) -> UnnaturalnessMaps:
    """Compute how unnatural each pixel of several images is.

    Args:
        model: from `load_model`.
        images: a path, a folder, a glob, bytes, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a
            list of any of these.
        kind: as for `unnaturalness_map`.
        strict: raise for the first image that cannot be used instead of listing it in `skipped`.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: an unknown kind.
        DataError: no usable image.

    Example:
        >>> import naturalness
        >>> found = naturalness.unnaturalness_maps(naturalness.load_model(), ["drawn.png"])
        >>> found.names, found.maps[0].shape
        (['drawn.png'], (120, 160))
    """
    from vislang.images.decode import source_name
    from vislang.images.sources import Skipped, image_sources

    require_kind(model, _KIND)
    found = UnnaturalnessMaps()
    for source, name in zip(*image_sources(images), strict=True):
        try:
            drawn = unnaturalness_map(model, source, kind=kind)
        except DataError as error:
            if strict:
                raise
            found.skipped.append(Skipped(source_name(source), str(error)))
        else:
            found.names.append(name)
            found.maps.append(drawn)
    if not found.names:
        raise DataError(f"none of {len(found.skipped)} images could be used; the first: {found.skipped[0].reason}")
    return found


def naturalness_score(model: "TrainedNaturalness", image: Any) -> float:
    """Compute how natural an image is: 0 as photographs of the training set on average, below 0 less natural.

    An image with less content than photographs, such as a blank one, is less natural too.

    Args:
        model: from `load_model`.
        image: as for `unnaturalness_map`.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: several images, or one that is too small.
        DataError: an unreadable image.

    Example:
        >>> import naturalness
        >>> score = naturalness.naturalness_score(naturalness.load_model(), "drawn.png")
        >>> -5 < score < 5
        True
    """
    require_kind(model, _KIND)
    return model.score(_pixels(image))


def naturalness_percentile(model: "TrainedNaturalness", image: Any) -> float:
    """Compute the share of the photographs of training that are less natural than an image, in percent, 0 to 100.

    Args:
        model: from `load_model`.
        image: as for `unnaturalness_map`.

    Raises:
        CheckpointError: a model of another kind, or one without a reference.
        ConfigError: several images, or one that is too small.
        DataError: an unreadable image.

    Example:
        >>> import naturalness
        >>> 0 <= naturalness.naturalness_percentile(naturalness.load_model(), "drawn.png") <= 100
        True
    """
    require_kind(model, _KIND)
    percentile = model.rate(_pixels(image)).percentile
    if percentile is None:
        raise CheckpointError("the model has no scores of its training photographs (reference.json); train it anew")
    return percentile


def _pixels(image: Any) -> "np.ndarray":
    """Return uint8 [H, W, 3] of one image."""
    from naturalness.inference import as_pixels
    from vislang.images.decode import decode_image
    from vislang.images.sources import one_image

    return as_pixels(decode_image(one_image(image)))
