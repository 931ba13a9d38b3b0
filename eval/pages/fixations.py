"""One self-contained page of pictures beside where people looked and where maps say that they would."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vislang.draw.html.page import whole_page

_STYLE = """
main { padding-top: 26px; }
.looked { margin-bottom: 22px; }
.looked .body { padding: 14px 18px 18px; }
.looked h2 { margin: 0 0 10px; font-size: 0.85rem; font-weight: 500; color: var(--soft); overflow-wrap: anywhere; }
.maps { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr)); }
.maps figure { margin: 0; }
.maps img { width: 100%; display: block; border-radius: 6px; }
.maps figcaption { font-size: 0.8rem; margin-top: 4px; }
"""


@dataclass(frozen=True)
class ShownMap:
    """One picture of a row.

    Attributes:
        name: what stands under it, plain text.
        picture: a data URI.
    """

    name: str
    picture: str


@dataclass(frozen=True)
class LookedAt:
    """A row of the page.

    Attributes:
        name: of the picture, plain text.
        maps: the picture itself first, then where people looked, then the maps.
    """

    name: str
    maps: Sequence[ShownMap]


def fixations_page(title: str, rows: Sequence[LookedAt], *, tags: Sequence[str] = ()) -> str:
    """Write a page that needs no other file and no network.

    Args:
        title: plain text.
        rows: in the order to show.
        tags: short facts under the title, plain text.
    """
    note = (
        '<p class="note">Red is where most is expected, blue where least; each map is stretched to its own'
        " range. People: their fixations, smoothed.</p>"
    )
    return whole_page(title, tags, [note, *map(_card, rows)], style=_STYLE, command="eval.run --task fixations")


def _card(row: LookedAt) -> str:
    figures = "".join(
        f'<figure><img src="{one.picture}" alt="{escape(one.name)}" loading="lazy">'
        f"<figcaption>{escape(one.name)}</figcaption></figure>"
        for one in row.maps
    )
    return (
        f'<article class="card looked"><div class="body"><h2>{escape(row.name)}</h2>'
        f'<div class="maps">{figures}</div></div></article>'
    )
