"""A sentence cut into runs of words, each tied to the region of a picture that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.alignment.inference import EncodedFragments, TrainedAligner
from captioner.alignment.viterbi import as_segments, best_segments
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class Segment:
    """Words and their region.

    Attributes:
        words: (first, after the last) of the sentence.
        region: row among the picture's regions; 0 is the whole picture.
        strength: mean product v_i . s_t of the words with that region, in units of the deviation of all products of
            this sentence: large for words that name what can be seen.
    """

    words: tuple[int, int]
    region: int
    strength: float


def segment_sentences(
    model: TrainedAligner, images: EncodedFragments, sentences: Sequence[Sequence[str]], same: float | None = None
) -> list[list[Segment]]:
    """Find the best segments of sentences, each over its own picture, from the products and the regions' priors.

    Args:
        model: from `captioner.load_aligner`.
        images: N pictures, encoded by the model.
        sentences: N of them, as words; punctuation joins the words before it.
        same: beta of the MRF in deviations of a sentence's products, so that it means the same whatever the scale of
            a model; None: as the model's settings say.

    Returns:
        for each sentence its segments in order; they cover it. A sentence without a word has none.

    Raises:
        ConfigError: `same` is negative or no number.
    """
    same = model.config.beta if same is None else same
    if not same >= 0:
        raise ConfigError(f"same got {same}, expected 0 or more")
    encoded, spans = model.encode_split(sentences)
    products = model.products(images, encoded)  # [N, T, R]
    lengths = np.array([max((end for _, end in span), default=0) for span in spans])
    lengths = np.minimum(lengths, products.shape[1])
    scales = np.array([_deviation(one[:length]) for one, length in zip(products, lengths, strict=True)])
    unary = products + spreads(products)[..., None] * images.priors[:, None, :]
    labels = best_segments(unary, scales * same, np.maximum(lengths, 1))
    rows = zip(products, labels, lengths, scales, spans, strict=True)
    return [_segments(*row) for row in rows]


def spreads(products: np.ndarray) -> np.ndarray:
    """Give the deviation over regions of float [..., R], -inf where there is none: what priors are counted in."""
    real = np.isfinite(products)
    count = np.maximum(real.sum(axis=-1), 1)
    inside = np.where(real, products, 0.0)
    mean = inside.sum(axis=-1) / count
    squares = np.where(real, np.square(inside - mean[..., None]), 0.0)
    return np.sqrt(squares.sum(axis=-1) / count)


def _deviation(products: np.ndarray) -> float:
    real = products[np.isfinite(products)]
    return float(real.std()) if real.size else 0.0


def _segments(
    products: np.ndarray, labels: np.ndarray, length: int, scale: float, spans: list[tuple[int, int]]
) -> list[Segment]:
    """Carry the labels of fragments over to the given words, and cut."""
    if length == 0:
        return []
    first = [min(start, length - 1) if end > start else -1 for start, end in spans]  # each word's first fragment
    for word in range(1, len(first)):
        first[word] = first[word - 1] if first[word] < 0 else first[word]
    following = next(one for one in first if one >= 0)
    of_words = np.array([labels[one if one >= 0 else following] for one in first])
    found = []
    for start, stop, region in as_segments(of_words):
        fragments = sorted({one for one in first[start:stop] if one >= 0}) or [following]
        strength = float(products[fragments, region].mean()) / scale if scale else 0.0
        found.append(Segment((start, stop), region, strength))
    return found
