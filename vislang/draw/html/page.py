"""A page of results: one HTML file that needs no other file and no network."""

import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vislang.core.files import whole_file

_ASSETS = Path(__file__).with_name("assets")


def asset(name: str) -> str:
    """Read a template, style sheet or script of this package."""
    return (_ASSETS / name).read_text(encoding="utf-8")


# Larger images in a dialog: of every `elements.large_picture` on the page, with arrow keys to step through them.
LARGE_VIEW_STYLE = asset("large_view.css")
LARGE_VIEW_SCRIPT = asset("large_view.js")


@dataclass(frozen=True)
class Page:
    """A page of results."""

    title: str  # plain text
    tags: Sequence[str]  # short facts under the title, plain text; empty ones are left out
    sections: Iterable[str]  # HTML; a generator keeps one section at a time in memory
    style: str = ""  # CSS of this page, after the common style sheet
    script: str = ""  # JavaScript of this page
    command: str = "eval.run"  # the module that wrote it, such as "captioner.generate"

    def parts(self) -> Iterator[str]:
        """Yield the HTML from beginning to end."""
        before, after = asset("page.html").split("$sections")
        values = {
            "title": escape(self.title),
            "tags": "".join(f"<li>{escape(tag)}</li>" for tag in self.tags if tag),
            "style": asset("page.css") + self.style,
            "script": "",
            "command": escape(self.command),
        }
        if self.script:
            values["script"] = f"<script>\n{self.script}</script>\n"
        yield string.Template(before).substitute(values)
        for section in self.sections:
            yield f"{section}\n"
        yield string.Template(after).substitute(values)

    def html(self) -> str:
        """Return the page as text."""
        return "".join(self.parts())

    def write(self, path: str | Path) -> None:
        """Write the page part by part; the file is whole or absent."""
        with whole_file(path) as part, part.open("w", encoding="utf-8") as stream:
            stream.writelines(self.parts())
