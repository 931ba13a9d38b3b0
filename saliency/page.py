"""The page of explained images: the map of a word shows while the mouse is over it, or after a tap on it."""

from collections.abc import Sequence
from html import escape

from PIL import Image

from saliency.word_maps import Explanation
from vislang.draw.heatmap import transparent_map
from vislang.draw.html.elements import note
from vislang.draw.html.page import Page
from vislang.draw.html.thumbnails import data_uri

STYLE = """
.explained-images { display: grid; gap: 22px; }
.explained-images { grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
.explained { overflow: hidden; }
.explained figure { margin: 0 auto; position: relative; line-height: 0; width: fit-content; }
.explained figure > img:first-child { max-width: 100%; max-height: 480px; }
.explained .map {
  position: absolute; left: var(--l); top: var(--t); width: var(--w); height: var(--h);
  opacity: 0; transition: opacity 0.12s;
}
.explained .map.on { opacity: 1; }
.explained .body { padding: 14px 18px 18px; }
.explained h2 { margin: 0 0 8px; font-size: 0.8rem; font-weight: 500; color: var(--soft); }
.word-buttons { display: flex; flex-wrap: wrap; gap: 4px; margin: 0; }
.word-buttons button {
  font: inherit; font-weight: 600; color: var(--ink); background: var(--ground); cursor: pointer; padding: 3px 9px;
  border: 1px solid var(--line); border-radius: 8px;
}
.word-buttons button small { display: block; font-size: 0.7rem; font-weight: 500; line-height: 1.1; }
.word-buttons button small { color: var(--soft); }
.word-buttons button.on, .word-buttons button:focus-visible { border-color: var(--accent); }
.word-buttons button.on, .word-buttons button:focus-visible { background: var(--accent-soft); }
.word-buttons button.unknown { font-style: italic; color: var(--soft); }
"""

SCRIPT = """
for (const card of document.querySelectorAll(".explained")) {
  const maps = card.querySelectorAll(".map"), words = card.querySelectorAll(".word-buttons button");
  let pressed = [...words].findIndex(word => word.getAttribute("aria-pressed") === "true");
  const mark = (parts, index) => parts.forEach((part, n) => part.classList.toggle("on", n === index));
  const show = index => [maps, words].forEach(parts => mark(parts, index));
  show(pressed);
  words.forEach((word, index) => {
    word.addEventListener("mouseenter", () => show(index));
    word.addEventListener("mouseleave", () => show(pressed));
    word.addEventListener("focus", () => show(index));
    word.addEventListener("blur", () => show(pressed));
    word.addEventListener("click", () => {
      pressed = pressed === index ? -1 : index;
      words.forEach((other, n) => other.setAttribute("aria-pressed", n === pressed));
      show(pressed);
    });
  });
}
"""

NOTE = (
    "Point at a word, or tap it, to see its map. The number under a word is its evidence: log p(word | image) minus"
    " log p(word | average image); below 0, the image speaks against the word. The model does not know words in"
    " italics."
)
_SIDE = 1000  # pixels of the longer side of the images on a page


def word_maps_page(title: str, cards: Sequence[str], *, tags: Sequence[str] = ()) -> Page:
    """Return the page.

    Args:
        title: plain text.
        cards: what `explained_image` returned, in the order to show.
        tags: short facts under the title, plain text.
    """
    sections = [note(NOTE), explained_images(cards)]
    return Page(title, tags, sections, "main { padding-top: 26px; }\n" + STYLE, SCRIPT, "saliency.explain")


def explained_images(cards: Sequence[str]) -> str:
    """Return the HTML of explained images side by side; the page needs STYLE and SCRIPT."""
    return '<div class="explained-images">\n' + "\n".join(cards) + "\n</div>"


def explained_image(
    image: Image.Image, name: str, explanation: Explanation, *, side: int = _SIDE, pressed: int | None = None
) -> str:
    """Return the card of an image, the words of its sentence, and their maps.

    Args:
        image: RGB, the image that was explained.
        name: plain text over the words.
        side: pixels of the longer side of the image on the page.
        pressed: index of the word whose map shows at first; None: no map does.
    """
    left, top, right, bottom = (100 * edge for edge in explanation.seen)
    place = f"--l:{left:.2f}%;--t:{top:.2f}%;--w:{right - left:.2f}%;--h:{bottom - top:.2f}%"
    maps = ""
    for scores in explanation.maps[0]:
        maps += f'<img class="map" style="{place}" src="{data_uri(transparent_map(scores))}" alt="">'
    buttons = "".join(_button(explanation, index, index == pressed) for index in range(len(explanation.words)))
    sentence = escape(" ".join(explanation.words))
    return (
        f'<article class="card explained"><figure><img src="{data_uri(image, side=side)}" alt="{sentence}">{maps}'
        f'</figure><div class="body"><h2>{escape(name)}</h2><p class="word-buttons">{buttons}</p></div></article>'
    )


def _button(explanation: Explanation, index: int, is_pressed: bool) -> str:
    kind = ""
    if explanation.unknown[index]:
        kind = ' class="unknown" title="the model does not know this word"'
    state = "false"
    if is_pressed:
        state = "true"
    evidence = f"{explanation.evidence[index]:+.1f}".replace("-", "\N{MINUS SIGN}")
    word = escape(explanation.words[index])
    return f'<button type="button" aria-pressed="{state}"{kind}>{word}<small>{evidence}</small></button>'
