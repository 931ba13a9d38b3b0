"""The page of images and videos with their captions, each word shaded by its probability, and a search field."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from captioner.output_formats import Captioned, confidence_words
from vislang.draw.html.elements import large_picture, picture_card, section
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page
from vislang.draw.html.search_field import SCRIPT as SEARCH_SCRIPT
from vislang.draw.html.search_field import STYLE as SEARCH_STYLE
from vislang.draw.html.search_field import WordScores, search_field, stored_scores
from vislang.draw.html.thumbnails import data_uri, thumbnail
from vislang.draw.image_grid import image_grid

if TYPE_CHECKING:
    from captioner.inference import Caption

_WORDS_STYLE = """
:root { --tint: 36 87 214; }
@media (prefers-color-scheme: dark) { :root { --tint: 140 176 255; } }
.searchable .picture-card > .open img, .searchable .picture-card > .missing { height: 260px; object-fit: contain; }
.picture-card h2 { margin: 0 0 10px; font-size: 0.8rem; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 0 0 22px; max-width: none; }
.scale { display: inline-flex; gap: 2px; }
.word { background: rgb(var(--tint) / calc(var(--p) * 0.5)); border-radius: 5px; padding: 1px 5px; }
.scale .word { padding: 3px 9px; font-size: 0.8rem; color: var(--ink); font-variant-numeric: tabular-nums; }
p.best { display: flex; flex-wrap: wrap; gap: 6px 3px; margin: 0; font-size: 1.15rem; font-weight: 600; }
p.best .word { text-align: center; line-height: 1.3; padding-bottom: 3px; }
p.best .word::after {
  content: attr(data-p); display: block; font-size: 0.68rem; font-weight: 500; line-height: 1.2;
  color: var(--ink); opacity: 0.75; font-variant-numeric: tabular-nums;
}
.end { font-weight: 400; font-style: italic; }
.log-prob { display: block; margin: 8px 0 0; font-size: 0.8rem; color: var(--soft); }
.log-prob { font-variant-numeric: tabular-nums; }
ol.others { list-style: none; margin: 14px 0 0; padding: 12px 0 0; border-top: 1px solid var(--line); }
ol.others li { font-size: 0.925rem; padding: 3px 0; }
ol.others .word { padding: 0 3px; }
ol.others .log-prob { margin: 0; }
.unsure { --tint: 128 128 128; color: var(--soft); }
ul.skipped { margin: 12px 0 0; padding: 14px 18px 14px 34px; font-size: 0.875rem; }
"""

_FRAME_SIDE = 480  # pixels of the longer side of each frame of a video

STYLE = SEARCH_STYLE + LARGE_VIEW_STYLE + _WORDS_STYLE
SCRIPT = SEARCH_SCRIPT + LARGE_VIEW_SCRIPT


def captions_page(
    title: str,
    tags: Sequence[str],
    images: Iterable[Captioned],
    skipped: Sequence[str] = (),
    *,
    side: int = 800,
    scores: WordScores | None = None,
    command: str = "captioner.generate",
) -> Page:
    """Return the page, whose sections are generated so that no more than one image is in memory.

    Args:
        title: plain text.
        tags: short facts under the title, plain text.
        images: to show; a file that cannot be read is shown by its name.
        skipped: a line for each image that could not be captioned.
        side: the longer side of the images opened large, in pixels.
        scores: of words with the images, in their order, for search by meaning; None: the search field looks for
            words in captions and names.
        command: what writes the page.
    """
    sections = _sections(images, skipped, side, scores)
    return Page(title, tags, sections, "main { padding-top: 26px; }\n" + STYLE, SCRIPT, command)


def _sections(
    images: Iterable[Captioned], skipped: Sequence[str], side: int, scores: WordScores | None
) -> Iterator[str]:
    yield from searchable_captions(images, side=side, scores=scores)
    if skipped:
        lines = "".join(f"<li>{escape(line)}</li>" for line in skipped)
        yield section("Left out", f'<ul class="card skipped">{lines}</ul>')


def searchable_captions(
    images: Iterable[Captioned], *, side: int = 800, scores: WordScores | None = None
) -> Iterator[str]:
    """Yield the HTML of a search field, a legend and a card for each image; the page needs STYLE and SCRIPT."""
    yield search_field("Search the images in your own words")
    yield _legend()
    yield '<div class="searchable">'
    for image in images:
        yield _card(image, side)
    yield "</div>"
    if scores is not None:
        yield stored_scores(scores)


def picture_of_frames(frames: Sequence[Image.Image]) -> str:
    """Return four frames of a video, from left to right and from top to bottom in the order of time, as a data URI."""
    chosen = [frames[round(share * (len(frames) - 1))] for share in (0, 1 / 3, 2 / 3, 1)]
    width, height = chosen[0].size
    scale = min(1.0, _FRAME_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tiles = np.stack([np.asarray(frame.resize(size)) for frame in chosen])
    return data_uri(image_grid([tiles[:2], tiles[2:]]))


def _legend() -> str:
    steps = ""
    for percent in range(0, 101, 20):
        steps += f'<span class="word" style="--p:{percent / 100}">{percent} %</span>'
    return (
        f'<p class="legend note"><span class="scale" role="img" aria-label="shades, 0 to 100 percent">{steps}</span>'
        "<span>Probability of each word, given the image and the words before it.</span></p>"
    )


def _card(image: Captioned, side: int) -> str:
    name = Path(image.name).name
    best, *others = image.captions
    text = " ".join([name, *(caption.text for caption in image.captions)]).lower()
    more = ""
    if others:
        lines = ""
        for caption in others:
            lines += f'<li class="{_classes("other", caption)}">{_words(caption)}{_log_prob(caption)}</li>'
        more = f'<ol class="others" aria-label="other captions">{lines}</ol>'
    return picture_card(
        large_picture(image.picture or thumbnail(image.path, side=side), best.text, name),
        f"<h2>{escape(name)}</h2>",
        f'<p class="{_classes("best", best)}">{_words(best)}{_end(best)}</p>{_log_prob(best)}{more}',
        text=text,
    )


def _classes(name: str, caption: "Caption") -> str:
    if caption.trusted is False:
        return f"{name} unsure"
    return name


def _words(caption: "Caption") -> str:
    if not caption.words:
        return "(empty caption)"
    pairs = zip(caption.words, caption.probabilities, strict=False)
    return " ".join(_word(word, probability) for word, probability in pairs)


def _word(word: str, probability: float, kind: str = "word") -> str:
    percent = f"{100 * probability:.0f} %"
    style = f'style="--p:{probability:.3f}" data-p="{percent}" title="{percent}"'
    return f'<span class="{kind}" {style}>{escape(word)}</span>'


def _end(caption: "Caption") -> str:
    """Return the end mark with its probability, unless the caption was cut."""
    if len(caption.probabilities) <= len(caption.words):
        return ""
    return " " + _word("end", caption.probabilities[-1], "word end")


def _log_prob(caption: "Caption") -> str:
    words = f"log P {caption.log_prob:.2f}".replace("-", "\N{MINUS SIGN}")
    words = ", ".join(filter(None, (confidence_words(caption), words)))
    return f'<span class="log-prob" title="log P: log-probability of the whole caption">{words}</span>'
