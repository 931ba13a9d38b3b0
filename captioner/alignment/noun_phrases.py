"""Noun-phrase chunking from the statistics of captions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

# Words between noun phrases in any caption; `learned_joins` finds others, mostly verbs.
_JOINING = (
    "is are was were be being has have or of in on at with while as that which who to by for from into onto over under"
    " through near behind beside across along around between next down up out off it there its looks"
)
_BEGINNING = "a an the his her their some this these two three four one another"
JOINS = frozenset(_JOINING.split())
DETERMINERS = frozenset(_BEGINNING.split())
_ENDS = JOINS | {"and", ".", ",", ""}
_RARE = 5  # occurrences; rarer words are never learned joins


def learned_joins(captions: Iterable[Sequence[str]]) -> frozenset[str]:
    """Find the words that stand between noun phrases: "runs", "wearing", "covered".

    A noun often follows a determiner and often ends its phrase. A word that hardly ever follows a determiner but often
    follows a noun is no part of a phrase.

    Args:
        captions: of the training images, as words.
    """
    count = Counter[str]()
    determined = Counter[str]()
    last = Counter[str]()
    after_noun = Counter[str]()
    sentences = list(map(list, captions))
    for words in sentences:
        for before, word, following in zip(["", *words], words, [*words[1:], ""], strict=False):
            count[word] += 1
            determined[word] += before in DETERMINERS
            last[word] += following in _ENDS
    nouns = {word for word, n in count.items() if determined[word] >= 0.2 * n and last[word] >= 0.25 * n}
    nouns -= DETERMINERS
    for words in sentences:
        for before, word in zip(words, words[1:], strict=False):
            after_noun[word] += before in nouns
    return frozenset(
        word
        for word, n in count.items()
        if n >= _RARE and word not in _ENDS and determined[word] < 0.04 * n and after_noun[word] >= 0.4 * n
    )


def noun_phrases(words: Sequence[str], joins: frozenset[str] = JOINS) -> list[str]:
    """Cut words into noun phrases, such as "a red ball", at the words between them.

    "And" separates phrases only where a determiner follows: "a black and white dog" is one.
    """
    phrases: list[list[str]] = [[]]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in joins or (word == "and" and (following in DETERMINERS or not phrases[-1] or not following)):
            phrases.append([])
        else:
            phrases[-1].append(word)
    for phrase in phrases:
        while phrase and phrase[-1] in DETERMINERS:
            phrase.pop()
    return [" ".join(phrase) for phrase in phrases if phrase]


def with_determiners(words: Sequence[str], segments: Sequence[Any]) -> list[Any]:
    """Move determiners at the end of a segment to the next one."""
    moved = []
    start = 0
    for index, segment in enumerate(segments):
        stop = segment.words[1]
        while index < len(segments) - 1 and stop > start and words[stop - 1].lower() in DETERMINERS:
            stop -= 1
        if stop > start:
            moved.append(replace(segment, words=(start, stop)))
        start = stop
    return moved
