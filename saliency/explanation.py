"""Which part of a picture or a clip each word of a sentence comes from.

Letters: F frames (1 for a picture), T words, R x C cells, K windows, D features.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.tokenizer import tokenize
from common.vocabulary import UNKNOWN
from saliency.descriptor_losses import divergences, query_losses
from saliency.original import original_maps
from saliency.windows import grid_windows, single_cells, window_chances, window_means, window_shares

WAYS = ("windows", "original")
POOLING = ("joint", "mean", "max", "sum")
CLIP_FRAMES = 26  # read as one clip, as in the original

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Explanation:
    """What each window of each frame alone loses of each word, and the maps that follow.

    Attributes:
        words: T of them, as the captioner reads them.
        unknown: whether each is a word that the captioner does not know; it is read as the unknown word, and its map
            says where rare words come from, not where this one does.
        written: whether the captioner wrote the sentence; if not, it was given.
        way: one of WAYS.
        losses: float32 [F, T, K]: KL(p_t || q_(t,k)) of a written sentence, -log q_(t,k)(w_t) of a given one.
        windows: int [K, 4] in cells; the last is the whole grid.
        grid: (R, C).
        evidence: float32 [T], log p(word | picture) - log p(word | average picture), both given the words before it:
            above 0, the picture speaks for the word.
        seen: the part of the picture that the grid divides, in shares of its sides.
        seconds: float [F], when each frame is shown.
    """

    words: tuple[str, ...]
    unknown: tuple[bool, ...]
    written: bool
    way: str
    losses: np.ndarray
    windows: np.ndarray
    grid: tuple[int, int]
    evidence: np.ndarray
    seen: Box
    seconds: np.ndarray

    @property
    def maps(self) -> np.ndarray:
        """A map for each frame and word, float32 [F, T, R, C], 0 to 1: spatio-temporal saliency.

        Of windows, the chance that the window which the word is about, in any frame, holds the cell, brought to 0 to 1
        over all frames; of the original, what its code draws.
        """
        if self.way == "original":
            cells = self.losses[..., :-1].reshape(*self.losses.shape[:2], *self.grid)
            return original_maps(cells).astype(np.float32)
        maps = self._covered(self.losses)
        highest = maps.max(axis=(0, 2, 3), keepdims=True)
        return (maps / np.maximum(highest, 1e-30)).astype(np.float32)

    @property
    def in_time(self) -> np.ndarray:
        """Temporal saliency, float32 [F, T], 0 to 1: minus the loss of each frame as a whole, stretched per word."""
        scores = -self.losses[..., -1]
        low, high = scores.min(axis=0), scores.max(axis=0)
        return np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)

    def phrase_map(self, first: int, last: int, pooling: str = "joint") -> np.ndarray:
        """Give the map of several words, float [R, C], of the first frame.

        Args:
            first: number of the first word.
            last: number after the last word, above `first`.
            pooling: "joint": one window for all words, whose losses add up (windows only; of the original, "mean");
                "mean", "max" or "sum" of the words' own maps.

        Raises:
            ConfigError: no word, or an unknown pooling.
        """
        if pooling not in POOLING or not 0 <= first < last <= len(self.words):
            raise ConfigError(
                f"words {first} to {last} of {len(self.words)} with pooling {pooling!r}; expected some words, and one"
                f" of {', '.join(POOLING)}"
            )
        if pooling == "joint" and self.way == "windows":
            return self._covered(self.losses[:1, first:last].sum(axis=1, keepdims=True))[0, 0]
        return getattr(np, {"joint": "mean"}.get(pooling, pooling))(self.maps[0, first:last], axis=0)

    def _covered(self, losses: np.ndarray) -> np.ndarray:
        """Give, for losses [F, T, K], how much of the windows' chances lies on each cell, [F, T, R, C]."""
        shares = window_shares(self.windows, *self.grid).reshape(len(self.windows), -1)
        chances = window_chances(losses)
        return (chances @ shares).reshape(*losses.shape[:2], *self.grid)


def explain_cells(
    model: Any,
    cells: np.ndarray,
    sentence: str | None = None,
    *,
    way: str = "windows",
    seen: Box = (0.0, 0.0, 1.0, 1.0),
    seconds: np.ndarray | None = None,
) -> Explanation:
    """Explain a sentence, or the model's own caption, by the cells of a picture or of a clip's frames.

    Args:
        model: from `captioner.load_model`.
        cells: float [F, R, C, D], the descriptors of a grid for each frame.
        sentence: any text; None: the caption that the model writes.
        way: "windows", or "original" with its cells, its chain and its constants.
        seen: see `Explanation`.
        seconds: see `Explanation`; None: a frame a second.

    Raises:
        ConfigError: an unknown way, or a sentence without a word.
    """
    frames, rows, columns, width = cells.shape
    whole = cells.reshape(-1, width) if frames == 1 else clip_descriptors(cells)
    written = sentence is None
    words, numbers = write_sentence(model, whole) if sentence is None else read_sentence(model, sentence)
    windows = window_layout(way, rows, columns)
    losses = window_losses(model, cells, windows, numbers, whole if written else None)
    times = np.arange(frames, dtype=np.float32) if seconds is None else np.asarray(seconds, np.float32)
    return Explanation(
        words=tuple(words),
        unknown=unknown(numbers),
        written=written,
        way=way,
        losses=losses,
        windows=windows,
        grid=(rows, columns),
        evidence=evidence(model, whole, numbers),
        seen=seen,
        seconds=times,
    )


def window_layout(way: str, rows: int, columns: int, *, square: bool = False) -> np.ndarray:
    """Give the windows that are asked, int [K, 4].

    Args:
        way: one of WAYS.
        rows: R.
        columns: C.
        square: square windows only, half as many, for the frames of videos.

    Raises:
        ConfigError: an unknown way.
    """
    if way not in WAYS:
        raise ConfigError(f"way got {way!r}, expected one of: {', '.join(WAYS)}")
    return grid_windows(rows, columns, square=square) if way == "windows" else single_cells(rows, columns)


def window_losses(
    model: Any, cells: np.ndarray, windows: np.ndarray, numbers: np.ndarray, whole: np.ndarray | None
) -> np.ndarray:
    """Give float32 [F, T, K], what each window of each frame alone loses of each word.

    Args:
        model: a trained captioner.
        cells: float [F, R, C, D].
        windows: int [K, 4].
        numbers: int32 [T], the sentence.
        whole: float [N, D], what the model wrote the sentence from; None: it was given.
    """
    alone = window_means(cells, windows).reshape(-1, cells.shape[-1])
    losses = query_losses(model, alone, numbers) if whole is None else divergences(model, alone, numbers, whole)
    return losses.reshape(len(cells), len(windows), len(numbers)).transpose(0, 2, 1)


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
    average = model.average_descriptor()
    seen = model.given_log_probs(descriptors[None], numbers[None])[0]
    return seen - model.given_log_probs(average[None, None], numbers[None])[0]
