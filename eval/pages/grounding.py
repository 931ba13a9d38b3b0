"""The page of an aligner: phrases found in their images, and sentences cut into parts with a region each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from eval.metrics.grounding import MEASURES
from eval.tables.grounding import baseline_rows
from vislang.draw.html.elements import (
    Row,
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

_HEADS = ("pointing", "R@1", "R@5", "R@10", "bound")


@dataclass(frozen=True)
class GroundedSentence:
    """A sentence over its image.

    Attributes:
        drawing: the image with the region of each part, as a data URI.
        parts: the sentence, cut; each part with whether its region is the whole image.
    """

    drawing: str
    parts: Sequence[tuple[str, bool]]


def grounding_page(
    results: Sequence[Mapping[str, Any]], sentences: Sequence[GroundedSentence], *, title: str, tags: Sequence[str]
) -> Page:
    """Return the page of one data set and split.

    Args:
        results: what `build_grounding` gave, best last; none where no boxes are known.
        sentences: to show, picked without regard to how well they went.
        title: plain text.
        tags: short facts, plain text.
    """
    sections = []
    if results:
        sections += [_numbers(results[-1]), _table(results)]
    sections.append(_sentences(sentences))
    if results:
        sections.append(origin_section(results[-1]))
    return Page(title, tags, sections)


def _numbers(shown: Mapping[str, Any]) -> str:
    low, high = shown["ahead"]["interval"]
    baseline = shown["ahead"]["of"]
    best = shown["baselines"][baseline]["all"]["pointing"]
    pointing = shown["metrics"]["all"]["pointing"]
    spread = spread_words(shown["deviation"]["pointing"])
    card = number_card("Pointing", pointing, (best + low, best + high), [pointing], spread=spread, unit=" %")
    text = (
        f"The best method that reads no words, {baseline}, reaches {best:.1f} %. The bar is that and the 95 % interval,"
        " over images, of how far the model is ahead of it."
    )
    return main_numbers([card], text)


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    kinds = [kind for kind in results[-1]["metrics"] if kind != "all"]
    rows = []
    for method, metrics in baseline_rows(results):
        is_point = method.startswith("centre")
        rows.append(Row(method, _cells(metrics, kinds, is_point=is_point)))
    for result in results:
        rows.append(Row(result["name"], _cells(result["metrics"], kinds), ours=True))
    heads = [*_HEADS, *(f"pointing: {kind}" for kind in kinds)]
    text = (
        "Percent. Pointing: the centre of the best region lies in a true box. R@K: one of the best K regions overlaps a"
        " true box by half. The bound is what the proposals allow."
    )
    return section("Phrases in their images", table("Results table", heads, rows), text=text)


def _cells(metrics: Mapping[str, Any], kinds: Sequence[str], *, is_point: bool = False) -> list[str]:
    """Return the cells of a method; one that gives a point instead of regions has no recall."""
    cells = []
    for measure in MEASURES[: len(_HEADS)]:
        has_value = measure == "pointing" or not is_point
        cells.append(f"{metrics['all'][measure]:.1f}" if has_value else "–")
    for kind in kinds:
        cells.append(f"{metrics[kind]['pointing']:.1f}" if kind in metrics else "–")
    return cells


def _sentences(sentences: Sequence[GroundedSentence]) -> str:
    text = (
        "Picked at random. Each sentence is cut into parts, and each part lies on its region; parts in brackets are"
        " about the whole image."
    )
    return section("Sentences and their regions", cards([_card(sentence) for sentence in sentences]), text=text)


def _card(sentence: GroundedSentence) -> str:
    words = " · ".join(f"({text})" if is_whole else text for text, is_whole in sentence.parts)
    plain = " ".join(text for text, _ in sentence.parts)
    return picture_card(picture(sentence.drawing, plain, plain), f'<p class="caption">{escape(words)}</p>')
