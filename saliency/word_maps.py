"""Which part of an image or a clip each word of a sentence comes from.

Letters: F frames (1 for an image), T words, R x C cells, D features.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saliency.methods.activation import (
    activation_evidence,
    activation_maps,
    strengths,
)
from saliency.methods.ramanishka import original_maps
from saliency.methods.regions import region_maps
from saliency.methods.windows import cell_chances, stretched
from vislang.core.errors import ConfigError, shown, unknown_name
from vislang.text.function_words import texts_of_words
from vislang.text.tokenizer import tokenize
from vislang.text.vocabulary import UNKNOWN

METHODS = ("activation", "regions", "gradient", "ramanishka")
MOST_WORDS = 200  # of a sentence: time and memory grow with its square
FAINTEST = 0.1  # a map that nowhere reaches it shows no place
POOLING = ("mean", "max", "sum", "joint")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Places:
    """What the method "activation" reads: a ranker, and the cells of an image that it encodes, float [R, C, D]."""

    ranker: Any
    cells: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """The loss of each word at each cell of each frame, and the maps that follow.

    Attributes:
        words: T words, as the captioner reads them.
        unknown: whether the model that maps the word does not know it, or of "regions" does not read that far. Of
            "activation" and "regions" it then has no map, of the other methods that of the unknown word.
        written: whether the captioner wrote the sentence; if not, it was given.
        method: "activation", of a ranker; "regions", of an aligner; or, of the captioner, "gradient", or "ramanishka"
            with the cells, steps and constants of the published code.
        losses: float [F, T, R, C]: of "activation", minus what each cell adds to the ranker's score of the word; of
            "regions", minus the maps of `saliency.methods.regions`; of "gradient", the loss of each word for a small
            step towards each cell; of "ramanishka", that of each cell alone, KL(p_t || q_(t,i)) of a written sentence
            and -log q_(t,i)(w_t) of a given one.
        whole: float [F, T], the loss of each frame: of "activation" and "regions" the lowest of its cells; else that of
            the frame as a whole, encoded as the mean of its cells.
        evidence: float32 [T], the captioner's log-likelihood ratio log p(word | image) - log p(word | average image),
            both given the words before it; of "activation" with what the ranker adds, see
            `saliency.methods.activation.activation_evidence`.
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

        Of "activation" and "regions", see `saliency.methods`: faint where the image speaks against a word, and of
        "activation" where it has no clear place. Of "gradient", the probability that the word's window holds the cell,
        scaled to 0 to 1 over all frames; of "ramanishka", the maps of the published code.
        """
        if self.method == "activation":
            return activation_maps(self.losses) * strengths(self.evidence)[:, None, None]
        if self.method == "regions":
            return -self.losses * strengths(self.evidence)[:, None, None]
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
                without a clear place counts little; "joint": one window for all words, whose losses add up (of
                "gradient" alone).

        Raises:
            ConfigError: no words, or an unknown pooling.
        """
        known: tuple[str, ...] = POOLING
        if self.method != "gradient":
            known = POOLING[:-1]
        if pooling not in known or not 0 <= first < last <= len(self.words):
            raise ConfigError(
                f"words {first} to {last} of {len(self.words)} with pooling {pooling!r}; expected some words, and one"
                f" of {', '.join(known)}"
            )
        if self.method != "gradient":
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
    places: Places | None = None,
    seen: Box = (0.0, 0.0, 1.0, 1.0),
) -> Explanation:
    """Explain a sentence, or the model's own caption, by the cells of an image.

    Args:
        cells: float [R, C, D], the descriptors of a grid.
        sentence: any text; None: the caption that the model writes.
        method: one of METHODS.
        places: the ranker, and the cells that it reads; for "activation".

    Raises:
        ConfigError: an unknown method, or a sentence without words, without a known one, or of more than MOST_WORDS.
    """
    whole = cells.reshape(-1, cells.shape[-1])
    ranker = None
    if method == "activation":
        if places is None:
            raise ConfigError("method 'activation' got no places, expected the ranker and its cells")
        ranker = places.ranker
        cells = places.cells
    return explain_frames(model, [cells[None]], whole, sentence, method=method, ranker=ranker, seen=seen, seconds=[0.0])


def explain_frames(
    model: Any,
    batches: Iterable[np.ndarray],
    whole: np.ndarray,
    sentence: str | None,
    *,
    method: str,
    ranker: Any = None,
    seen: Box,
    seconds: Sequence[float],
    dtype: type = np.float32,
) -> Explanation:
    """Explain a sentence by the cells of frames, some frames at a time.

    Args:
        batches: float [F', R, C, D] of some frames each; for "activation" the cells of the ranker.
        whole: float [N, D], the descriptors of the image or clip as a whole.
        sentence: as for `explain_cells`.
        method: as for `explain_cells`.
        ranker: for "activation".
        seconds: see `Explanation`; read after the frames.
        dtype: of the losses, which are all that a long clip leaves in memory.

    Raises:
        ConfigError: as `explain_cells`.
    """
    words, word_ids = words_to_explain(model, whole, sentence)
    written_from = whole if sentence is None else None
    unknown = (word_ids == UNKNOWN).tolist()
    is_nonsense = all(unknown)
    texts: list[str] = []
    if method == "activation":
        unknown = [not ranker.known_words(word)[0] for word in words]
        is_nonsense = is_nonsense and all(unknown)
        texts = texts_of_words(words)
        texts = ["" if is_unknown else text for text, is_unknown in zip(texts, unknown, strict=True)]
    if is_nonsense:
        raise ConfigError(f"got {shown(' '.join(words))}, expected words of which the model knows one; try others")
    losses: list[np.ndarray] = []
    of_frames: list[np.ndarray] = []
    for cells in batches:
        if method == "activation":
            of_cells = -ranker.cell_scores(cells, texts)
            of_some = of_cells.min(axis=(2, 3))
        else:
            of_cells, of_some = cell_losses(model, cells, word_ids, method=method, written_from=written_from)
        losses.append(of_cells.astype(dtype))
        of_frames.append(of_some)
    losses_of_all = np.concatenate(losses)
    by_image = evidence(model, whole, word_ids)
    if method == "activation":
        by_image += activation_evidence(losses_of_all, texts)
    return Explanation(
        words=tuple(words),
        unknown=tuple(unknown),
        written=sentence is None,
        method=method,
        losses=losses_of_all,
        whole=np.concatenate(of_frames),
        evidence=by_image,
        seen=seen,
        seconds=np.array(seconds),
    )


def explain_by_regions(
    model: Any, aligner: Any, regions: Any, boxes: np.ndarray, whole: np.ndarray, sentence: str | None
) -> Explanation:
    """Explain a sentence, or the captioner's own caption, by the regions of an image.

    Args:
        model: the captioner, which writes the caption and tells the evidence.
        aligner: from `captioner.load_aligner`.
        regions: of the image, from `captioner.api.encode_regions`.
        boxes: float [R, 4], their boxes in shares of the sides.
        whole: float [N, D], the descriptors of the image that the captioner reads.
        sentence: as for `explain_cells`.

    Raises:
        ConfigError: a sentence without words, without one that the aligner knows, or of more than MOST_WORDS.
    """
    words, word_ids = words_to_explain(model, whole, sentence)
    unknown = [token == UNKNOWN for token in aligner.vocabulary.encode(words)]
    unknown[aligner.config.max_words :] = [True] * len(unknown[aligner.config.max_words :])  # it does not read them
    if all(unknown):
        raise ConfigError(f"got {shown(' '.join(words))}, expected words of which the model knows one; try others")
    texts = ["" if is_unknown else text for text, is_unknown in zip(texts_of_words(words), unknown, strict=True)]
    maps = region_maps(aligner.region_scores(regions, words), boxes, texts)
    return Explanation(
        words=tuple(words),
        unknown=tuple(unknown),
        written=sentence is None,
        method="regions",
        losses=-maps[None],
        whole=-maps.max(axis=(1, 2))[None],
        evidence=evidence(model, whole, word_ids),
        seen=(0.0, 0.0, 1.0, 1.0),
        seconds=np.array([0.0]),
    )


def text_map(places: Places, text: str) -> np.ndarray:
    """Return the map of a text by the ranker, read as one, float32 [R, C], 0 to 1."""
    return activation_maps(-places.ranker.cell_scores(places.cells[None], [text]))[0, 0]


def cell_losses(
    model: Any, cells: np.ndarray, word_ids: np.ndarray, *, method: str, written_from: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the `losses` and `whole` of an `Explanation` by the captioner.

    Args:
        cells: float [F, R, C, D].
        word_ids: int32 [T], the sentence.
        method: "gradient" or "ramanishka".
        written_from: float [N, D], the descriptors that the model wrote the sentence from; None: it was given.

    Raises:
        ConfigError: an unknown method.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if method == "gradient":
        from saliency.methods.gradient import gradient_losses  # with Keras, as below

        of_frames, slopes = gradient_losses(model, cells, word_ids)
        return of_frames[..., None, None] + slopes, of_frames
    from saliency.methods.single_descriptor import divergences, query_losses

    frames, rows, columns, width = cells.shape
    flat = np.asarray(cells, np.float32).reshape(frames, rows * columns, width)
    alone = np.concatenate([flat, flat.mean(axis=1, keepdims=True)], axis=1).reshape(-1, width)
    if written_from is None:
        found = query_losses(model, alone, word_ids)
    else:
        found = divergences(model, alone, word_ids, written_from)
    found = found.reshape(frames, rows * columns + 1, len(word_ids)).transpose(0, 2, 1)
    return found[..., :-1].reshape(frames, len(word_ids), rows, columns), found[..., -1]


def words_to_explain(model: Any, whole: np.ndarray, sentence: str | None) -> tuple[Sequence[str], np.ndarray]:
    """Return the words of a sentence, None: of the caption that the model writes, and their ids, int32 [T].

    Raises:
        ConfigError: there are none, or more than MOST_WORDS.
    """
    if sentence is not None:
        return read_sentence(model, sentence)
    words = model.caption_descriptors(whole[None])[0][0].words
    if not words:
        raise ConfigError("the model writes an empty caption, which has no words to explain; give a sentence")
    return words, np.array(model.vocabulary.encode(words), np.int32)


def read_sentence(model: Any, sentence: str) -> tuple[list[str], np.ndarray]:
    """Return the words of a sentence and their ids, int32 [T].

    Raises:
        ConfigError: it has no words, or more than MOST_WORDS.
    """
    if not isinstance(sentence, str):
        raise ConfigError(f"the sentence got {shown(sentence)}, expected a text")
    words = tokenize(sentence)
    if not words:
        raise ConfigError(f"the sentence has no words after tokenisation: {shown(sentence)}")
    if len(words) > MOST_WORDS:
        raise ConfigError(f"the sentence has {len(words)} words, expected at most {MOST_WORDS}; explain it in parts")
    return words, np.array(model.vocabulary.encode(words), np.int32)


def evidence(model: Any, descriptors: np.ndarray, word_ids: np.ndarray) -> np.ndarray:
    """Compute the log-likelihood ratio of each word between an image and the average training image, float32 [T].

    Args:
        descriptors: float [N, D], all of the image.
        word_ids: int32 [T], the sentence.
    """
    average = model.mean_descriptor()
    of_image = model.given_log_probs(descriptors[None], word_ids[None])[0]
    return of_image - model.given_log_probs(average[None, None], word_ids[None])[0]
