"""Novelty, variety and length of captions."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from vislang.core.errors import EvalError
from vislang.text.tokenizer import tokenize


@dataclass(frozen=True)
class CaptionDiversity:
    """How captions of many images differ from the training captions and from each other.

    Attributes:
        distinct: number of different captions.
        vocabulary: number of different words.
        distinct_1: different words / all words, 0..1; falls with the number of captions, so compare equal sets.
        distinct_2: the same for word bigrams.
        mean_length: words per caption.
        novelty: share of captions that are no training caption, 0..1; None without training captions.
        seen: 1 - novelty.
    """

    captions: int
    distinct: int
    vocabulary: int
    distinct_1: float
    distinct_2: float
    mean_length: float
    novelty: float | None
    seen: float | None


def caption_diversity(captions: Sequence[str], training: Sequence[str] | None = None) -> CaptionDiversity:
    """Measure the diversity of captions; two captions are the same if their words are.

    `training` holds the captions that the captioner was trained on.

    Raises:
        EvalError: no captions, or an empty list of training captions.
    """
    if not captions:
        raise EvalError("got no captions, expected at least one to measure diversity on")
    if training is not None and not training:
        raise EvalError("got 0 training captions, by which every caption would be new; pass None where there are none")
    sentences = list(map(_words, captions))
    words: list[str] = []
    bigrams: list[tuple[str, str]] = []
    for sentence in sentences:
        words.extend(sentence)
        bigrams.extend(itertools.pairwise(sentence))
    seen = None
    novelty = None
    if training is not None:
        known = set(map(_words, dict.fromkeys(training)))
        seen = sum(map(known.__contains__, sentences)) / len(sentences)
        novelty = 1 - seen
    return CaptionDiversity(
        captions=len(sentences),
        distinct=len(set(sentences)),
        vocabulary=len(set(words)),
        distinct_1=len(set(words)) / max(1, len(words)),
        distinct_2=len(set(bigrams)) / max(1, len(bigrams)),
        mean_length=len(words) / len(sentences),
        novelty=novelty,
        seen=seen,
    )


def _words(caption: str) -> tuple[str, ...]:
    return tuple(tokenize(caption))
