"""The public functions of the captioner. Keras, where it is needed, is imported inside them."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from captioner.decoding.options import DecodeOptions
from vislang.core.errors import ConfigError, DataError
from vislang.core.model_kinds import require_kind
from vislang.features.reading_options import ReadingOptions

if TYPE_CHECKING:
    import numpy as np

    from captioner.alignment.inference import EncodedFragments, TrainedAligner
    from captioner.inference import Caption, TrainedCaptioner
    from captioner.region_captions import Region
    from vislang.images.sources import Skipped
    from vse.inference import TrainedRanker


@dataclass(frozen=True)
class CaptionedImages:
    """Images and their captions.

    Attributes:
        names: K names: the path of each image, or its number in the input.
        captions: K lists, the best caption first; samples in the order in which they were drawn.
        skipped: the images that could not be used, each with `source` and `reason`.
    """

    names: list[str]
    captions: "list[list[Caption]]"
    skipped: "list[Skipped]" = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def texts(self) -> list[str]:
        """The first caption of each image."""
        return [captions[0].text for captions in self.captions]


def load_model(name_or_path: str | Path | None = None, *, weights: str | Path | None = None) -> "TrainedCaptioner":
    """Load a trained captioner.

    Args:
        name_or_path: the name of a bundled model, or a checkpoint folder; None: the bundled captioner.
        weights: weights file of the backbone, for images; None: looked for in VISLANG_WEIGHTS, then downloaded.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        DataError: a bundled model that differs from its model card.
    """
    from captioner.inference import TrainedCaptioner
    from vislang.core.bundled_models import find_checkpoint

    return TrainedCaptioner.read(find_checkpoint(TrainedCaptioner.kind, name_or_path), backbone_weights=weights)


def load_aligner(name_or_path: str | Path | None = None, *, weights: str | Path | None = None) -> "TrainedAligner":
    """Load a trained aligner of words and regions.

    Args:
        name_or_path: the name of a bundled model, or a checkpoint folder; None: the bundled aligner.
        weights: weights file of the backbone, for images; None: looked for in VISLANG_WEIGHTS, then downloaded.

    Raises:
        CheckpointError: missing, damaged or of another kind.
        DataError: a bundled model that differs from its model card.
    """
    from captioner.alignment.inference import TrainedAligner
    from vislang.core.bundled_models import find_checkpoint

    return TrainedAligner.read(find_checkpoint(TrainedAligner.kind, name_or_path), backbone_weights=weights)


@functools.cache
def bundled_aligner() -> "TrainedAligner":
    """Return the bundled aligner, loaded once."""
    return load_aligner()


def encode_regions(
    model: "TrainedAligner", image: Any, *, options: ReadingOptions = ReadingOptions()
) -> "tuple[EncodedFragments, np.ndarray]":
    """Encode the R regions of an image, for `TrainedAligner.region_scores`.

    Args:
        model: from `load_aligner`.
        image: as for `describe_regions`.
        options: how the image is read.

    Returns:
        the regions, and their boxes, float32 [R, 4] in shares of the sides, rows of 0 for padding.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: several images.
        DataError: an unreadable image, or weights other than in training.

    Example:
        >>> import captioner
        >>> aligner = captioner.load_aligner()
        >>> regions, boxes = captioner.encode_regions(aligner, "drawn.png")
        >>> boxes.shape, aligner.region_scores(regions, ["a", "red", "ball"]).shape
        ((20, 4), (3, 20))
    """
    from captioner import region_captions
    from vislang.images.sources import one_image

    require_kind(model, "aligner")
    return region_captions.encode_regions(model, one_image(image), options)


def describe_regions(
    model: "TrainedCaptioner",
    image: Any,
    *,
    max_regions: int = 8,
    ranker: "TrainedRanker | Literal['bundled'] | None" = "bundled",
    options: ReadingOptions = ReadingOptions(),
) -> "list[Region]":
    """Describe the regions of an image; those with the most certain boxes and captions come first.

    Args:
        model: a captioner trained on regions (`vislang snippets`), such as the bundled "region-captioner".
        image: one image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3].
        max_regions: regions, at most; they differ in place and in words.
        ranker: from `vse.load_model`; of the most probable captions of a region it prefers those that it sees there and
            not elsewhere. None: the captioner alone, as published.
        options: how the image is read.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: a captioner of whole images, several images, or `max_regions` below 1.
        DataError: an unreadable image, or weights other than in training.

    Example:
        >>> import captioner
        >>> regions = captioner.describe_regions(captioner.load_model("region-captioner"), "drawn.png", max_regions=3)
        >>> len(regions), len(regions[0].box)
        (3, 4)
    """
    from captioner import region_captions
    from vislang.images.sources import one_image

    require_kind(model, "captioner")
    if max_regions < 1:
        raise ConfigError(f"max_regions got {max_regions}, expected 1 or more")
    return region_captions.describe_regions(model, one_image(image), max_regions, _ranker(ranker), options)


def ground_phrases(
    model: "TrainedAligner",
    image: Any,
    sentence: str,
    *,
    beta: float | None = None,
    ranker: "TrainedRanker | Literal['bundled'] | None" = "bundled",
    options: ReadingOptions = ReadingOptions(),
) -> "list[Region]":
    """Find the region of an image that each phrase of a sentence, in order, is about.

    Args:
        model: from `load_aligner`.
        image: as for `describe_regions`.
        sentence: any text.
        beta: how much words side by side prefer one region, in standard deviations of the sentence's products: 0 finds
            a region for each word, 10 one for the sentence; None: as the model's settings say.
        ranker: from `vse.load_model`; its maps of the words count too, which finds more regions than the aligner alone.
            None: the aligner alone, as published.
        options: how the image is read.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: a sentence without words that the model knows, several images, or a negative `beta`.
        DataError: an unreadable image, or weights other than in training.

    Example:
        >>> import captioner
        >>> phrases = captioner.ground_phrases(captioner.load_aligner(), "drawn.png", "a dog catches a red frisbee")
        >>> " ".join(phrase.text for phrase in phrases)
        'a dog catches a red frisbee'
    """
    from captioner import region_captions
    from vislang.images.sources import one_image

    require_kind(model, "aligner")
    return region_captions.ground_phrases(model, one_image(image), sentence, beta, _ranker(ranker), options)


def _ranker(given: "TrainedRanker | Literal['bundled'] | None") -> "TrainedRanker | None":
    """Return the ranker that was given, or the bundled one."""
    from vse.api import bundled_ranker

    if given == "bundled":
        return bundled_ranker()
    if given is not None:
        require_kind(given, "vse")
    return given


def caption_images(
    model: "TrainedCaptioner",
    images: Any,
    *,
    decode: DecodeOptions = DecodeOptions(),
    options: ReadingOptions = ReadingOptions(),
) -> CaptionedImages:
    """Write captions for images, or for features of them.

    Args:
        model: from `load_model`.
        images: a path, a folder, a glob, bytes, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a
            list of any of these; or features of the model's backbone: float [N, F], [N, ..., F], or
            {layer: float [N, ...]}.
        decode: how the captions are found, such as `DecodeOptions(num=3)` for three of each image or
            `DecodeOptions(method="sample", temperature=0.7)`; there may be fewer captions than `num`.
        options: how images are read; `batch_size` is also that of decoding.

    Raises:
        CheckpointError: a model of another kind.
        DataError: no usable image, weights other than in training, or features of another width.

    Example:
        >>> import captioner
        >>> two = captioner.DecodeOptions(num=2)
        >>> found = captioner.caption_images(captioner.load_model(), ["drawn.png"], decode=two)
        >>> found.names, len(found.captions[0])
        (['drawn.png'], 2)
    """
    from vislang.features.model_inputs import given_features
    from vislang.images.sources import image_sources

    require_kind(model, "captioner")
    features = given_features(images, model.config.layers)
    if features is not None:
        captions = _caption_features(model, features, decode, options.batch_size)
        return CaptionedImages(list(map(str, range(len(captions)))), captions)
    sources, names = image_sources(images)
    found = CaptionedImages([], [])
    for captions, kept, skipped in model.caption_images(sources, decode, options):
        found.names.extend(names[index] for index in kept)
        found.captions.extend(captions)
        found.skipped.extend(skipped)
    if not found.names:
        raise DataError(f"none of {len(sources)} images could be captioned; the first: {found.skipped[0].reason}")
    return found


def caption_video(
    model: "TrainedCaptioner",
    video: str | Path,
    *,
    decode: DecodeOptions = DecodeOptions(),
    options: ReadingOptions = ReadingOptions(),
) -> "list[Caption]":
    """Write captions for a video, best first.

    Args:
        model: from `load_model`. S2VT ("explainer") reads 26 frames one after another, every other captioner all cells
            of these frames together.
        video: a file.
        decode: as for `caption_images`.
        options: how the frames are read.

    Raises:
        CheckpointError: a model of another kind.
        DataError: no video that can be decoded, or weights other than in training.

    Example:
        >>> import captioner
        >>> two = captioner.DecodeOptions(num=2)
        >>> len(captioner.caption_video(captioner.load_model(), "drawn.gif", decode=two))
        2
    """
    from vislang.images.video import spread_frames

    require_kind(model, "captioner")
    return model.caption_clip(spread_frames(video), decode, options)


def _caption_features(
    model: "TrainedCaptioner",
    features: "dict[str, np.ndarray]",
    decode: DecodeOptions,
    batch_size: int,
) -> "list[list[Caption]]":
    import numpy as np

    from vislang.features.descriptors import join_layers

    layers = list(features.values())
    captions: list[list[Caption]] = []
    for start in range(0, len(layers[0]), batch_size):
        joined = join_layers([layer[start : start + batch_size] for layer in layers])
        numbers = np.arange(start, start + len(joined))
        captions += model.caption_descriptors(joined, options=decode, numbers=numbers)
    return captions
