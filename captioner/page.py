"""One self-contained page of pictures with their captions, each word shaded by its probability, and a search box."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from vislang.draw.html.search_box import STYLE as FIND_STYLE
from vislang.draw.html.search_box import WordScores, finder, search_box
from vislang.draw.html.style import STYLE
from vislang.draw.html.thumbnails import thumbnail

_STYLE = """
:root { --tint: 36 87 214; }
@media (prefers-color-scheme: dark) { :root { --tint: 140 176 255; } }
.written { display: grid; gap: 20px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); }
main { padding-top: 26px; }
.legend { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 0 0 22px; max-width: none; }
.scale { display: inline-flex; gap: 2px; }
.w { background: rgb(var(--tint) / calc(var(--p) * 0.5)); border-radius: 5px; padding: 1px 5px; }
.scale .w { padding: 3px 9px; font-size: 0.8rem; color: var(--ink); font-variant-numeric: tabular-nums; }
.find h2 { margin: 0 0 10px; font-size: 0.8rem; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.find h2 { overflow-wrap: anywhere; }
.find > img, .find > .missing { height: 260px; }
p.best { display: flex; flex-wrap: wrap; gap: 6px 3px; margin: 0; font-size: 1.15rem; font-weight: 600; }
p.best .w { text-align: center; line-height: 1.3; padding-bottom: 3px; }
p.best .w::after {
  content: attr(data-p); display: block; font-size: 0.68rem; font-weight: 500; line-height: 1.2;
  color: var(--ink); opacity: 0.75; font-variant-numeric: tabular-nums;
}
.end { font-weight: 400; font-style: italic; }
.chance { display: block; margin: 8px 0 0; font-size: 0.8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
ol.others { list-style: none; margin: 14px 0 0; padding: 12px 0 0; border-top: 1px solid var(--line); }
ol.others li { display: grid; grid-template-columns: 1fr auto; gap: 12px; font-size: 0.925rem; padding: 3px 0; }
ol.others .w { padding: 0 3px; }
ol.others .chance { margin: 0; line-height: 1.7; }
ul.skipped { margin: 12px 0 0; padding: 14px 18px 14px 34px; font-size: 0.875rem; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class ShownCaption:
    """A caption on the page.

    Attributes:
        words: each word with its probability, 0 to 1, given the picture and the words before.
        log_prob: natural logarithm of the whole caption's probability.
        end: probability of ending there; None where the caption was cut.
    """

    words: Sequence[tuple[str, float]]
    log_prob: float
    end: float | None


def shown_caption(caption: Any) -> ShownCaption:
    """Take from a `captioner.inference.Caption` what the page shows of it."""
    words = list(zip(caption.words, caption.probabilities, strict=False))
    ended = len(caption.probabilities) > len(words)
    return ShownCaption(words, caption.log_prob, caption.probabilities[-1] if ended else None)


@dataclass(frozen=True)
class ShownPicture:
    """A picture on the page: its file, the name to show, and its captions, best first."""

    path: Path
    name: str
    captions: Sequence[ShownCaption]


def generate_page(
    title: str,
    tags: Sequence[str],
    pictures: Iterable[ShownPicture],
    skipped: Sequence[str] = (),
    *,
    side: int = 800,
    scores: WordScores | None = None,
    written_by: str = "python -m captioner.generate",
) -> Iterator[str]:
    """Write a page that needs no other file, part by part, so that no more than one picture is in memory.

    Args:
        title: plain text.
        tags: short facts under the title, plain text.
        pictures: what to show; a file that cannot be read is shown by its name.
        skipped: a line for each picture that could not be captioned.
        side: the longer side of the pictures opened large, in pixels.
        scores: of words with the pictures, in their order, for search by meaning; None: the box looks for words in
            captions and names.
        written_by: the command.
    """
    facts = "".join(f"<li>{escape(tag)}</li>" for tag in tags)
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>'
        f"{STYLE}{_STYLE}{FIND_STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1>{escape(title)}</h1>\n<ul class="tags">{facts}</ul>\n</header>\n<main>\n'
        f'{search_box("Search the pictures in your own words")}\n{_legend()}\n<div class="written">\n'
    )
    for picture in pictures:
        yield _card(picture, side) + "\n"
    yield "</div>\n"
    if skipped:
        lines = "".join(f"<li>{escape(line)}</li>" for line in skipped)
        yield f'<section><h2>Left out</h2><ul class="card skipped">{lines}</ul></section>\n'
    yield (
        f"</main>\n<footer>Written by <code>{escape(written_by)}</code>. This page needs no network.</footer>\n"
        f"{finder(scores)}\n</body>\n</html>\n"
    )


def _legend() -> str:
    steps = "".join(f'<span class="w" style="--p:{percent / 100}">{percent} %</span>' for percent in range(0, 101, 20))
    return (
        f'<p class="legend note"><span class="scale" role="img" aria-label="shades, 0 to 100 percent">{steps}</span>'
        "<span>How likely each word was, given the picture and the words before it.</span></p>"
    )


def _card(picture: ShownPicture, side: int) -> str:
    best, *others = picture.captions
    lines = "".join(f"<li><span>{_words(one)}</span>{_chance(one)}</li>" for one in others)
    more = f'<ol class="others" aria-label="other captions">{lines}</ol>' if others else ""
    text = " ".join([picture.name, *(word for caption in picture.captions for word, _ in caption.words)]).lower()
    return (
        f'<article class="card find" data-text="{escape(text)}">{_picture(picture, side)}'
        f'<div class="body"><h2>{escape(picture.name)}</h2>'
        f'<p class="best">{_words(best)}{_end(best)}</p>{_chance(best)}{more}</div></article>'
    )


def _picture(picture: ShownPicture, side: int) -> str:
    data = thumbnail(picture.path, side=side)
    if data is None:
        return '<div class="missing" role="img" aria-label="no picture at hand">no picture at hand</div>'
    text = " ".join(word for word, _ in picture.captions[0].words)
    return (
        f'<button type="button" class="open" aria-label="open large: {escape(text)}">'
        f'<img src="{data}" alt="{escape(text)}" loading="lazy"></button>'
    )


def _words(caption: ShownCaption) -> str:
    return " ".join(_word(escape(word), probability) for word, probability in caption.words) or "(says nothing)"


def _word(shown: str, probability: float, kind: str = "w") -> str:
    percent = f"{100 * probability:.0f} %"
    return f'<span class="{kind}" style="--p:{probability:.3f}" data-p="{percent}" title="{percent}">{shown}</span>'


def _end(caption: ShownCaption) -> str:
    return "" if caption.end is None else " " + _word("end", caption.end, "w end")


def _chance(caption: ShownCaption) -> str:
    words = f"log P {caption.log_prob:.2f}".replace("-", "\N{MINUS SIGN}")
    return f'<span class="chance" title="log-probability of the whole caption">{words}</span>'
