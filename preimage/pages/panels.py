"""Pieces of pages: rows of pictures that open large, tables, matrices as heat maps, commands."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from vislang.core.errors import ConfigError

STYLE = """
:root { --tint: 36 87 214; }
@media (prefers-color-scheme: dark) { :root { --tint: 140 176 255; } }
main, header, footer { max-width: 1440px; }
.panels { display: grid; gap: 6px; padding: 14px; margin: 12px 0; overflow-x: auto; }
.panels { grid-template-columns: repeat(var(--columns), minmax(84px, 230px)); }
.panels .head { font-size: 0.8rem; font-weight: 600; color: var(--soft); align-self: end; overflow-wrap: anywhere; }
.panels .start { position: relative; }
.panels .start::before {
  content: ""; position: absolute; left: -4px; top: 0; bottom: 0; border-left: 2px solid var(--line);
}
.panels .cell { margin: 0; min-width: 0; }
.panels img { width: 100%; display: block; border-radius: 5px; }
.panels button { all: unset; cursor: zoom-in; display: block; width: 100%; }
.panels button:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; border-radius: 5px; }
.panels figcaption { font-size: 0.72rem; line-height: 1.3; color: var(--soft); overflow-wrap: anywhere; }
.cell .missing { aspect-ratio: 1; border-radius: 5px; }
dialog.large { border: 0; border-radius: 12px; padding: 12px; background: var(--card); color: var(--ink); }
dialog.large::backdrop { background: rgb(0 0 0 / 65%); }
dialog.large img { width: min(80vw, 80vh); display: block; image-rendering: auto; }
dialog.large p { margin: 8px 0 0; font-size: 0.875rem; }
table.heat td { text-align: center; padding: 5px 7px; font-size: 0.8rem; border: 1px solid var(--card); }
table.heat td { background: rgb(var(--tint) / calc(var(--p) * 0.75)); }
table.heat td.matched { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 700; }
table.heat thead th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 8px 4px; text-align: left; }
table.heat thead td { background: none; vertical-align: bottom; text-align: left; white-space: normal; }
table.heat { width: auto; }
code.command { display: block; padding: 9px 14px; margin: 8px 0 0; font-size: 0.8rem; }
code.command { white-space: pre-wrap; overflow-wrap: anywhere; }
"""

SCRIPT = """
const large = document.querySelector("dialog.large");
for (const one of document.querySelectorAll(".panels button")) one.addEventListener("click", () => {
  large.querySelector("img").src = one.querySelector("img").src;
  large.querySelector("img").alt = large.querySelector("p").textContent = one.querySelector("img").alt;
  large.showModal();
});
large.addEventListener("click", () => large.close());
"""

DIALOG = '<dialog class="large" aria-label="picture"><img src="data:," alt=""><p></p></dialog>'


def cell(picture: Any, name: str, words: str = "", *, start: bool = False) -> str:
    """Write one picture with words under it.

    Args:
        picture: float or uint8 [H, W, 3], RGB 0..255; None leaves a gap.
        name: what it is, said by a screen reader and shown beside the large picture.
        words: under it.
        start: draw a line to the left.
    """
    from PIL import Image

    from vislang.draw.html.thumbnails import data_uri

    if picture is None:
        shown = '<div class="missing">none</div>'
    else:
        image = Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        shown = f'<button type="button"><img src="{data_uri(image)}" alt="{escape(name)}" loading="lazy"></button>'
    said = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f'<figure class="cell{" start" * start}">{shown}{said}</figure>'


def head(words: str, *, start: bool = False) -> str:
    """Write the head of a column."""
    return f'<div class="head{" start" * start}">{escape(words)}</div>'


def panels(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows of cells under the heads of their columns, none or as many; what `cell` and `head` gave."""
    columns = max(map(len, [heads, *rows]))
    gap = '<div class="cell"></div>'
    cells = "".join("".join([*row, *[gap] * (columns - len(row))]) for row in ([heads] if heads else []) + list(rows))
    return f'<div class="card panels" style="--columns:{columns}" tabindex="0" role="group">{cells}</div>'


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, corner: str, matched: Sequence[tuple[str, str]]
) -> str:
    """Write a matrix of numbers 0..1 as a table whose cells are the darker the larger they are.

    Args:
        values: float [rows, columns]; NaN leaves a cell blank.
        rows: their names.
        columns: their names.
        corner: what rows and columns are.
        matched: (row, column) to draw a line around.
    """
    pairs = set(matched)
    titles = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_heat_cell(value, (name, other) in pairs) for other, value in zip(columns, row, strict=True))
        + "</tr>"
        for name, row in zip(rows, values, strict=True)
    )
    return (
        f'<div class="card table" tabindex="0" role="region" aria-label="{escape(corner)}">'
        f'<table class="heat"><thead><tr><td>{escape(corner)}</td>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _heat_cell(value: float, matched: bool) -> str:
    if not np.isfinite(value):
        return "<td>-</td>"
    return f'<td{" class=matched" * matched} style="--p:{min(max(value, 0), 1):.3f}">{value:.2f}</td>'


def section(title: str, text: str, *parts: str, command: str = "") -> str:
    """Write a section: a title and a text, both plain, parts as HTML, and the command that makes it alone."""
    told = f'<code class="card command">{escape(command)}</code>' if command else ""
    return f'<section><h2>{escape(title)}</h2><p class="soft">{escape(text)}</p>{"".join(parts)}{told}</section>'


def picture_page(title: str, tags: Sequence[str], sections: Sequence[str], command: str) -> str:
    """Write the page that holds sections; see `vislang.draw.html.page.whole_page`."""
    from vislang.draw.html.page import whole_page

    return whole_page(title, tags, [*sections, DIALOG], style=STYLE, script=SCRIPT, command=command)


def check_page(path: Any) -> None:
    """Refuse, before any work is done, a place where no page can be written."""
    from vislang.core.files import require_writable_folder

    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out got {path.name}, expected a name such as page.html")
    require_writable_folder(path.parent)
