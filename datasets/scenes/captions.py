"""The captions of a drawn scene: five different sentences, with the words that name objects marked.

Every sentence is lower-case words and single spaces, so that every tokenizer gives the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets.scenes.shapes import SceneObject

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
_ROWS = ("top", "", "bottom")
_COLUMNS = ("left", "", "right")


@dataclass
class Sentence:
    """A sentence that is being written."""

    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)  # first, after the last; objects named

    def say(self, text: str) -> "Sentence":
        """Add words."""
        self.words.extend(text.split())
        return self

    def name(self, text: str, *things: int) -> "Sentence":
        """Add words that name objects."""
        start = len(self.words)
        self.say(text)
        self.spans.append((start, len(self.words), things))
        return self


class Writer:
    """Writes sentences about the objects and the place, a key of `PLACES`, of a scene of `side` pixels."""

    def __init__(self, things: Sequence[SceneObject], place: str, side: int, random: np.random.Generator):
        self.things = things
        self.side = side
        self.random = random
        self._places = PLACES[place]

    def sentences(self) -> list[Sentence]:
        """Return five sentences, in random order; the last kinds leave something out."""
        kinds = (self._related, self._place_first, self._listed, self._acting, self._partial)
        if len(self.things) == 1:
            kinds = (self._located, self._single_place_first, self._alone, self._acting, self._located_only)
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
        """Leave out the place, a colour, or the third object."""
        first, second, *rest = self._order()
        omissions = ["place", "colour", "place"]
        if rest:
            omissions[-1] = "rest"
        omit = self.random.choice(omissions)
        text = self._noun(Sentence(), first).say(self._relation(first, second))
        text = self._noun(text, second, coloured=omit != "colour")
        if omit != "rest":
            text = self._and_rest(text, rest)
        if omit != "place":
            text = text.say(self._place())
        return text

    def _located(self) -> Sentence:
        return self._noun(Sentence(), 0).say(self._location()).say(self._place())

    def _single_place_first(self) -> Sentence:
        return self._noun(Sentence().say(self._place()).say("there is"), 0).say(self._location())

    def _alone(self) -> Sentence:
        return self._noun(Sentence().say("nothing but"), 0).say(self._place())

    def _located_only(self) -> Sentence:
        return self._noun(Sentence().say(self._one_of("a picture of", "just", "")), 0).say(self._location())

    def _noun(self, text: Sentence, index: int, *, coloured: bool = True) -> Sentence:
        """Add a noun phrase such as "a big red ball"."""
        thing = self.things[index]
        words = []
        if SIZES[thing.size] and self.random.random() < 0.5:
            words.append(self._one_of(*SIZES[thing.size]))
        noun = self._one_of(*NAMES[thing.name])
        if not coloured:
            words.append(noun)
        elif self.random.random() < 0.06:
            words.append(f"{noun} that is {thing.colour}")
        else:
            words.append(f"{thing.colour} {noun}")
        article = "a"
        if words[0][0] in "aeiou":
            article = "an"
        return text.name(" ".join([article, *words]), index)

    def _and_rest(self, text: Sentence, rest: Sequence[int]) -> Sentence:
        for thing in rest:
            text = self._noun(text.say(self._one_of("with", "and", "and also")), thing)
        return text

    def _relation(self, first: int, second: int) -> str:
        """Return where `first` is relative to `second`, in words."""
        if self.random.random() < 0.15:
            return self._one_of(*_BESIDE)
        x0, y0 = self.things[first].centre
        x1, y1 = self.things[second].centre
        side = (0, int(np.sign(y0 - y1)))
        if abs(x0 - x1) > abs(y0 - y1):
            side = (int(np.sign(x0 - x1)), 0)
        return self._one_of(*_SIDES[side])

    def _location(self) -> str:
        """Return which ninth of the image the first object is in, in words."""
        x, y = self.things[0].centre
        row = _ROWS[min(2, int(3 * y / self.side))]
        column = _COLUMNS[min(2, int(3 * x / self.side))]
        if not row and not column:
            return "in the middle"
        return f"at the {row} {column}"

    def _place(self) -> str:
        return self._one_of(*self._places)

    def _order(self) -> list[int]:
        return self.random.permutation(len(self.things)).tolist()

    def _one_of(self, *texts: str) -> str:
        return texts[int(self.random.integers(len(texts)))]
