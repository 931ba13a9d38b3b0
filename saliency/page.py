"""The page of explained images and videos: words and regions beside a large picture show their place over it."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from saliency.word_maps import FAINTEST, Explanation
from vislang.draw.heatmap import Box, transparent_map
from vislang.draw.html.elements import note
from vislang.draw.html.page import Page
from vislang.draw.html.thumbnails import data_uri

if TYPE_CHECKING:
    from captioner.api import Region

STYLE = """
.explained { display: grid; grid-template-columns: minmax(0, 1fr) minmax(250px, 26%); overflow: clip; }
.explained { align-items: start; margin-bottom: 22px; }
.explained figure { position: sticky; top: 0; z-index: 1; margin: 0 auto; overflow: hidden; line-height: 0; }
.explained figure { width: min(100%, calc(88vh * var(--ratio))); }
.explained figure > img, .explained .frame { width: 100%; }
.explained .layer { position: absolute; opacity: 0; transition: opacity 0.12s; }
.explained .layer, .explained .map { left: var(--l, 0); top: var(--t, 0); }
.explained .layer, .explained .map { width: var(--w, 100%); height: var(--h, 100%); }
.explained .layer.on { opacity: 1; }
.explained .layer .map { position: absolute; }
.explained .box { outline: 3px solid #fff; outline-offset: -3px; box-shadow: 0 0 0 100vmax rgb(0 0 0 / 50%); }
.explained .body { padding: 14px 18px 18px; }
.explained h2, .explained h3 { margin: 0 0 8px; font-size: 0.8rem; font-weight: 500; color: var(--soft); }
.explained h3 { margin-top: 18px; }
.places { display: flex; flex-wrap: wrap; gap: 5px; margin: 0; }
.places button {
  font: inherit; font-weight: 600; color: var(--ink); background: var(--ground); cursor: pointer; padding: 3px 9px;
  border: 1px solid var(--line); border-radius: 8px; min-height: 40px; text-align: center;
}
.places small { display: block; font-size: 0.7rem; font-weight: 500; line-height: 1.1; color: var(--soft); }
.places.rows { flex-direction: column; }
.places.rows button { text-align: left; font-weight: 500; }
.places.rows small { float: right; line-height: 1.9; }
.places svg { display: block; width: 100%; height: 20px; overflow: visible; }
.places polygon { fill: var(--accent); opacity: 0.2; }
.places polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.places button.on, .places button:focus-visible { border-color: var(--accent); background: var(--accent-soft); }
.places button.unknown { font-style: italic; color: var(--soft); }
@media (max-width: 760px) {
  .explained { grid-template-columns: minmax(0, 1fr); }
  .explained figure { width: min(100%, calc(62vh * var(--ratio))); }
  .explained .body { padding: 12px 14px 16px; }
}
"""

SCRIPT = """
for (const card of document.querySelectorAll(".explained")) {
  const layers = card.querySelectorAll(".layer"), buttons = card.querySelectorAll(".places button");
  let pressed = [...buttons].findIndex(button => button.getAttribute("aria-pressed") === "true");
  const mark = (parts, index) => parts.forEach((part, n) => part.classList.toggle("on", n === index));
  const show = index => [layers, buttons].forEach(parts => mark(parts, index));
  show(pressed);
  buttons.forEach((button, index) => {
    button.addEventListener("mouseenter", () => show(index));
    button.addEventListener("mouseleave", () => show(pressed));
    button.addEventListener("focus", () => show(index));
    button.addEventListener("blur", () => show(pressed));
    button.addEventListener("click", () => {
      pressed = pressed === index ? -1 : index;
      buttons.forEach((other, n) => other.setAttribute("aria-pressed", n === pressed));
      show(pressed);
    });
  });
}
"""

NOTE = (
    "Point at a word or a region, or tap it, to see its place. The number under a word is its evidence:"
    " log p(word | image) minus log p(word | average image), and of the method activation how high the ranker scores"
    " it; below 0, the image speaks against the word, and its map is faint. The model does not know words in italics."
)
_SIDE = 1400  # pixels of the longer side of the images on a page
_PAGE_STYLE = """
main, header, footer { max-width: 1800px; }
header { padding-top: 16px; }
header h1 { font-size: 1.4rem; }
header .tags { margin-top: 0; }
main { padding-top: 12px; }
"""


def word_maps_page(title: str, cards: Sequence[str], *, tags: Sequence[str] = ()) -> Page:
    """Return the page.

    Args:
        title: plain text.
        cards: what `explained_image` and `explained_clip` returned, in the order to show.
        tags: short facts under the title, plain text.
    """
    return Page(title, tags, [*cards, note(NOTE)], _PAGE_STYLE + STYLE, SCRIPT, "saliency.explain")


def explained_image(
    image: Image.Image,
    name: str,
    explanation: Explanation,
    *,
    regions: "Mapping[str, Sequence[Region]] | None" = None,
    side: int = _SIDE,
) -> str:
    """Return the card of an image, the words of its sentence with their maps, and regions with their boxes.

    The map of `clearest_word` shows at first. The page needs STYLE and SCRIPT.

    Args:
        image: RGB, the image that was explained.
        name: plain text over the words.
        regions: lists of regions of the image, each with its title.
        side: pixels of the longer side of the image on the page.
    """
    layers = [_map(explanation, 0, index, "layer map") for index in range(len(explanation.words))]
    words = [_word(explanation, index) for index in range(len(explanation.words))]
    body = f'<p class="places">{"".join(words)}</p>'
    for title, found in (regions or {}).items():
        layers += [f'<span class="layer box" style="{_place(region.box)}"></span>' for region in found]
        texts = [f'<button type="button" aria-pressed="false">{escape(region.text)}</button>' for region in found]
        body += f'<h3>{escape(title)}</h3><p class="places rows">{"".join(texts)}</p>'
    return _card(image, name, explanation, layers, body, side)


def explained_clip(frames: Sequence[Image.Image], name: str, explanation: Explanation, *, side: int = _SIDE) -> str:
    """Return the card of a video: each word with its temporal saliency, and the frame of its maximum with its map.

    Args:
        frames: RGB, for each word its frame of `strongest_frames`.
        name: plain text over the words.
        side: pixels of the longer side of the frames on the page.
    """
    layers = []
    words = []
    for index, number in enumerate(strongest_frames(explanation)):
        shown = f'<img class="frame" src="{data_uri(frames[index], side=side)}" alt="">'
        layers.append(f'<span class="layer">{shown}{_map(explanation, number, index, "map")}</span>')
        when = f", strongest at {explanation.seconds[number]:.1f} s"
        words.append(_word(explanation, index, when, _curve(explanation, index)))
    body = f'<p class="places rows">{"".join(words)}</p>'
    return _card(frames[0], name, explanation, layers, body, side)


def strongest_frames(explanation: Explanation) -> list[int]:
    """Return for each word of a clip the number of the frame with the highest temporal saliency."""
    return explanation.in_time.argmax(axis=0).tolist()


def _card(image: Image.Image, name: str, explanation: Explanation, layers: Sequence[str], body: str, side: int) -> str:
    """Return a card; its layers, HTML, belong to the buttons of its body in their order."""
    sentence = escape(" ".join(explanation.words))
    picture = f'<img src="{data_uri(image, side=side)}" alt="{sentence}">'
    return (
        f'<article class="card explained"><figure style="--ratio:{image.width / image.height:.4f}">{picture}'
        f'{"".join(layers)}</figure><div class="body"><h2>{escape(name)}</h2>{body}</div></article>'
    )


def _map(explanation: Explanation, frame: int, word: int, kind: str) -> str:
    uri = data_uri(transparent_map(explanation.maps[frame, word]))
    return f'<img class="{kind}" style="{_place(explanation.seen)}" src="{uri}" alt="">'


def _place(box: Box) -> str:
    left, top, right, bottom = (100 * edge for edge in box)
    return f"--l:{left:.2f}%;--t:{top:.2f}%;--w:{right - left:.2f}%;--h:{bottom - top:.2f}%"


def _curve(explanation: Explanation, word: int) -> str:
    """Return the temporal saliency of a word as a drawing that is as wide as there is room."""
    heights = 20 * (1 - explanation.in_time[:, word])
    across = np.linspace(0, 100, len(heights))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, heights, strict=True))
    drawn = f'<polygon points="0,20 {points} 100,20"/><polyline points="{points}"/>'
    return f'<svg viewBox="0 0 100 20" preserveAspectRatio="none">{drawn}</svg>'


def clearest_word(explanation: Explanation) -> int:
    """Return the index of the word to show at first: of the strongest map or, of other methods, of most evidence."""
    if explanation.method == "activation":
        return int(explanation.maps.sum(axis=(0, 2, 3)).argmax())
    has_map = explanation.maps.any(axis=(0, 2, 3))
    return int(np.where(has_map, explanation.evidence, -np.inf).argmax())


def _word(explanation: Explanation, index: int, when: str = "", curve: str = "") -> str:
    """Return the button of a word, with its evidence, and of a video when it is strongest and its curve, HTML."""
    kind = ""
    if explanation.unknown[index]:
        kind = ' class="unknown" title="the model does not know this word"'
    elif explanation.maps[:, index].max() < FAINTEST:
        kind = ' title="no clear place in the image"'
    state = "false"
    if index == clearest_word(explanation):
        state = "true"
    evidence = f"{explanation.evidence[index]:+.1f}".replace("-", "\N{MINUS SIGN}")
    word = escape(explanation.words[index])
    return f'<button type="button" aria-pressed="{state}"{kind}>{word}<small>{evidence}{when}</small>{curve}</button>'
