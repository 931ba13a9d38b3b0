"""Noun phrases of captions: the rules that cut, the words that are learned, and determiners."""

import pytest

from captioner.alignment.noun_phrases import JOINS, PhraseChunker, learn_chunker, with_determiners
from captioner.alignment.segments import Segment

_NOUNS = "dog man woman ball group people shirt front bus side road mouth pool"
_OTHERS = "black white red standing swimming high of and the a two its all one"
CHUNKER = PhraseChunker(JOINS | {"throws", "wearing"}, _NOUNS.split(), _OTHERS.split())


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a man throws a dog the red ball", ["a man", "a dog", "the red ball"]),
        ("a black and white dog", ["a black and white dog"]),
        ("a man and woman", ["a man", "woman"]),
        ("the man and the dog", ["the man", "the dog"]),
        ("a group of people on the side of the road", ["a group of people", "the side of the road"]),
        ("a dog in front of a bus", ["a dog", "a bus"]),
        ("the front of the bus", ["the front of the bus"]),
        ("a man standing near a swimming pool", ["a man", "a swimming pool"]),
        ("a ball in its mouth", ["a ball", "its mouth"]),
        ("all of the people", ["all of the people"]),
        ("one of the", []),
        ("standing high and black", []),
        ("a zebra", ["a zebra"]),  # an unknown word may be a noun
        ("A Dog , wearing a shirt .", ["A Dog", "a shirt"]),
        ("of and the", []),
        ("", []),
    ],
)
def test_captions_are_cut_into_noun_phrases(caption, phrases):
    words = caption.split()
    assert [" ".join(words[slice(*span)]) for span in CHUNKER.spans(words)] == phrases


def test_joins_and_nouns_are_learned_from_captions():
    people, things = ["man", "girl", "dog"], ["ball", "hat", "stick"]
    captions = [
        f"a {colour} {one} {verb} the {other} {thing}"
        for one in people
        for thing in things
        for verb in ("holds", "dropping")
        for colour, other in (("tall", "red"), ("red", "tall"))
    ]
    captions += 2 * [f"the {thing} and a {one}" for one in people for thing in things]
    found = learn_chunker(caption.split() for caption in ["", *captions])
    assert found.joins - JOINS == {"holds", "dropping"}
    assert found.nouns == {*people, *things}
    assert found.known == {word for caption in captions for word in caption.split()}
    assert found.spans(["a", "tall", "man", "holds", "the", "hat"]) == [(0, 3), (4, 6)]


def test_a_determiner_goes_with_the_word_after_it():
    words = ["a", "dog", "on", "the", "red", "sofa"]
    moved = with_determiners(words, [Segment((0, 1), 3, 1.0), Segment((1, 4), 2, 1.0), Segment((4, 6), 1, 1.0)])
    assert [(one.words, one.region) for one in moved] == [((0, 3), 2), ((3, 6), 1)]
