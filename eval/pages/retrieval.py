"""One self-contained results page: numbers, published numbers beside ours, and what the model finds."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from eval.pages.retrieval_gallery import Collection, Gallery, gallery_sections
from eval.published.retrieval import Published, published_rows
from eval.tables.retrieval import COLUMNS, require_one_table, seeds_words, setting_words, value_words
from vislang.draw.html.page import number_card, origin_section, spread_words, whole_page

_CARDS = (
    ("i2t_r1", "Image → text, R@1"),
    ("i2t_r10", "Image → text, R@10"),
    ("t2i_r1", "Text → image, R@1"),
    ("t2i_r10", "Text → image, R@10"),
)


def render_page(
    results: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Any],
    *,
    gallery: Gallery | None = None,
    collection: Collection | None = None,
) -> str:
    """Write the page of one data set and split as HTML that needs no other file.

    Args:
        results: all results for the tables, what `build_result` gave.
        shown: the one of them whose numbers lead the page and whose finds are in the gallery.
        gallery: what the model found; None leaves these parts out.
        collection: what the gallery's rows stand for; needed with a gallery.

    Raises:
        EvalError: results of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    parts = [_cards(shown)]
    for setting in dict.fromkeys(result["setting"] for result in results):
        parts.append(_table(dataset, setting, [result for result in results if result["setting"] == setting]))
    parts.append(_seeds(shown))
    if gallery is not None and collection is not None:
        parts += gallery_sections(gallery, collection)
    parts.append(origin_section(shown))
    words = [
        shown["name"],
        f"{shown['num_images']:,} images",
        f"{shown['num_captions']:,} sentences",
        setting_words(shown["setting"]),
        seeds_words(len(shown["seeds"])),
        str(shown.get("date", "")),
    ]
    return whole_page(f"Image-sentence retrieval on {dataset}, {split}", words, parts)


def _cards(shown: Mapping[str, Any]) -> str:
    cards = "".join(_card(name, words, shown) for name, words in _CARDS)
    return (
        f'<section aria-label="Main numbers"><div class="numbers">{cards}</div>'
        '<p class="note" style="margin-top:10px">R@K is the share of questions whose right answer is among the first K.'
        " The bar is the 95 % interval over images; the dots are the seeds.</p></section>"
    )


def _card(name: str, words: str, shown: Mapping[str, Any]) -> str:
    seeds = [run["metrics"][name] for run in shown["per_seed"]]
    spread = spread_words(shown["deviation"][name])
    return number_card(words, shown["metrics"][name], shown["intervals"][name], seeds, spread=spread, unit=" %")


def _table(dataset: str, setting: str, ours: Sequence[Mapping[str, Any]]) -> str:
    rows = [_published_row(row) for row in published_rows(dataset, setting)] + [_our_row(result) for result in ours]
    heads = "".join(
        f'<th scope="col"{_start(name)}>{words}</th>'
        for name, words in zip(COLUMNS, ("R@1", "R@5", "R@10", "median") * 2, strict=True)
    )
    return (
        f'<section><h2>Beside published numbers</h2><p class="soft">{escape(setting_words(setting)).capitalize()}.'
        " Recall in percent, higher is better; median rank, lower is better.</p>"
        '<div class="card table" tabindex="0" role="region" aria-label="Results table"><table><thead><tr><td></td>'
        '<th class="way way-start" colspan="4" scope="colgroup">Image → text</th>'
        '<th class="way way-start" colspan="4" scope="colgroup">Text → image</th><td></td></tr>'
        f'<tr><th scope="col">Method</th>{heads}<th scope="col" class="source">Source</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note">† recalled, not verified against the source. ‡ the image network was trained further.</p>'
        "</section>"
    )


def _start(name: str) -> str:
    return ' class="way-start"' if name.endswith("_r1") else ""


def _published_row(row: Published) -> str:
    marks = " †" * row.recalled + " ‡" * (not row.frozen)
    values = zip(COLUMNS, (*row.i2t, *row.t2i), strict=True)
    cells = "".join(f"<td{_start(name)}>{value_words(name, value)}</td>" for name, value in values)
    source = f'<td class="source" title="{escape(row.source)}">{escape(row.source)}</td>'
    return f'<tr><th scope="row">{escape(row.method + marks)}</th>{cells}{source}</tr>'


def _our_row(result: Mapping[str, Any]) -> str:
    cells = "".join(f"<td{_start(name)}>{_our_value(name, result)}</td>" for name in COLUMNS)
    source = f'<td class="source">measured here, {seeds_words(len(result["seeds"]))}</td>'
    return f'<tr class="ours"><th scope="row">{escape(result["name"])}</th>{cells}{source}</tr>'


def _our_value(name: str, result: Mapping[str, Any]) -> str:
    deviation = result["deviation"][name]
    spread = f"<small>± {deviation:.1f}</small>" if deviation is not None else ""
    return value_words(name, result["metrics"][name]) + spread


def _seeds(shown: Mapping[str, Any]) -> str:
    names = (*COLUMNS, "rsum")
    heads = "".join(
        f'<th scope="col"{_start(name)}>{words}</th>'
        for name, words in zip(names, ("R@1", "R@5", "R@10", "median") * 2 + ("sum of R",), strict=True)
    )

    def row(head: str, value: Callable[[str], str], *, ours: bool = False) -> str:
        cells = "".join(f"<td{_start(name)}>{value(name)}</td>" for name in names)
        return f'<tr{" class=ours" * ours}><th scope="row">{escape(head)}</th>{cells}</tr>'

    rows = [
        row(f"seed {run['seed']}", lambda name, run=run: value_words(name, run["metrics"][name]))  # type: ignore[misc]
        for run in shown["per_seed"]
    ]
    rows.append(row("mean", lambda name: value_words(name, shown["metrics"][name]), ours=True))
    if len(shown["seeds"]) > 1:
        rows.append(row("standard deviation", lambda name: f"{shown['deviation'][name]:.2f}"))
    rows.append(
        row("95 % interval", lambda name: " – ".join(value_words(name, end) for end in shown["intervals"][name]))
    )
    return (
        '<section><h2>Seed by seed</h2><p class="soft">The same settings trained again from other random starts.'
        f" Interval: {escape(shown['interval_method'])}.</p>"
        '<div class="card table" tabindex="0" role="region" aria-label="Seed by seed"><table><thead><tr><td></td>'
        '<th class="way way-start" colspan="4" scope="colgroup">Image → text</th>'
        '<th class="way way-start" colspan="4" scope="colgroup">Text → image</th><td></td></tr>'
        f'<tr><th scope="col">Run</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )
