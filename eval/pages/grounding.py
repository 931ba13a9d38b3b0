"""One self-contained page of an aligner: phrases found in their pictures, and sentences cut into parts with a place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from eval.metrics.grounding import MEASURES
from eval.tables.grounding import baseline_rows
from vislang.draw.html.page import number_card, origin_section, spread_words, table_card, table_row, whole_page

_HEADS = ("pointing", "R@1", "R@5", "R@10", "bound")


@dataclass(frozen=True)
class PlacedSentence:
    """A sentence over its picture.

    Attributes:
        drawing: the picture with the place of each part, as a data URI.
        parts: the sentence, cut; each with whether its place is the whole picture.
    """

    drawing: str
    parts: Sequence[tuple[str, bool]]


def render_grounding_page(
    results: Sequence[Mapping[str, Any]], placed: Sequence[PlacedSentence], *, title: str, tags: Sequence[str]
) -> str:
    """Write the page of one data set and split as HTML that needs no other file.

    Args:
        results: what `build_grounding` gave, best last; none where no boxes are known.
        placed: sentences to show, picked without a look at how well they went.
        title: plain text.
        tags: short facts, plain text.
    """
    parts = [_cards(results[-1]), _table(results)] if results else []
    parts.append(_sentences(placed))
    if results:
        parts.append(origin_section(results[-1]))
    return whole_page(title, tags, parts)


def _cards(shown: Mapping[str, Any]) -> str:
    low, high = shown["ahead"]["interval"]
    best = shown["baselines"][shown["ahead"]["of"]]["all"]["pointing"]
    card = number_card(
        "Pointing",
        shown["metrics"]["all"]["pointing"],
        (best + low, best + high),
        [shown["metrics"]["all"]["pointing"]],
        spread=spread_words(shown["deviation"]["pointing"]),
        unit=" %",
    )
    return (
        f'<section aria-label="Main numbers"><div class="numbers">{card}</div><p class="note" style="margin-top:10px">'
        f"The best method that never reads, {escape(shown['ahead']['of'])}, reaches {best:.1f} %. The bar is that and"
        " the 95 % interval, over pictures, of how far the model is ahead of it.</p></section>"
    )


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    kinds = [kind for kind in results[-1]["metrics"] if kind != "all"]
    rows = [
        table_row(method, _numbers(metrics, kinds, recalls=not method.startswith("centre")))
        for method, metrics in baseline_rows(results)
    ]
    rows += [table_row(result["name"], _numbers(result["metrics"], kinds), ours=True) for result in results]
    heads = [*_HEADS, *(f"pointing: {kind}" for kind in kinds)]
    return (
        '<section><h2>Phrases in their pictures</h2><p class="soft">Percent. Pointing: the middle of the best region'
        " lies in a true box. R@K: one of the best K regions overlaps a true box by half. The bound is what the"
        f" proposals allow.</p>{table_card('Results table', heads, rows)}</section>"
    )


def _numbers(metrics: Mapping[str, Any], kinds: Sequence[str], *, recalls: bool = True) -> list[str]:
    row = metrics["all"]
    shown = [f"{row[name]:.1f}" if recalls or name == "pointing" else "–" for name in MEASURES[: len(_HEADS)]]
    return shown + [f"{metrics[kind]['pointing']:.1f}" if kind in metrics else "–" for kind in kinds]


def _sentences(placed: Sequence[PlacedSentence]) -> str:
    return (
        "<section><h2>Sentences and their places</h2><p class='soft'>Picked at random. Each sentence is cut into parts,"
        " and each part lies on the region that it is about; parts in brackets are about the whole picture.</p>"
        f"<div class='finds'>{''.join(map(_card, placed))}</div></section>"
    )


def _card(one: PlacedSentence) -> str:
    words = " · ".join(f"({escape(text)})" if whole else escape(text) for text, whole in one.parts)
    plain = escape(" ".join(text for text, _ in one.parts))
    return (
        f'<article class="card find"><img src="{one.drawing}" alt="{plain}" loading="lazy">'
        f'<div class="body"><p class="said">{words}</p></div></article>'
    )
