"""Noun phrases of captions, such as "a black and white dog", found by how the captions use their words."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

_LEADING = "in on at with by for from into onto over under through near behind beside across along around between as"
_PREPOSITIONS = frozenset(_LEADING.split())
_JOINING = "is are was were be being has have or while that which who to next down up out off it there looks"
_MARKS = ". , ; : ! ? \" '' `` 's ( )"
JOINS = _PREPOSITIONS | frozenset(f"{_JOINING} {_MARKS}".split())
_BEGINNING = "a an the his her their its some this these several many two three four five one another"
DETERMINERS = frozenset(_BEGINNING.split())
_BEFORE_DETERMINERS = DETERMINERS | {"of", "and", "all", "both"}  # "all the dogs", "one of the dogs"
_RARE = 5  # occurrences; fewer are no evidence


@dataclass(frozen=True)
class PhraseChunker:
    """Cuts captions into noun phrases.

    Attributes:
        joins: words between phrases, such as prepositions and verbs.
        nouns: words of which every phrase holds one.
        known: words of the captions that it was learned from; others may be nouns.
    """

    joins: Collection[str]
    nouns: Collection[str]
    known: Collection[str]

    def spans(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Return (first, after the last) of each noun phrase of a caption's words, in their order."""
        words = [word.lower() for word in words]
        found: list[tuple[int, int]] = []
        start = 0
        for place in range(len(words) + 1):
            if place < len(words) and not self._is_between(words, place, start):
                if self._is_beginning(words, place):
                    found += self._phrase(words, start, place)
                    start = place
                continue
            found += self._phrase(words, start, place)
            start = place + 1
        return found

    def _is_between(self, words: Sequence[str], place: int, start: int) -> bool:
        """Say whether a word stands between phrases, when the current one starts at `start`."""
        word = words[place]
        before = words[place - 1] if place > start else ""
        following = words[place + 1] if place + 1 < len(words) else ""
        if word in self.joins:
            return True
        if word == "of":
            is_apart = not before or words[place - 2 : place] == ["in", "front"]
            return is_apart or not following or following in self.joins
        if word == "and":
            return not before or before in self.nouns or not following or following in DETERMINERS
        return word.endswith("ing") and before in self.nouns

    @staticmethod
    def _is_beginning(words: Sequence[str], place: int) -> bool:
        """Say whether a word begins a phrase, though none of the joins stands before it: "throws a dog the ball"."""
        return words[place] in DETERMINERS and place > 0 and words[place - 1] not in _BEFORE_DETERMINERS

    def _phrase(self, words: Sequence[str], start: int, stop: int) -> list[tuple[int, int]]:
        """Return the span of a phrase without the words that lead to another; none where no noun is left."""
        while stop > start and words[stop - 1] in _BEFORE_DETERMINERS:
            stop -= 1
        if words[start:stop] == ["front"]:  # of "in front of"
            return []
        for word in words[start:stop]:
            if word in self.nouns or word not in self.known:
                return [(start, stop)]
        return []


def learn_chunker(captions: Iterable[Sequence[str]]) -> PhraseChunker:
    """Learn which words join noun phrases and which are nouns.

    A noun often ends a phrase, and often follows a determiner, a preposition or an adjective. An adjective follows
    determiners and does not end phrases. A word that hardly ever follows a determiner but often follows a noun is no
    part of a phrase.

    Args:
        captions: of the training images, as words.
    """
    sentences = [list(words) for words in captions if words]
    count = Counter(word for words in sentences for word in words)
    determined = _count_after(sentences, DETERMINERS)
    last = _count_before(sentences, JOINS | {"of", "and", ""})
    nouns = {word for word, n in count.items() if determined[word] >= 0.2 * n and last[word] >= 0.25 * n} - DETERMINERS
    after_noun = _count_after(sentences, nouns)
    joins = set(JOINS)
    for word, n in count.items():
        is_joining = determined[word] < 0.04 * n and after_noun[word] >= 0.4 * n
        if n >= _RARE and is_joining and word not in DETERMINERS | {"of", "and"}:
            joins.add(word)
    last = _count_before(sentences, joins | {"of", ""})
    adjectives = {word for word, n in count.items() if determined[word] >= 0.15 * n and last[word] < 0.25 * n}
    led = _count_after(sentences, DETERMINERS | _PREPOSITIONS | {"of", "and", "wearing", "holding"} | adjectives)
    nouns = set()
    for word, n in count.items():
        if last[word] >= 0.25 * n and (n < _RARE or led[word] >= 0.1 * n):
            is_verb = determined[word] < 0.15 * n and (after_noun[word] >= 0.4 * n or word.endswith("ing"))
            if not is_verb:
                nouns.add(word)
    return PhraseChunker(frozenset(joins), frozenset(nouns - joins - DETERMINERS), frozenset(count))


def _count_after(sentences: Iterable[Sequence[str]], places: Collection[str]) -> Counter[str]:
    """Count for each word how often it follows one of these words."""
    count = Counter[str]()
    for words in sentences:
        for before, word in zip(words, words[1:], strict=False):
            count[word] += before in places
    return count


def _count_before(sentences: Iterable[Sequence[str]], places: Collection[str]) -> Counter[str]:
    """Count for each word how often one of these words follows it; "" is the end of the sentence."""
    count = Counter[str]()
    for words in sentences:
        for word, following in zip(words, [*words[1:], ""], strict=True):
            count[word] += following in places
    return count


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
