"""The public face of saliency. Keras is imported inside the functions: importing `saliency` costs nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.features.reading_options import ReadingOptions

if TYPE_CHECKING:
    from saliency.word_maps import Explanation


def load_model(path: str | Path | None = None) -> Any:
    """Load a captioner to explain, any that `captioner.load_model` loads.

    Args:
        path: a checkpoint folder or the name of one in the box; None: the captioner in the box, whose words point
            better than those of the S2VT there, "explainer".

    Raises:
        CheckpointError: missing, damaged or of another kind; the message says what to do.
        DataError: a model of the box that is not the one of its card.
    """
    from captioner import api

    return api.load_model(path)


def explain_image(
    model: Any,
    image: Any,
    sentence: str | None = None,
    *,
    way: str = "tilt",
    options: ReadingOptions = ReadingOptions(),
) -> "Explanation":
    """Say where in a picture each word of a sentence comes from.

    Args:
        model: from `load_model`.
        image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3].
        sentence: any text; None: the caption that the model writes.
        way: "tilt", ours (`saliency.methods.gradient`); "original", the published cells, steps and constants.
        options: how the image is read.

    Raises:
        ConfigError: an unknown way, a sentence without a word, or a captioner of regions.
        DataError: a bad picture, or weights other than in training.
    """
    from saliency.grid_features import encoded_cells, seen_of
    from saliency.word_maps import explain_cells
    from vislang.images.decode import decode_image

    picture = decode_image(image)
    (cells,) = encoded_cells(model, [picture], options)
    return explain_cells(model, cells[None], sentence, way=way, seen=seen_of(model, picture.size))


def explain_video(
    model: Any,
    path: str | Path,
    sentence: str | None = None,
    *,
    rate: float = 8.0,
    way: str = "tilt",
    options: ReadingOptions = ReadingOptions(),
) -> "Explanation":
    """Say where and when in a video each word of a sentence comes from.

    Args:
        model: from `load_model`.
        path: the video.
        sentence: any text; None: the caption that the model writes for 26 of its frames.
        rate: frames looked at in a second, by their times.
        way: see `explain_image`.
        options: how the frames are read.

    Raises:
        ConfigError: as `explain_image`, or a rate of 0 or less.
        DataError: no video that can be decoded, or weights other than in training.
    """
    from saliency.video import explain_clip

    return explain_clip(model, path, sentence, rate=rate, way=way, options=options)
