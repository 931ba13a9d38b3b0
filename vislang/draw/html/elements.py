"""Elements that pages share: sections, cards with pictures, cards with numbers, tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


def section(title: str, *parts: str, text: str = "", command: str = "") -> str:
    """Return a section; title, text and the command that makes it alone are plain text, `parts` are HTML."""
    html = f"<h2>{escape(title)}</h2>"
    if text:
        html += f'<p class="soft">{escape(text)}</p>'
    html += "".join(parts)
    if command:
        html += f'<code class="card command">{escape(command)}</code>'
    return f"<section>{html}</section>"


def note(text: str) -> str:
    """Return a paragraph in small print; `text` is plain."""
    return f'<p class="note">{escape(text)}</p>'


def picture(uri: str | None, alt: str, name: str) -> str:
    """Return an image (a data URI) with an alternative text, or its name on a placeholder where `uri` is None."""
    if uri is None:
        name = escape(name)
        return f'<div class="missing" role="img" aria-label="no picture at hand: {name}">{name}</div>'
    return f'<img src="{uri}" alt="{escape(alt)}" loading="lazy">'


def large_picture(uri: str | None, alt: str, name: str) -> str:
    """Return a `picture` that opens large; the page needs LARGE_VIEW_STYLE and LARGE_VIEW_SCRIPT."""
    shown = picture(uri, alt, name)
    if uri is None:
        return shown
    return f'<button type="button" class="open" aria-label="open large: {escape(alt)}">{shown}</button>'


def figure_card(name: str, pictures: Sequence[tuple[str, str]]) -> str:
    """Return a card with images in a row: (words under it, plain text; data URI) of each."""
    figures = ""
    for words, uri in pictures:
        shown = large_picture(uri, f"{name}: {words}", words)
        figures += f"<figure>{shown}<figcaption>{escape(words)}</figcaption></figure>"
    return f'<article class="card figure-card"><h3>{escape(name)}</h3><div class="figures">{figures}</div></article>'


def picture_card(shown: str, *body: str, text: str | None = None) -> str:
    """Return a card with an image above its body, HTML; `text` is what a search field searches, plain text."""
    searched = ""
    if text is not None:
        searched = f' data-text="{escape(text)}"'
    return f'<article class="card picture-card"{searched}>{shown}<div class="body">{"".join(body)}</div></article>'


def cards(parts: Sequence[str]) -> str:
    """Return cards side by side, as many in a row as there is room for."""
    return f'<div class="cards">{"".join(parts)}</div>'


def main_numbers(parts: Sequence[str], text: str) -> str:
    """Return the section of number cards that leads a page, and a plain text on how to read them."""
    return f'<section aria-label="Main numbers"><div class="numbers">{"".join(parts)}</div>{note(text)}</section>'


def number_card(
    title: str,
    value: float,
    interval: Sequence[float],
    seeds: Sequence[float],
    *,
    spread: str,
    unit: str = "",
    full: float = 100.0,
) -> str:
    """Return one number with its interval as a bar and its seeds as dots.

    Args:
        title: what the number is.
        value: mean over seeds.
        interval: both ends of the 95 % interval.
        seeds: the number of each seed.
        spread: how much the seeds differ, in words.
        unit: after the number.
        full: the end of the bar, in the number's own unit.
    """
    low, high = interval
    left = _percent(low, full)
    right = _percent(high, full)
    dots = "".join(f'<circle class="dot" cx="{_percent(seed, full):.2f}%" cy="11" r="4"/>' for seed in seeds)
    spoken = ""
    if unit:
        spoken = " percent"
    return (
        f'<div class="card number"><h3>{escape(title)}</h3><div class="value">{value:.1f}{unit}'
        f'<small>{spread}</small></div><svg role="img" aria-label="95 % interval {low:.1f} to {high:.1f}{spoken}">'
        '<line class="rail" x1="0" x2="100%" y1="11" y2="11"/>'
        f'<line class="span" x1="{left:.2f}%" x2="{right:.2f}%" y1="11" y2="11"/>{dots}</svg>'
        f'<div class="ends">{low:.1f} to {high:.1f}</div></div>'
    )


def _percent(value: float, full: float) -> float:
    return min(100 * value / full, 100.0)


def spread_words(deviation: float | None) -> str:
    """Return how much seeds differ, in words."""
    if deviation is None:
        return "one seed, spread unknown"
    return f"± {deviation:.1f} over seeds"


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    head: str  # plain text
    cells: Sequence[str]  # HTML
    source: str | None = None  # where published numbers come from, plain text; None: the table has no such column
    ours: bool = False  # whether the row is marked as one of our own


def table(
    label: str,
    heads: Sequence[str],
    rows: Sequence[Row],
    *,
    first: str = "Method",
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        label: for screen readers.
        heads: of the columns after the first; a last one "Source" is that of `Row.source`.
        rows: from top to bottom.
        first: head of the first column.
        groups: (title, number of columns) of columns that belong together, from the second column on.
    """
    starts = set()
    column = 0
    above = ""
    for title, width in groups:
        starts.add(column)
        column += width
        above += f'<th class="group group-start" colspan="{width}" scope="colgroup">{escape(title)}</th>'
    if groups:
        above = f"<tr><td></td>{above}{'<td></td>' * (len(heads) - column)}</tr>"
    titles = ""
    for index, head in enumerate(heads):
        titles += _cell("th", escape(head), index in starts, head == "Source")
    body = "".join(_table_row(row, starts) for row in rows)
    return (
        f'<div class="card table" tabindex="0" role="region" aria-label="{escape(label)}"><table><thead>{above}'
        f'<tr><th scope="col">{escape(first)}</th>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _table_row(row: Row, starts: set[int]) -> str:
    shown = ""
    for index, text in enumerate(row.cells):
        shown += _cell("td", text, index in starts)
    if row.source is not None:
        shown += _cell("td", escape(row.source), is_source=True)
    kind = ""
    if row.ours:
        kind = ' class="ours"'
    return f'<tr{kind}><th scope="row">{escape(row.head)}</th>{shown}</tr>'


def _cell(tag: str, shown: str, starts_group: bool = False, is_source: bool = False) -> str:
    kind = ""
    if starts_group:
        kind = ' class="group-start"'
    elif is_source:
        kind = ' class="source"'
    scope = ""
    if tag == "th":
        scope = ' scope="col"'
    return f"<{tag}{scope}{kind}>{shown}</{tag}>"


def origin_section(result: Mapping[str, Any]) -> str:
    """Return everything of a result that is no score, as JSON, folded away."""
    scores = ("metrics", "std", "intervals", "diversity", "per_seed")
    origin = {name: value for name, value in result.items() if name not in scores}
    text = escape(json.dumps(origin, indent=1, ensure_ascii=False))
    return section(
        "Where the numbers come from",
        '<details class="card"><summary>Settings, fingerprints, commit and versions</summary>',
        f"<pre>{text}</pre></details>",
    )
