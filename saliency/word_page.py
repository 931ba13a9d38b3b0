"""One self-contained page of explained pictures: over a word, or on a tap, the map of that word shows."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vislang.draw.html.page import whole_page

_STYLE = """
main { padding-top: 26px; }
.pictures { display: grid; gap: 22px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
.explained { overflow: hidden; }
.film { margin: 0; }
.film .both { position: relative; display: block; line-height: 0; }
.film .both > img:first-child { width: 100%; }
.film .map {
  position: absolute; left: var(--l); top: var(--t); width: var(--w); height: var(--h);
  opacity: 0; transition: opacity 0.12s;
}
.film .map.on { opacity: 1; }
.explained .body { padding: 14px 18px 18px; }
.explained h2 { margin: 0 0 8px; font-size: 0.8rem; font-weight: 500; color: var(--soft); overflow-wrap: anywhere; }
.words { display: flex; flex-wrap: wrap; gap: 4px; margin: 0; }
.words button {
  font: inherit; font-weight: 600; color: var(--ink); background: var(--ground); cursor: pointer; padding: 3px 9px;
  border: 1px solid var(--line); border-radius: 8px;
}
.words button small { display: block; font-size: 0.7rem; font-weight: 500; color: var(--soft); line-height: 1.1; }
.words button.on, .words button:focus-visible { border-color: var(--accent); background: var(--accent-soft); }
.words button.strange { font-style: italic; color: var(--soft); }
"""

_SCRIPT = """
for (const one of document.querySelectorAll(".explained")) {
  const maps = one.querySelectorAll(".map"), words = one.querySelectorAll(".words button");
  let kept = -1;
  const mark = (parts, number) => parts.forEach((part, n) => part.classList.toggle("on", n === number));
  const show = number => [maps, words].forEach(parts => mark(parts, number));
  words.forEach((word, number) => {
    word.addEventListener("mouseenter", () => show(number));
    word.addEventListener("mouseleave", () => show(kept));
    word.addEventListener("focus", () => show(number));
    word.addEventListener("blur", () => show(kept));
    word.addEventListener("click", () => {
      kept = kept === number ? -1 : number;
      words.forEach((other, n) => other.setAttribute("aria-pressed", n === kept));
      show(kept);
    });
  });
}
"""


@dataclass(frozen=True)
class ExplainedWord:
    """A word and its map.

    Attributes:
        word: as it is read.
        known: whether the model knows it.
        evidence: how much the picture speaks for it, in natural logarithms.
        veil: its map in colours, see-through where there is little, as a data URI.
    """

    word: str
    known: bool
    evidence: float
    veil: str


@dataclass(frozen=True)
class ExplainedPicture:
    """A picture and its words.

    Attributes:
        name: what stands over it, plain text.
        picture: a data URI.
        words: of the sentence.
        seen: the part that the maps cover, (left, top, right, bottom) in shares of the sides.
    """

    name: str
    picture: str
    words: Sequence[ExplainedWord]
    seen: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


def saliency_page(title: str, pictures: Sequence[ExplainedPicture], *, tags: Sequence[str] = ()) -> str:
    """Write a page that needs no other file and no network.

    Args:
        title: plain text.
        pictures: in the order to show.
        tags: short facts under the title, plain text.
    """
    note = (
        '<p class="note">Point at a word, or tap it, and the places that it comes from light up. The number is how'
        " much likelier the picture makes the word, as a natural logarithm: below 0, the picture speaks against it."
        " Words in italics are not known to the model.</p>"
    )
    cards = '<div class="pictures">\n' + "\n".join(map(_card, pictures)) + "\n</div>"
    return whole_page(title, tags, [note, cards], style=_STYLE, script=_SCRIPT, command="saliency.explain")


def picture_uri(picture: Any, *, side: int | None = None) -> str:
    """Give a PIL image as a data URI: JPEG, or PNG where it has transparency; at most `side` pixels long."""
    if side is not None and max(picture.size) > side:
        scale = side / max(picture.size)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    kind = "PNG" if picture.mode == "RGBA" else "JPEG"
    stream = io.BytesIO()
    picture.save(stream, kind, quality=85, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _card(one: ExplainedPicture) -> str:
    left, top, right, bottom = (100 * edge for edge in one.seen)
    place = f"--l:{left:.2f}%;--t:{top:.2f}%;--w:{right - left:.2f}%;--h:{bottom - top:.2f}%"
    sentence = escape(" ".join(word.word for word in one.words))
    maps = "".join(f'<img class="map" style="{place}" src="{word.veil}" alt="">' for word in one.words)
    words = "".join(map(_word, one.words))
    return (
        f'<article class="card explained"><figure class="film"><span class="both"><img src="{one.picture}" '
        f'alt="{sentence}">{maps}</span></figure><div class="body"><h2>{escape(one.name)}</h2>'
        f'<p class="words">{words}</p></div></article>'
    )


def _word(word: ExplainedWord) -> str:
    kind = "" if word.known else ' class="strange" title="the model does not know this word"'
    evidence = f"{word.evidence:+.1f}".replace("-", "\N{MINUS SIGN}")
    return f'<button type="button" aria-pressed="false"{kind}>{escape(word.word)}<small>{evidence}</small></button>'
