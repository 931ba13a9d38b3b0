"""One self-contained page of caption results: numbers, published numbers beside ours, and captions with pictures."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from eval.pages.captions import CaptionedImage, caption_sections
from eval.published.captions import published_captions
from eval.tables.captions import (
    BASELINE,
    COLUMNS,
    DIVERSITY,
    TITLES,
    diversity_words,
    footnotes,
    score_words,
    source_words,
)
from eval.tables.retrieval import require_one_table, seeds_words
from vislang.draw.html.page import number_card, origin_section, spread_words, table_card, table_row, whole_page

_FULL = {"cider": 120.0, "bleu4": 50.0, "meteor": 50.0, "rouge_l": 100.0}  # where the bars of the cards end


def render_caption_page(
    results: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Any],
    *,
    gallery: Mapping[str, Sequence[CaptionedImage]] | None = None,
) -> str:
    """Write the page of one data set and split as HTML that needs no other file.

    Args:
        results: all results for the tables, what `build_caption_result` gave.
        shown: the one of them whose numbers lead the page and whose captions are in the gallery.
        gallery: for each heading the images to show.

    Raises:
        EvalError: results of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    parts = [_cards(shown), _table(dataset, split, results), _variety(results)]
    parts += caption_sections(gallery or {})
    parts.append(origin_section(shown))
    seeds = "baseline" if shown["system"] == BASELINE else seeds_words(len(shown["seeds"]))
    tags = [shown["name"], f"{shown['num_images']:,} images", seeds, str(shown.get("date", ""))]
    return whole_page(f"Captions on {dataset}, {split}", tags, parts)


def _cards(shown: Mapping[str, Any]) -> str:
    cards = "".join(_card(name, shown) for name in _FULL if name in shown["metrics"])
    return (
        f'<section aria-label="Main numbers"><div class="numbers">{cards}</div>'
        '<p class="note" style="margin-top:10px">Scores times 100, higher is better.'
        " The bar is the 95 % interval over images; the dots are the seeds.</p></section>"
    )


def _card(name: str, shown: Mapping[str, Any]) -> str:
    seeds = [run["metrics"][name] for run in shown["per_seed"]]
    spread = "nothing is trained" if shown["system"] == BASELINE else spread_words(shown["deviation"][name])
    words = TITLES[COLUMNS.index(name)]
    return number_card(words, shown["metrics"][name], shown["intervals"][name], seeds, spread=spread, full=_FULL[name])


def _table(dataset: str, split: str, results: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for row in published_captions(dataset, split):
        numbers = [score_words(row.value(name)) for name in COLUMNS]
        rows.append(table_row(row.method + " ‡" * (not row.frozen), numbers, row.source))
    for result in results:
        numbers = [score_words(result["metrics"].get(name), result["deviation"].get(name)) for name in COLUMNS]
        rows.append(table_row(result["name"], numbers, source_words(result), ours=True))
    note = "".join(f'<p class="note">{escape(line)}</p>' for line in footnotes(dataset, split) if line)
    return (
        '<section><h2>Beside published numbers</h2><p class="soft">Baselines borrow a caption of the training images.'
        f"</p>{table_card('Results table', [*TITLES, 'Source'], rows)}{note}</section>"
    )


def _variety(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        table_row(result["name"], [diversity_words(name, result["diversity"].get(name)) for name in DIVERSITY])
        for result in results
    ]
    return (
        '<section><h2>What they say</h2><p class="soft">New captions are those that training never showed word for'
        f" word.</p>{table_card('Table of variety', list(DIVERSITY.values()), rows)}</section>"
    )
