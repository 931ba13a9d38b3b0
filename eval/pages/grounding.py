"""The page of an aligner: phrases found in their images, and sentences cut into parts with a region each."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from eval.results.kinds import ALL, GroundingResult
from eval.tables.phrases import GROUNDING_HEADS, grounding_rows, kind_heads
from vislang.draw.html.elements import (
    cards,
    main_numbers,
    number_card,
    origin_section,
    picture,
    picture_card,
    section,
    spread_words,
    table,
)
from vislang.draw.html.page import Page


@dataclass(frozen=True)
class GroundedSentence:
    """A sentence: its image with the region of each part, as a data URI, and (part, is the whole image) in order."""

    drawing: str
    parts: Sequence[tuple[str, bool]]


def grounding_page(
    results: Sequence[GroundingResult], sentences: Sequence[GroundedSentence], *, title: str, tags: Sequence[str]
) -> Page:
    """Return the page of one data set and split; title and tags are plain text.

    `results` has the best last, and is empty where no boxes are known; `sentences` were picked at random.
    """
    sections = []
    if results:
        sections += [_numbers(results[-1]), _table(results)]
    sections.append(_sentences(sentences))
    if results:
        sections.append(origin_section(results[-1].to_json()))
    return Page(title, tags, sections)


def _numbers(shown: GroundingResult) -> str:
    low, high = shown.gain.interval
    best = shown.baselines[shown.gain.over][ALL]["pointing"]
    pointing = shown.metrics["pointing"]
    spread = spread_words(shown.std.get("pointing"))
    card = number_card("Pointing", pointing, (best + low, best + high), [pointing], spread=spread, unit=" %")
    text = (
        f"The best method that reads no words, {shown.gain.over}, reaches {best:.1f} %. The bar is that and the 95 %"
        " interval, over images, of how far the model is ahead of it."
    )
    return main_numbers([card], text)


def _table(results: Sequence[GroundingResult]) -> str:
    heads = [*GROUNDING_HEADS, *kind_heads(results[-1])]
    text = (
        "Per cent. Pointing: the centre of the best region lies in an annotated box. R@K: one of the best K regions"
        " overlaps an annotated box by half. Bound: the best possible ranking of the proposals."
    )
    return section("Phrases in their images", table("Results table", heads, grounding_rows(results)), text=text)


def _sentences(sentences: Sequence[GroundedSentence]) -> str:
    text = (
        "Picked at random. Each sentence is cut into parts, and each part lies on its region; parts in brackets are"
        " about the whole image."
    )
    return section("Sentences and their regions", cards(list(map(_card, sentences))), text=text)


def _card(sentence: GroundedSentence) -> str:
    texts = []
    shown = []
    for text, is_whole in sentence.parts:
        texts.append(text)
        shown.append(f"({text})" if is_whole else text)
    plain = " ".join(texts)
    words = " · ".join(shown)
    return picture_card(picture(sentence.drawing, plain, plain), f'<p class="caption">{escape(words)}</p>')
