"""The page of images beside where people looked and where maps predict that they look."""

from collections.abc import Sequence
from dataclasses import dataclass

from vislang.draw.html.elements import figure_card, note
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page


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
        " Observers: their fixations, smoothed."
    )
    sections = [note(text), *(figure_card(row.name, row.maps) for row in rows)]
    style = "main { padding-top: 26px; }\n" + LARGE_VIEW_STYLE
    return Page(title, tags, sections, style, LARGE_VIEW_SCRIPT, "eval.run fixations")
