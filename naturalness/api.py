"""The public face of naturalness. Keras is imported inside the functions: importing `naturalness` costs nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from naturalness.inference import TrainedNaturalness


def load_model(path: str | Path | None = None, *, weights: str | Path | None = None) -> "TrainedNaturalness":
    """Load a visual language model with the CNN that it was trained on.

    Its `loss(pictures)` takes float32 [B, H, W, 3], RGB, 0 to 255, and can be differentiated: a prior for pictures.

    Args:
        path: a checkpoint folder or the name of one in the box; None: the one in the box.
        weights: of the CNN; None: looked for in VISLANG_WEIGHTS.

    Raises:
        CheckpointError: missing, damaged or of another kind; the message says what to do.
        DataError: a model of the box that is not the one of its card, or weights other than in training.
    """
    from naturalness.inference import KIND, load_trained
    from vislang.core.bundled_models import find_checkpoint

    return load_trained(find_checkpoint(KIND, path), weights=weights)


def unnaturalness_map(model: "TrainedNaturalness", image: Any, *, odd: bool = False) -> "np.ndarray":
    """Say how unnatural, or how much of a surprise, each place of a picture is.

    Args:
        model: from `load_model`.
        image: a path, bytes, a PIL image or a uint8 array [H, W] or [H, W, 3]; looked at as large as it is.
        odd: what does not belong, such as strange textures; otherwise where people look.

    Returns:
        float32 [H, W], 0 or more, not smoothed.

    Raises:
        DataError: a bad picture.
        ConfigError: one that is too small.
    """
    from naturalness.inference import as_pixels
    from vislang.images.decode import decode_image

    return model.map(as_pixels(decode_image(image)), odd=odd)


def naturalness_score(model: "TrainedNaturalness", image: Any) -> float:
    """Say how natural a picture is: 0 as photographs of the training set are on average, below 0 less natural.

    Args:
        model: from `load_model`.
        image: as for `unnaturalness_map`.
    """
    from naturalness.inference import as_pixels
    from vislang.images.decode import decode_image

    return model.score(as_pixels(decode_image(image)))
