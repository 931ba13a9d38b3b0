"""Elements of the pages of this package: rows of images that open large, and matrices as heat maps."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vislang.core.errors import ConfigError
from vislang.core.files import check_outputs
from vislang.draw.html.elements import Row, large_picture, table
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
.heat table { width: auto; }
.heat td { padding: 0; border: 1px solid var(--card); }
.heat span { display: block; text-align: center; padding: 10px 7px; font-size: 0.8rem; }
.heat span { background: rgb(var(--tint) / calc(var(--p) * 0.75)); }
.heat span.matched { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 700; }
.heat thead th + th { writing-mode: vertical-rl; transform: rotate(180deg); padding: 8px 4px; text-align: left; }
.heat thead th:first-child { vertical-align: bottom; white-space: normal; padding-bottom: 8px; }
"""


def picture_page(title: str, tags: Sequence[str], sections: Sequence[str], command: str) -> Page:
    """Return a page whose sections hold panels and heat maps."""
    style = LARGE_VIEW_STYLE + PANELS_STYLE + _HEAT_MAP_STYLE
    return Page(title, tags, sections, style, LARGE_VIEW_SCRIPT, command)


def check_page(path: Path) -> None:
    """Refuse, before any work is done, a place where no page can be written."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out got {path.name}, expected a name such as page.html")
    check_outputs({"--out": path})


def cell(image: Any, name: str, words: str = "", *, kind: str = "cell") -> str:
    """Return the HTML of one image with words under it.

    Args:
        image: float or uint8 [H, W, 3], RGB 0..255; None leaves a gap.
        name: what it is, for screen readers and beside the large image.
        kind: "cell", or "cell start" for a line to its left.
    """
    uri = None
    if image is not None:
        uri = data_uri(Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)))
    caption = ""
    if words:
        caption = f"<figcaption>{escape(words)}</figcaption>"
    return f'<figure class="{kind}">{large_picture(uri, name, "none")}{caption}</figure>'


def head(words: str, *, kind: str = "head") -> str:
    """Return the HTML of the head of a column."""
    return f'<div class="{kind}">{escape(words)}</div>'


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
        values: float [rows, columns], of rows and columns with these names; NaN leaves a cell blank.
        corner: what rows and columns are.
        matched: (row, column) to draw a line around.
    """
    lines = []
    for row, row_values in zip(rows, values, strict=True):
        cells = []
        for column, value in zip(columns, row_values, strict=True):
            kind = "matched" if (row, column) in matched else ""
            shown = f"{value:.2f}" if np.isfinite(value) else "-"
            cells.append(f'<span class="{kind}" style="--p:{np.clip(np.nan_to_num(value), 0, 1):.3f}">{shown}</span>')
        lines.append(Row(row, cells))
    return f'<div class="heat">{table(corner, columns, lines, first=corner)}</div>'
