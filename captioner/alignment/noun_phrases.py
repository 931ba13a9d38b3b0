"""Names of things in a sentence: where they begin and end, learned from how captions use their words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

# What joins the names of things in any caption; what else does, verbs above all, `learned_joins` finds.
_JOINING = (
    "is are was were be being has have or of in on at with while as that which who to by for from into onto over under"
    " through near behind beside across along around between next down up out off it there its looks"
)
_BEGINNING = "a an the his her their some this these two three four one another"
JOINS = frozenset(_JOINING.split())
DETERMINERS = frozenset(_BEGINNING.split())
_ENDS = JOINS | {"and", ".", ",", ""}
_RARE = 5  # occurrences below which nothing is said of a word


def learned_joins(captions: Iterable[Sequence[str]]) -> frozenset[str]:
    """Find the words that stand between names: "runs", "wearing", "covered".

    A thing's word often stands behind a determiner, and is often the last of its name. What hardly ever stands behind
    a determiner but often behind the word of a thing is no part of a name.

    Args:
        captions: of the training images, as words.
    """
    count = Counter[str]()
    determined = Counter[str]()
    last = Counter[str]()
    behind_thing = Counter[str]()
    sentences = list(map(list, captions))
    for words in sentences:
        for before, word, following in zip(["", *words], words, [*words[1:], ""], strict=False):
            count[word] += 1
            determined[word] += before in DETERMINERS
            last[word] += following in _ENDS
    things = {word for word, n in count.items() if determined[word] >= 0.2 * n and last[word] >= 0.25 * n}
    things -= DETERMINERS
    for words in sentences:
        for before, word in zip(words, words[1:], strict=False):
            behind_thing[word] += before in things
    return frozenset(
        word
        for word, n in count.items()
        if n >= _RARE and word not in _ENDS and determined[word] < 0.04 * n and behind_thing[word] >= 0.4 * n
    )


def names_in(words: Sequence[str], joins: frozenset[str] = JOINS) -> list[str]:
    """Cut words into names of things, such as "a red ball", at the words that join them.

    "And" joins things only where a determiner follows: "a black and white dog" is one.
    """
    names: list[list[str]] = [[]]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in joins or (word == "and" and (following in DETERMINERS or not names[-1] or not following)):
            names.append([])
        else:
            names[-1].append(word)
    for name in names:
        while name and name[-1] in DETERMINERS:
            name.pop()
    return [" ".join(name) for name in names if name]


def with_determiners(words: Sequence[str], segments: Sequence[Any]) -> list[Any]:
    """Give "a" and its like to the segment of the word after them."""
    moved = []
    start = 0
    for number, segment in enumerate(segments):
        stop = segment.words[1]
        while number < len(segments) - 1 and stop > start and words[stop - 1].lower() in DETERMINERS:
            stop -= 1
        if stop > start:
            moved.append(replace(segment, words=(start, stop)))
        start = stop
    return moved
