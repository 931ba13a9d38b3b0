"""What a captioner says beside being right: how new, how varied and how long its captions are."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from vislang.core.errors import EvalError
from vislang.text.tokenizer import tokenize


@dataclass(frozen=True)
class CaptionDiversity:
    """How captions of many images differ from the training captions and from each other.

    Attributes:
        captions: how many were looked at.
        distinct: how many different ones there are.
        vocabulary: different words used.
        distinct_1: different words by all words, 0..1; falls with the number of captions, so compare equal sets.
        distinct_2: the same for pairs of words that follow each other.
        mean_length: words in a caption.
        novelty: share of captions that training never showed word for word, 0..1; None without training captions.
        seen: 1 - novelty; high for a captioner that recites.
    """

    captions: int
    distinct: int
    vocabulary: int
    distinct_1: float
    distinct_2: float
    mean_length: float
    novelty: float | None
    seen: float | None

    def to_json(self) -> dict[str, float | int | None]:
        """Give the numbers by name."""
        return asdict(self)


def caption_diversity(
    captions: Sequence[str],
    training: Sequence[str] | None = None,
    *,
    split: Callable[[str], list[str]] = tokenize,
) -> CaptionDiversity:
    """Measure the variety of captions; two captions are the same when their words are.

    Args:
        captions: one for each image; empty ones count as captions without words.
        training: the captions that the captioner was trained on.
        split: turns a caption into words, the same for both.

    Raises:
        EvalError: no captions, or an empty list of training captions.
    """
    if not captions:
        raise EvalError("no captions were given, expected at least one to measure variety on")
    if training is not None and not training:
        raise EvalError("0 training captions were given; every caption would seem new, pass None when there are none")
    sentences = [tuple(split(caption)) for caption in captions]
    words = [word for sentence in sentences for word in sentence]
    pairs = [pair for sentence in sentences for pair in zip(sentence, sentence[1:], strict=False)]
    seen = None
    if training is not None:
        known = {tuple(split(caption)) for caption in dict.fromkeys(training)}
        seen = sum(sentence in known for sentence in sentences) / len(sentences)
    return CaptionDiversity(
        captions=len(sentences),
        distinct=len(set(sentences)),
        vocabulary=len(set(words)),
        distinct_1=len(set(words)) / len(words) if words else 0.0,
        distinct_2=len(set(pairs)) / len(pairs) if pairs else 0.0,
        mean_length=len(words) / len(sentences),
        novelty=None if seen is None else 1 - seen,
        seen=seen,
    )
