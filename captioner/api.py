"""The public face of the captioner. Keras is imported inside the functions: importing `captioner` costs nothing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.errors import ConfigError, DataError
from vislang.features.reading_options import ReadingOptions

if TYPE_CHECKING:
    import numpy as np

    from captioner.alignment.inference import TrainedAligner
    from captioner.decoding.options import DecodeOptions
    from captioner.inference import Caption, TrainedCaptioner
    from captioner.region_captions import Region
    from vislang.features.pipeline import Skipped

# Options that other ways of decoding would not look at: given there, they are a mistake.
_ONLY_FOR = {
    "beam": ("beam", "diverse"),
    "length_power": ("beam", "diverse"),
    "judge_weight": ("beam", "diverse"),
    "neighbour_weight": ("beam", "diverse"),
    "groups": ("diverse",),
    "diversity": ("diverse",),
    "temperature": ("sample",),
    "top_p": ("sample",),
    "seed": ("sample",),
}


@dataclass(frozen=True)
class CaptionedImages:
    """Images and what the captioner wrote for them.

    Attributes:
        names: K names: the path of each image, or its number in the input.
        captions: K lists, the best caption first; samples in the order they were drawn.
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


def load_model(path: str | Path | None = None) -> "TrainedCaptioner":
    """Load a trained captioner.

    Args:
        path: a checkpoint folder, which is all that captioning needs besides the weights of its backbone; or the name
            of a model in the box; None: the captioner in the box.

    Raises:
        CheckpointError: missing, damaged or of another kind; the message says what to do.
        DataError: a model of the box that is not the one of its card.
    """
    from captioner.inference import KIND, read_captioner
    from vislang.core.bundled_models import find_checkpoint

    return read_captioner(find_checkpoint(KIND, path))


def load_aligner(path: str | Path | None = None) -> "TrainedAligner":
    """Load a trained aligner of words and regions.

    Args:
        path: a checkpoint folder, or the name of a model in the box; None: the aligner in the box.

    Raises:
        CheckpointError: missing, damaged or of another kind; the message says what to do.
        DataError: a model of the box that is not the one of its card.
    """
    from captioner.alignment.inference import KIND, read_aligner
    from vislang.core.bundled_models import find_checkpoint

    return read_aligner(find_checkpoint(KIND, path))


def describe_regions(
    model: "TrainedCaptioner", image: Any, *, most: int = 8, options: ReadingOptions = ReadingOptions()
) -> "list[Region]":
    """Write what is in the regions of a picture; first come those whose boxes and words are surest.

    Args:
        model: a captioner trained on snippets (`captioner.make_snippets`).
        image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3].
        most: regions at most; they differ in place and in words.
        options: how the image is read.

    Raises:
        ConfigError: a captioner of whole pictures, or `most` below 1.
        DataError: a bad picture, or weights other than in training.
    """
    from captioner.region_captions import write_regions

    if most < 1:
        raise ConfigError(f"most got {most}, expected 1 or more")
    return write_regions(model, image, most, options)


def place_words(
    model: "TrainedAligner",
    image: Any,
    sentence: str,
    *,
    same: float | None = None,
    options: ReadingOptions = ReadingOptions(),
) -> "list[Region]":
    """Say which region each part of a sentence is about.

    Args:
        model: from `load_aligner`.
        image: see `describe_regions`.
        sentence: any text.
        same: what neighbours on one region are worth, in deviations of the sentence's products: 0 gives each word its
            own region, 10 puts the sentence on one; None: as the model's settings say.
        options: how the image is read.

    Returns:
        the parts in the order of the sentence.

    Raises:
        ConfigError: a sentence without a word.
        DataError: a bad picture, or weights other than in training.
    """
    from captioner.region_captions import tie_words

    return tie_words(model, image, sentence, same, options)


def caption_images(
    model: "TrainedCaptioner",
    images: Any,
    *,
    decode: str = "beam",
    beam: int | None = None,
    num: int = 1,
    options: ReadingOptions = ReadingOptions(),
    **decoding: Any,
) -> CaptionedImages:
    """Write captions for images, or for features of them.

    Args:
        model: from `load_model`.
        images: a path, a folder, a glob, a PIL image, a uint8 array [H, W], [H, W, 3] or [N, H, W, 3], or a sequence of
            these; or features of the model's backbone: float [N, F], [N, ..., F], or {tap: float [N, ...]}.
        decode: "beam", "greedy", "diverse" or "sample".
        beam: width of the beam; None: that of the model's preset, or `num` where that is more.
        num: captions of each image; there may be fewer.
        options: how images are read; `batch_size` is also that of decoding.
        **decoding: other fields of `captioner.decoding.options.DecodeOptions`, such as max_words=12 or temperature=0.7.

    Raises:
        ConfigError: an unknown option, one that the way of decoding has no use for, or a value that does not fit.
        DataError: no usable image, weights other than in training, or features of another width.
    """
    from vislang.features.model_inputs import given_features, image_sources

    chosen = decode_options(model, decode=decode, beam=beam, num=num, **decoding)
    features = given_features(images, model.config.taps)
    if features is not None:
        captions = _caption_features(model, features, chosen, options.batch_size)
        return CaptionedImages([str(number) for number in range(len(captions))], captions)
    sources, names = image_sources(images)
    found = CaptionedImages([], [])
    for captions, kept, skipped in model.caption_images(sources, chosen, options):
        found.names.extend(names[index] for index in kept)
        found.captions.extend(captions)
        found.skipped.extend(skipped)
    if not found.names:
        raise DataError(f"none of {len(sources)} images could be captioned; the first: {found.skipped[0].reason}")
    return found


def decode_options(
    model: "TrainedCaptioner", *, decode: str = "beam", beam: int | None = None, num: int = 1, **options: Any
) -> "DecodeOptions":
    """Complete what a user asked of decoding by the model's preset.

    Args:
        model: from `load_model`.
        decode: see `caption_images`.
        beam: see `caption_images`.
        num: see `caption_images`.
        **options: see `caption_images`.

    Raises:
        ConfigError: see `caption_images`.
    """
    from captioner.decoding.options import METHODS

    asked = {**options, **({} if beam is None else {"beam": beam})}
    for name in asked:
        methods = _ONLY_FOR.get(name, METHODS)
        if decode in METHODS and decode not in methods:
            raise ConfigError(f"{name} is for decode {' or '.join(methods)}, got decode {decode}; leave one out")
    if beam is not None and not 1 <= num <= beam:
        raise ConfigError(f"num got {num} with beam {beam}, expected 1 to {max(beam, 1)}; a wider beam finds more")
    if beam is None and decode in _ONLY_FOR["beam"]:
        groups = options.get("groups")
        size = groups if isinstance(groups, int) and groups > 0 else 1
        beam = -(-max(model.config.beam, num) // size) * size  # all groups are of one size
    width = {} if beam is None else {"width": beam}
    return model.options(method=decode, num=num, **width, **options)


def _caption_features(
    model: "TrainedCaptioner",
    features: "dict[str, np.ndarray]",
    options: "DecodeOptions",
    batch_size: int,
) -> "list[list[Caption]]":
    import numpy as np

    from vislang.features.descriptors import join_taps

    taps = list(features.values())
    captions: list[list[Caption]] = []
    for start in range(0, len(taps[0]), batch_size):
        joined = join_taps([tap[start : start + batch_size] for tap in taps])
        numbers = np.arange(start, start + len(joined))
        captions += model.caption_descriptors(joined, options=options, numbers=numbers)
    return captions
