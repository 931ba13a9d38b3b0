"""Which part of a picture or a clip each word of a sentence comes from.

Letters: F frames (1 for a picture), T words, R x C cells, D features.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from saliency.methods.gradient import gradient_losses
from saliency.methods.ramanishka import original_maps
from saliency.methods.single_descriptor import divergences, query_losses
from saliency.methods.windows import cell_chances, stretched
from vislang.core.errors import ConfigError, unknown_name
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import UNKNOWN

METHODS = ("gradient", "ramanishka")
POOLING = ("mean", "max", "sum", "joint")
CLIP_FRAMES = 26  # read as one clip, as in the original

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Explanation:
    """The loss of each word at each cell of each frame, and the maps that follow.

    Attributes:
        words: T words, as the captioner reads them.
        unknown: whether each is a word that the captioner does not know; it is read as the unknown word, and its map
            shows where rare words come from, not this one.
        written: whether the captioner wrote the sentence; if not, it was given.
        method: "gradient", or "ramanishka" with the cells, steps and constants of the published code.
        losses: float [F, T, R, C]: of "gradient", the loss of each word for a small step towards each cell
            (`saliency.methods.gradient`); of "ramanishka", that of each cell alone, KL(p_t || q_(t,i)) of a written
            sentence and -log q_(t,i)(w_t) of a given one.
        whole: float [F, T], the same for each frame as a whole, encoded as the mean of its cells.
        evidence: float32 [T], the log-likelihood ratio log p(word | image) - log p(word | average image), both given
            the words before it; above 0, the image speaks for the word.
        seen: the part of the image that the grid covers, in shares of its sides: left, top, right, bottom.
        seconds: float [F], when each frame is shown.
    """

    words: tuple[str, ...]
    unknown: tuple[bool, ...]
    written: bool
    method: str
    losses: np.ndarray
    whole: np.ndarray
    evidence: np.ndarray
    seen: Box
    seconds: np.ndarray

    @functools.cached_property
    def maps(self) -> np.ndarray:
        """Spatio-temporal saliency: a map for each frame and word, float32 [F, T, R, C], 0 to 1.

        Of "gradient", the probability that the window which the word is about holds the cell, scaled to 0 to 1 over all
        frames; of "ramanishka", what the published code draws.
        """
        if self.method == "ramanishka":
            return original_maps(self.losses).astype(np.float32)
        return stretched(cell_chances(self.losses))

    @property
    def in_time(self) -> np.ndarray:
        """Temporal saliency, float32 [F, T], 0 to 1: minus the loss of each frame as a whole, stretched per word."""
        scores = -np.asarray(self.whole, np.float32)
        low = scores.min(axis=0)
        high = scores.max(axis=0)
        return np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)

    def phrase_map(self, first: int, last: int, pooling: str = "mean") -> np.ndarray:
        """Return the map of several words, float [R, C], of the first frame.

        Args:
            first: index of the first word.
            last: index after the last word, above `first`.
            pooling: "mean", "max" or "sum" of the words' maps, of "gradient" before they are scaled, so that a word
                without a place counts little; "joint": one window for all words, whose losses add up (not of
                "ramanishka").

        Raises:
            ConfigError: no words, or an unknown pooling.
        """
        known = POOLING if self.method == "gradient" else POOLING[:-1]
        if pooling not in known or not 0 <= first < last <= len(self.words):
            raise ConfigError(
                f"words {first} to {last} of {len(self.words)} with pooling {pooling!r}; expected some words, and one"
                f" of {', '.join(known)}"
            )
        if self.method == "ramanishka":
            return getattr(np, pooling)(self.maps[0, first:last], axis=0)
        losses = self.losses[:1, first:last]
        if pooling == "joint":
            return stretched(cell_chances(losses.sum(axis=1, keepdims=True)))[0, 0]
        pooled = getattr(np, pooling)(cell_chances(losses), axis=1, keepdims=True)
        return stretched(pooled)[0, 0]


def explain_cells(
    model: Any,
    cells: np.ndarray,
    sentence: str | None = None,
    *,
    method: str = "gradient",
    seen: Box = (0.0, 0.0, 1.0, 1.0),
    seconds: np.ndarray | None = None,
) -> Explanation:
    """Explain a sentence, or the model's own caption, by the cells of a picture or of a clip's frames.

    Args:
        model: from `captioner.load_model`.
        cells: float [F, R, C, D], the descriptors of a grid for each frame.
        sentence: any text; None: the caption that the model writes.
        method: one of METHODS.
        seen: see `Explanation`.
        seconds: see `Explanation`; None: a frame a second.

    Raises:
        ConfigError: an unknown way, or a sentence without a word.
    """
    whole = cells.reshape(-1, cells.shape[-1]) if len(cells) == 1 else clip_descriptors(cells)
    written = sentence is None
    words, numbers = write_sentence(model, whole) if sentence is None else read_sentence(model, sentence)
    losses, of_frames = cell_losses(model, cells, numbers, method=method, whole=whole if written else None)
    return Explanation(
        words=tuple(words),
        unknown=unknown(numbers),
        written=written,
        method=method,
        losses=losses,
        whole=of_frames,
        evidence=evidence(model, whole, numbers),
        seen=seen,
        seconds=np.arange(len(cells), dtype=np.float32) if seconds is None else np.asarray(seconds, np.float32),
    )


def cell_losses(
    model: Any, cells: np.ndarray, numbers: np.ndarray, *, method: str, whole: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Give the `losses` and `whole` of an `Explanation`.

    Args:
        model: a trained captioner.
        cells: float [F, R, C, D].
        numbers: int32 [T], the sentence.
        method: one of METHODS.
        whole: float [N, D], what the model wrote the sentence from; None: it was given.

    Raises:
        ConfigError: an unknown method.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if method == "gradient":
        of_frames, slopes = gradient_losses(model, cells, numbers)
        return of_frames[..., None, None] + slopes, of_frames
    frames, rows, columns, width = cells.shape
    flat = np.asarray(cells, np.float32).reshape(frames, rows * columns, width)
    alone = np.concatenate([flat, flat.mean(axis=1, keepdims=True)], axis=1).reshape(-1, width)
    found = query_losses(model, alone, numbers) if whole is None else divergences(model, alone, numbers, whole)
    found = found.reshape(frames, rows * columns + 1, len(numbers)).transpose(0, 2, 1)
    return found[..., :-1].reshape(frames, len(numbers), rows, columns), found[..., -1]


def unknown(numbers: np.ndarray) -> tuple[bool, ...]:
    """Say of each word whether the captioner does not know it."""
    return tuple(bool(number == UNKNOWN) for number in numbers)


def read_sentence(model: Any, sentence: str) -> tuple[list[str], np.ndarray]:
    """Give the words of a sentence and their numbers, int32 [T].

    Raises:
        ConfigError: it has no word.
    """
    words = tokenize(sentence)
    if not words:
        raise ConfigError(f"the sentence {sentence!r} has no word, expected some such as: a dog on the grass")
    return words, np.array(model.vocabulary.encode(words), np.int32)


def write_sentence(model: Any, descriptors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Give the words of the caption that the model writes for descriptors [N, D], and their numbers, int32 [T].

    Raises:
        ConfigError: it writes nothing.
    """
    words = model.caption_descriptors(descriptors[None])[0][0].words
    if not words:
        raise ConfigError("the model writes an empty caption, which has no words to explain; give a sentence")
    return words, np.array(model.vocabulary.encode(words), np.int32)


def clip_descriptors(cells: np.ndarray) -> np.ndarray:
    """Give what is read of a clip as a whole, float [at most 26, D]: the mean cell of frames spread evenly."""
    frames = len(cells)
    chosen = np.round(np.linspace(0, frames - 1, min(frames, CLIP_FRAMES))).astype(int)
    return cells[chosen].mean(axis=(1, 2))


def evidence(model: Any, descriptors: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Give float32 [T], how much likelier each word is for a picture than for the average picture of training.

    Args:
        model: a trained captioner.
        descriptors: float [N, D], all of the picture.
        numbers: int32 [T], the sentence.
    """
    average = model.mean_descriptor()
    seen = model.given_log_probs(descriptors[None], numbers[None])[0]
    return seen - model.given_log_probs(average[None, None], numbers[None])[0]
