"""The sentences of a drawn scene: five different ones, each with the words that name a thing marked.

Every sentence is lower-case words and single spaces, so that any tokenizer cuts it at the same places.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

NAMES = {
    "ball": ("ball", "ball", "sphere"),
    "box": ("box", "box", "crate"),
    "star": ("star",),
    "heart": ("heart",),
    "house": ("house", "house", "cottage"),
    "tree": ("tree",),
    "car": ("car", "car", "automobile"),
    "boat": ("boat", "boat", "sailboat"),
    "fish": ("fish",),
    "bird": ("bird",),
    "flower": ("flower", "flower", "blossom"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "umbrella": ("umbrella", "umbrella", "parasol"),
    "balloon": ("balloon",),
}

VERBS = {
    "ball": ("lies", "rests"),
    "box": ("lies", "stands"),
    "star": ("shines", "hangs"),
    "heart": ("floats", "hangs"),
    "house": ("stands", "is built"),
    "tree": ("stands", "grows"),
    "car": ("is parked", "stands"),
    "boat": ("sails", "floats"),
    "fish": ("swims", "floats"),
    "bird": ("sits", "rests"),
    "flower": ("grows", "blooms"),
    "mushroom": ("grows", "stands"),
    "umbrella": ("stands", "is open"),
    "balloon": ("floats", "hangs"),
}

PLACES = {
    "meadow": ("on the grass", "in a meadow", "in a field"),
    "night": ("at night", "in the dark", "under the stars at night"),
    "beach": ("on the beach", "on the sand", "on a sandy beach"),
    "snow": ("in the snow", "on a snowy day", "in falling snow"),
    "sunset": ("at sunset", "in the evening", "under an evening sky"),
    "sea": ("under water", "in the sea", "deep in the ocean"),
    "boards": ("on a wooden floor", "on wooden boards", "on a table of wood"),
    "bricks": ("in front of a brick wall", "by a wall", "against a wall of bricks"),
}

SIZES = {"small": ("small", "little", "tiny"), "medium": (), "big": ("big", "large", "huge")}

_BESIDE = ("next to", "beside", "near")
_SIDES = {
    (-1, 0): ("to the left of", "left of"),
    (1, 0): ("to the right of", "right of"),
    (0, -1): ("above", "over"),
    (0, 1): ("below", "under"),
}
_ROWS, _COLUMNS = ("top", "", "bottom"), ("left", "", "right")


class Thing(Protocol):
    """What a sentence needs to know of an object."""

    @property
    def name(self) -> str:
        """Key of `NAMES`."""

    @property
    def colour(self) -> str:
        """As it is said."""

    @property
    def size(self) -> str:
        """Key of `SIZES`."""

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) in pixels."""


@dataclass
class Sentence:
    """A sentence in the making.

    Attributes:
        words: so far.
        spans: (first word, word after the last, numbers of the things named).
    """

    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    def say(self, text: str) -> "Sentence":
        """Add words."""
        self.words.extend(text.split())
        return self

    def name(self, text: str, *things: int) -> "Sentence":
        """Add words that name things."""
        start = len(self.words)
        self.say(text)
        self.spans.append((start, len(self.words), things))
        return self


class Writer:
    """Writes about one scene.

    Args:
        things: the objects, in the order in which they were placed.
        place: a key of `PLACES`.
        side: width of the image in pixels, the unit of the centres.
        random: chooses words.
    """

    def __init__(self, things: Sequence[Thing], place: str, side: int, random: np.random.Generator):
        self.things, self.side, self.random = things, side, random
        self._places = PLACES[place]

    def sentences(self) -> list[Sentence]:
        """Give five sentences, in random order; the last kinds leave something out."""
        several = (self._related, self._place_first, self._listed, self._acting, self._partial)
        single = (self._located, self._single_place_first, self._alone, self._acting, self._located_only)
        kinds = single if len(self.things) == 1 else several
        return [kinds[kind]() for kind in self.random.permutation(5)]

    def _related(self) -> Sentence:
        first, second, *rest = self._order()
        text = self._noun(Sentence(), first).say(self._relation(first, second))
        return self._and_rest(self._noun(text, second), rest).say(self._place())

    def _place_first(self) -> Sentence:
        first, second, *rest = self._order()
        text = self._noun(Sentence().say(self._place()).say(self._one_of("there is", "we see")), first)
        text = self._noun(text.say(self._relation(first, second)), second)
        return self._and_rest(text, rest)

    def _listed(self) -> Sentence:
        first, *rest = self._order()
        text = self._noun(Sentence().say(self._one_of("there is", "a picture of", "")), first)
        for thing in rest:
            text = self._noun(text.say("and"), thing)
        return text.say(self._place())

    def _acting(self) -> Sentence:
        first, *rest = self._order()
        text = self._noun(Sentence(), first).say(self._one_of(*VERBS[self.things[first].name]))
        if rest:
            text = self._noun(text.say(self._relation(first, rest[0])), rest[0])
        return self._and_rest(text, rest[1:]).say(self._place())

    def _partial(self) -> Sentence:
        """Leave out the place, a colour, or the third thing."""
        first, second, *rest = self._order()
        omit = self.random.choice(["place", "colour", "rest" if rest else "place"])
        text = self._noun(Sentence(), first).say(self._relation(first, second))
        text = self._noun(text, second, coloured=omit != "colour")
        text = text if omit == "rest" else self._and_rest(text, rest)
        return text if omit == "place" else text.say(self._place())

    def _located(self) -> Sentence:
        return self._noun(Sentence(), 0).say(self._location()).say(self._place())

    def _single_place_first(self) -> Sentence:
        return self._noun(Sentence().say(self._place()).say("there is"), 0).say(self._location())

    def _alone(self) -> Sentence:
        return self._noun(Sentence().say("nothing but"), 0).say(self._place())

    def _located_only(self) -> Sentence:
        return self._noun(Sentence().say(self._one_of("a picture of", "just", "")), 0).say(self._location())

    def _noun(self, text: Sentence, number: int, *, coloured: bool = True) -> Sentence:
        thing = self.things[number]
        sizes = SIZES[thing.size]
        size = self._one_of(*sizes) if sizes and self.random.random() < 0.5 else ""
        noun = self._one_of(*NAMES[thing.name])
        if coloured and self.random.random() < 0.06:
            words = f"{size} {noun} that is {thing.colour}"
        else:
            words = f"{size} {thing.colour if coloured else ''} {noun}"
        return text.name(f"{'an' if words.split()[0][0] in 'aeiou' else 'a'} {words}", number)

    def _and_rest(self, text: Sentence, rest: Sequence[int]) -> Sentence:
        for thing in rest:
            text = self._noun(text.say(self._one_of("with", "and", "and also")), thing)
        return text

    def _relation(self, first: int, second: int) -> str:
        """Say where `first` is, seen from `second`."""
        if self.random.random() < 0.15:
            return self._one_of(*_BESIDE)
        (x0, y0), (x1, y1) = self.things[first].centre, self.things[second].centre
        across = abs(x0 - x1) > abs(y0 - y1)
        return self._one_of(*_SIDES[(int(np.sign(x0 - x1)), 0) if across else (0, int(np.sign(y0 - y1)))])

    def _location(self) -> str:
        x, y = self.things[0].centre
        names = [_ROWS[min(2, int(3 * y / self.side))], _COLUMNS[min(2, int(3 * x / self.side))]]
        where = " ".join(name for name in names if name)
        return f"at the {where}" if where else "in the middle"

    def _place(self) -> str:
        return self._one_of(*self._places)

    def _order(self) -> list[int]:
        return [int(number) for number in self.random.permutation(len(self.things))]

    def _one_of(self, *texts: str) -> str:
        return texts[int(self.random.integers(len(texts)))]
