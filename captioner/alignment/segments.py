"""A sentence cut into runs of words, each assigned to a region of an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.alignment.inference import EncodedFragments, TrainedAligner, stds_over_regions
from captioner.alignment.viterbi import as_segments, best_segments
from vislang.core.errors import ConfigError


@dataclass(frozen=True)
class Segment:
    """Words and their region.

    Attributes:
        words: (first, after the last) of the sentence.
        region: row among the image's regions; 0 is the whole image.
        strength: mean product v_i . s_t of the words with that region, in standard deviations of all products of this
            sentence.
    """

    words: tuple[int, int]
    region: int
    strength: float


def segment_sentences(
    model: TrainedAligner,
    images: EncodedFragments,
    sentences: Sequence[Sequence[str]],
    beta: float | None = None,
    added: Sequence[np.ndarray] | None = None,
) -> list[list[Segment]]:
    """Find the best segments of sentences, each over its own image, from the products and the regions' priors.

    Args:
        images: N images, encoded by the model.
        sentences: N of them, as words; punctuation joins the words before it.
        beta: of the MRF, in standard deviations of a sentence's products and of what is added to them, so that it does
            not depend on their scale; None: as the model's settings say.
        added: to the products, in the unit of the priors, for each sentence float [T, R] of its tokens, from
            `region_maps.priors_of_words`; None: the aligner alone.

    Returns:
        for each sentence its segments in order, which cover it; none for a sentence without words.

    Raises:
        ConfigError: `beta` is negative or NaN.
    """
    if beta is None:
        beta = model.config.beta
    if not beta >= 0:
        raise ConfigError(f"beta got {beta}, expected 0 or more")
    encoded, spans = model.encode_split(sentences)
    products = model.products(images, encoded)  # [N, T, R]
    lengths = np.array([max((end for _, end in span), default=0) for span in spans])
    lengths = np.minimum(lengths, products.shape[1])
    scales = np.array([_std(one[:length]) for one, length in zip(products, lengths, strict=True)])
    stds = stds_over_regions(products)[..., None]
    scores = products
    if added is not None:
        scores = products + stds * _of_shape(added, products.shape)
    rewards = [beta * _std(one[:length]) for one, length in zip(scores, lengths, strict=True)]
    unary = scores + stds * images.priors[:, None, :]
    labels = best_segments(unary, np.array(rewards), np.maximum(lengths, 1))
    rows = zip(products, labels, lengths, scales, spans, strict=True)
    return [_segments(*row) for row in rows]


def _of_shape(added: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Join float [T, R] of each sentence, cut off or filled with 0: float32 [N, T, R]."""
    joined = np.zeros(shape, np.float32)
    for own, of_tokens in zip(joined, added, strict=True):
        steps = min(len(own), len(of_tokens))
        own[:steps] = of_tokens[:steps, : own.shape[1]]
    return joined


def _std(products: np.ndarray) -> float:
    real = products[np.isfinite(products)]
    if real.size:
        return float(real.std())
    return 0.0


def _segments(
    products: np.ndarray, labels: np.ndarray, length: int, scale: float, spans: list[tuple[int, int]]
) -> list[Segment]:
    """Cut the given words where the labels of their tokens change."""
    if length == 0:
        return []
    first = []  # token of each word; a word without tokens has that of the word before
    for start, end in spans:
        if end > start:
            first.append(min(start, length - 1))
        else:
            first.append(first[-1] if first else -1)
    following = next(token for token in first if token >= 0)
    first = [following if token < 0 else token for token in first]
    found = []
    for start, stop, region in as_segments(labels[np.array(first)]):
        strength = 0.0
        if scale:
            strength = float(products[sorted(set(first[start:stop])), region].mean()) / scale
        found.append(Segment((start, stop), region, strength))
    return found
