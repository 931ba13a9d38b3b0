"""The page of images beside where people looked and where maps predict that they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vislang.draw.html.elements import figure, note, picture
from vislang.draw.html.page import Page

_STYLE = """
main { padding-top: 26px; }
.map-row { margin-bottom: 22px; padding: 14px 18px 18px; }
.map-row h2 { margin: 0 0 10px; font-size: 0.85rem; font-weight: 500; color: var(--soft); overflow-wrap: anywhere; }
.maps { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr)); }
.maps figure { margin: 0; }
.maps img { width: 100%; display: block; border-radius: 6px; }
.maps figcaption { font-size: 0.8rem; margin-top: 4px; }
"""


@dataclass(frozen=True)
class MapRow:
    """An image and its maps.

    Attributes:
        name: of the image, plain text.
        maps: (name, data URI): the image itself first, then where people looked, then the maps.
    """

    name: str
    maps: Sequence[tuple[str, str]]


def fixations_page(title: str, rows: Sequence[MapRow], *, tags: Sequence[str] = ()) -> Page:
    """Return the page.

    Args:
        title: plain text.
        rows: in the order to show.
        tags: short facts under the title, plain text.
    """
    text = (
        "Red: most fixations predicted; blue: fewest. Each map is stretched to its own range."
        " People: their fixations, smoothed."
    )
    sections = [note(text), *map(_row, rows)]
    return Page(title, tags, sections, _STYLE, command="eval.run --task fixations")


def _row(row: MapRow) -> str:
    figures = "".join(figure(picture(uri, name, name), name) for name, uri in row.maps)
    return f'<article class="card map-row"><h2>{escape(row.name)}</h2><div class="maps">{figures}</div></article>'
