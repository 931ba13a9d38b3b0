"""What all pages of results share: the frame of the document, cards of numbers, and where the numbers come from."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vislang.draw.html.style import STYLE


def whole_page(
    title: str,
    tags: Sequence[str],
    sections: Sequence[str],
    *,
    style: str = "",
    script: str = "",
    command: str = "eval.run",
) -> str:
    """Write a page that needs no other file.

    Args:
        title: plain text.
        tags: short facts under the title, plain text; empty ones are left out.
        sections: HTML.
        style: CSS of this page alone.
        script: JavaScript of this page.
        command: what wrote it.
    """
    words = "".join(f"<li>{escape(tag)}</li>" for tag in tags if tag)
    running = f"<script>{script}</script>\n" if script else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}{style}</style>\n</head>\n"
        f'<body>\n<header>\n<h1>{escape(title)}</h1>\n<ul class="tags">{words}</ul>\n</header>\n<main>\n'
        + "\n".join(sections)
        + f"\n</main>\n<footer>Written by <code>python -m {command}</code>. This page needs no network.</footer>\n"
        f"{running}</body>\n</html>\n"
    )


def number_card(
    words: str,
    value: float,
    interval: Sequence[float],
    seeds: Sequence[float],
    *,
    spread: str,
    unit: str = "",
    full: float = 100.0,
) -> str:
    """Write one number with its interval as a bar and its seeds as dots.

    Args:
        words: what the number is.
        value: mean over seeds.
        interval: both ends of the 95 % interval.
        seeds: the number of each seed.
        spread: how much the seeds differ, in words.
        unit: written behind the number.
        full: where the bar's rail ends, in the number's own unit.
    """
    low, high = interval
    left, right, *places = (min(100 * one / full, 100.0) for one in (low, high, *seeds))
    dots = "".join(f'<circle class="dot" cx="{place:.2f}%" cy="11" r="4"/>' for place in places)
    spoken = " percent" if unit else ""
    return (
        f'<div class="card number"><h3>{escape(words)}</h3><div class="value">{value:.1f}{unit}'
        f'<small>{spread}</small></div><svg role="img" aria-label="95 % interval {low:.1f} to {high:.1f}{spoken}">'
        '<line class="rail" x1="0" x2="100%" y1="11" y2="11"/>'
        f'<line class="span" x1="{left:.2f}%" x2="{right:.2f}%" y1="11" y2="11"/>{dots}</svg>'
        f'<div class="ends">{low:.1f} to {high:.1f}</div></div>'
    )


def spread_words(deviation: float | None) -> str:
    """Say how much seeds differ."""
    return f"± {deviation:.1f} over seeds" if deviation is not None else "one seed, spread unknown"


def table_card(label: str, heads: Sequence[str], rows: Sequence[str], *, first: str = "Method") -> str:
    """Write a table that scrolls by itself where it is too wide.

    Args:
        label: what it is, for those who do not see it.
        heads: of the columns behind the first; "Source" may be the last.
        rows: what `table_row` gave.
        first: head of the first column.
    """
    titles = "".join(
        f'<th scope="col"{_source_class(head == "Source")}>{escape(head)}</th>' for head in (first, *heads)
    )
    return (
        f'<div class="card table" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def table_row(head: str, numbers: Sequence[str], source: str | None = None, *, ours: bool = False) -> str:
    """Write a row of `table_card`; numbers may hold HTML, the other words are plain text."""
    cells = "".join(f"<td>{number}</td>" for number in numbers)
    end = f"<td{_source_class(True)}>{escape(source)}</td>" if source is not None else ""
    return f'<tr{" class=ours" * ours}><th scope="row">{escape(head)}</th>{cells}{end}</tr>'


def _source_class(last: bool) -> str:
    return ' class="source"' if last else ""


def origin_section(shown: Mapping[str, Any]) -> str:
    """Write everything of a result that is no score, folded away."""
    scores = ("metrics", "deviation", "intervals", "diversity", "per_seed")
    origin = {name: value for name, value in shown.items() if name not in scores}
    words = escape(json.dumps(origin, indent=1, ensure_ascii=False))
    return (
        "<section><h2>Where the numbers come from</h2>"
        '<details class="card"><summary>Settings, fingerprints, commit and versions</summary>'
        f"<pre>{words}</pre></details></section>"
    )
