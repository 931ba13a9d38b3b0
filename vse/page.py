"""One self-contained page with the pictures that a search found."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from vislang.draw.html.style import STYLE
from vislang.draw.html.thumbnails import thumbnail


def search_page(query: str, found: Sequence[tuple[Path, float]]) -> str:
    """Write search results as HTML that needs no other file.

    Args:
        query: what was searched for, as the user wrote it.
        found: image files and their scores, best first; a file that cannot be read is shown by its name.
    """
    items = "".join(f"<li>{_picture(path)}<span>{score:.3f} {escape(path.name)}</span></li>" for path, score in found)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(query)}</title>\n"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<header>\n<h1>{escape(query)}</h1>\n</header>\n<main>\n"
        f'<article class="card asks"><ol class="pictures">{items}</ol></article>\n</main>\n</body>\n</html>\n'
    )


def _picture(path: Path) -> str:
    data = thumbnail(path)
    if data is None:
        return f'<div class="missing" role="img" aria-label="no picture at hand">{escape(path.name)}</div>'
    return f'<img src="{data}" alt="{escape(path.name)}" loading="lazy">'
