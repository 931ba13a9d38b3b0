"""Elements of the pages of this package: rows of images that open large, and matrices as heat maps."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.errors import ConfigError
from vislang.core.files import require_writable_folder
from vislang.draw.html.elements import large_picture
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page
from vislang.draw.html.thumbnails import data_uri

PANELS_STYLE = """
.panels { display: grid; gap: 6px; padding: 14px; margin: 12px 0; overflow-x: auto; }
.panels { grid-template-columns: repeat(var(--columns), minmax(84px, 230px)); }
.panels .head { font-size: 0.8rem; font-weight: 600; color: var(--soft); align-self: end; }
.panels .start { position: relative; }
.panels .start::before {
  content: ""; position: absolute; left: -4px; top: 0; bottom: 0; border-left: 2px solid var(--line);
}
.panels .cell { margin: 0; min-width: 0; }
.panels img, .panels .open { border-radius: 5px; }
.panels figcaption { font-size: 0.72rem; line-height: 1.3; color: var(--soft); }
.cell .missing { aspect-ratio: 1; border-radius: 5px; }
"""
_HEAT_MAP_STYLE = """
:root { --tint: 36 87 214; }
@media (prefers-color-scheme: dark) { :root { --tint: 140 176 255; } }
main, header, footer { max-width: 1440px; }
table.heat td { text-align: center; padding: 5px 7px; font-size: 0.8rem; border: 1px solid var(--card); }
table.heat td { background: rgb(var(--tint) / calc(var(--p) * 0.75)); }
table.heat td.matched { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 700; }
table.heat thead th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 8px 4px; text-align: left; }
table.heat thead td { background: none; vertical-align: bottom; text-align: left; white-space: normal; }
table.heat { width: auto; }
"""


def picture_page(title: str, tags: Sequence[str], sections: Sequence[str], command: str) -> Page:
    """Return a page whose sections hold panels and heat maps."""
    style = LARGE_VIEW_STYLE + PANELS_STYLE + _HEAT_MAP_STYLE
    return Page(title, tags, sections, style, LARGE_VIEW_SCRIPT, command)


def check_page(path: Path) -> None:
    """Refuse, before any work is done, a place where no page can be written.

    Raises:
        ConfigError: the name is not that of a page.
        DataError: the folder cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out got {path.name}, expected a name such as page.html")
    require_writable_folder(path.parent)


def cell(picture: Any, name: str, words: str = "", *, start: bool = False) -> str:
    """Return the HTML of one image with words under it.

    Args:
        picture: float or uint8 [H, W, 3], RGB 0..255; None leaves a gap.
        name: what it is, for screen readers and beside the large image.
        words: under it.
        start: whether a line is drawn to its left.
    """
    uri = None
    if picture is not None:
        uri = data_uri(Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)))
    caption = ""
    if words:
        caption = f"<figcaption>{escape(words)}</figcaption>"
    return f'<figure class="{_kind("cell", start)}">{large_picture(uri, name, "none")}{caption}</figure>'


def head(words: str, *, start: bool = False) -> str:
    """Return the HTML of the head of a column."""
    return f'<div class="{_kind("head", start)}">{escape(words)}</div>'


def _kind(kind: str, start: bool) -> str:
    return f"{kind} start" if start else kind


def panels(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the HTML of rows of cells under the heads of their columns.

    Args:
        heads: what `head` returned, one for each column; may be empty.
        rows: what `cell` returned; a shorter row leaves gaps at its end.
    """
    lines = [heads, *rows] if heads else rows
    columns = max(len(line) for line in lines)
    html = ""
    for line in lines:
        html += "".join(line) + '<div class="cell"></div>' * (columns - len(line))
    return f'<div class="card panels" style="--columns:{columns}" tabindex="0" role="group">{html}</div>'


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, corner: str, matched: Sequence[tuple[str, str]]
) -> str:
    """Return the HTML of a matrix of numbers 0..1 as a table whose cells are the darker the larger they are.

    Args:
        values: float [rows, columns]; NaN leaves a cell blank.
        rows: their names.
        columns: their names.
        corner: what rows and columns are.
        matched: (row, column) to draw a line around.
    """
    titles = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = ""
    for row, row_values in zip(rows, values, strict=True):
        cells = ""
        for column, value in zip(columns, row_values, strict=True):
            cells += _heat_cell(value, (row, column) in matched)
        lines += f'<tr><th scope="row">{escape(row)}</th>{cells}</tr>'
    return (
        f'<div class="card table" tabindex="0" role="region" aria-label="{escape(corner)}">'
        f'<table class="heat"><thead><tr><td>{escape(corner)}</td>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _heat_cell(value: float, is_matched: bool) -> str:
    if not np.isfinite(value):
        return "<td>-</td>"
    kind = ""
    if is_matched:
        kind = ' class="matched"'
    return f'<td{kind} style="--p:{min(max(value, 0), 1):.3f}">{value:.2f}</td>'
