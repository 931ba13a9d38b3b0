"""The public functions of saliency. Keras, where it is needed, is imported inside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.api import load_model
from vislang.core.errors import ConfigError
from vislang.core.model_kinds import require_kind
from vislang.features.reading_options import ReadingOptions

if TYPE_CHECKING:
    from captioner.alignment.inference import TrainedAligner
    from captioner.inference import TrainedCaptioner
    from saliency.word_maps import Explanation
    from vse.inference import TrainedRanker

__all__ = ["explain_image", "explain_video", "load_model"]


def explain_image(
    model: "TrainedCaptioner",
    image: Any,
    sentence: str | None = None,
    *,
    method: str = "activation",
    ranker: "TrainedRanker | None" = None,
    aligner: "TrainedAligner | None" = None,
    options: ReadingOptions = ReadingOptions(),
) -> "Explanation":
    """Compute which part of an image each word of a sentence comes from.

    Args:
        model: any captioner of whole images, from `captioner.load_model`; it writes the caption, and tells the evidence
            for each word.
        image: one image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3].
        sentence: any text of up to 200 words; None: the caption that the model writes.
        method: "activation", what each cell adds to a ranker's score of the word; "regions" that an aligner finds for
            it; or, of the captioner itself, "gradient" of each word's loss with respect to the mean feature, or
            "ramanishka", the cells, steps and constants of the published code.
        ranker: for "activation", from `vse.load_model`; None: the bundled one.
        aligner: for "regions", from `captioner.load_aligner`; None: the bundled one.
        options: how the image is read.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: an unknown method, a sentence without words that the models know or of more than 200,
            several images, or a captioner of regions.
        DataError: an unreadable image, or weights other than in training.

    Example:
        >>> import saliency
        >>> explanation = saliency.explain_image(saliency.load_model(), "drawn.png", "a red ball")
        >>> explanation.words, explanation.maps.shape
        (('a', 'red', 'ball'), (1, 3, 14, 14))
    """
    from captioner.api import bundled_aligner, encode_regions
    from saliency.grid_features import encoded_cells, seen_of
    from saliency.word_maps import Places, explain_by_regions, explain_cells
    from vislang.images.decode import decode_image
    from vislang.images.sources import one_image
    from vse.api import bundled_ranker

    require_kind(model, "captioner")
    for name, given, needed in (("ranker", ranker, "activation"), ("aligner", aligner, "regions")):
        if given is not None and method != needed:
            raise ConfigError(f"{name} is for method {needed!r}, got method {method!r}; leave one of them out")
    decoded = decode_image(one_image(image))
    (cells,) = encoded_cells(model, [decoded], options)
    if method == "regions":
        aligner = aligner or bundled_aligner()
        regions, boxes = encode_regions(aligner, decoded, options=options)
        return explain_by_regions(model, aligner, regions, boxes, cells.reshape(-1, cells.shape[-1]), sentence)
    seen = seen_of(model, model.config.layers[0], decoded.size)
    places = None
    if method == "activation":
        ranker = ranker or bundled_ranker()
        require_kind(ranker, "vse")
        (of_ranker,) = ranker.encode_cells([decoded], options)
        places = Places(ranker, of_ranker)
        seen = seen_of(ranker, ranker.cell_layer, decoded.size)
    return explain_cells(model, cells, sentence, method=method, places=places, seen=seen)


def explain_video(
    model: "TrainedCaptioner",
    video: str | Path,
    sentence: str | None = None,
    *,
    fps: float = 8.0,
    method: str = "activation",
    ranker: "TrainedRanker | None" = None,
    options: ReadingOptions = ReadingOptions(),
) -> "Explanation":
    """Compute which part of a video, and which moment, each word of a sentence comes from.

    Args:
        model: any captioner of whole images or clips, from `captioner.load_model`.
        video: a file.
        sentence: any text; None: the caption that the model writes for 26 of its frames.
        fps: frames per second that are explained, by the times at which they are shown.
        method: as for `explain_image`, but not "regions".
        ranker: as for `explain_image`.
        options: how the frames are read.

    Raises:
        CheckpointError: a model of another kind.
        ConfigError: as `explain_image`, or `fps` of 0 or less.
        DataError: no video that can be decoded, or weights other than in training.

    Example:
        >>> import saliency
        >>> explanation = saliency.explain_video(saliency.load_model(), "drawn.gif", "a red ball", fps=2)
        >>> explanation.seconds.tolist(), explanation.maps.shape
        ([0.0, 0.5], (2, 3, 14, 14))
    """
    from saliency.video import explain_clip
    from vse.api import bundled_ranker

    require_kind(model, "captioner")
    if method == "regions":
        raise ConfigError("method 'regions' explains images, got a video; take 'activation' or another")
    if method == "activation":
        ranker = ranker or bundled_ranker()
        require_kind(ranker, "vse")
    return explain_clip(model, video, sentence, fps=fps, method=method, ranker=ranker, options=options)
