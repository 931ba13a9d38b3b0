"""The page of the images that a search found."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from vislang.core.cli import shown_name
from vislang.draw.html.elements import large_picture
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page
from vislang.draw.html.thumbnails import thumbnail

_SIDE = 800  # pixels of the longer side of images opened large
STYLE = """
ol.pictures .open { border-radius: 10px; }
.score { display: block; margin-top: 4px; font-size: 0.8rem; color: var(--soft); }
"""


def search_page(query: str, found: Sequence[tuple[Path, float]]) -> Page:
    """Return the page of one search.

    Args:
        found: image files and their scores, best first; a file that cannot be read is shown by its name.
    """
    style = "main { padding-top: 26px; }\n" + STYLE + LARGE_VIEW_STYLE
    sections = [f'<article class="card query-card">{found_images(found)}</article>']
    return Page(query, [f"{len(found)} best images"], sections, style, LARGE_VIEW_SCRIPT, "vse.search")


def found_images(found: Sequence[tuple[Path, float]]) -> str:
    """Return the HTML of found images and their scores, best first; the page needs STYLE."""
    items = ""
    for path, score in found:
        name = shown_name(path.name)
        shown = large_picture(thumbnail(path, side=_SIDE), name, name)
        items += f'<li>{shown}<span class="score">{score:.3f} {escape(name)}</span></li>'
    return f'<ol class="pictures">{items}</ol>'
