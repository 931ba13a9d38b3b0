"""Captions for the eye: the best and the worst of a run by CIDEr, and some at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from eval.metrics.captions.score import CaptionScores
from vislang.core.errors import EvalError
from vislang.core.seeds import stream
from vislang.draw.html.thumbnails import thumbnail

RANKED, RANDOM = 10, 20  # how many of the best, as many of the worst, and how many at random


@dataclass(frozen=True)
class CaptionedImage:
    """One image of the gallery.

    Attributes:
        name: the image's id.
        path: the image file, None where only features are at hand.
        caption: what the captioner said.
        references: what people said.
        cider: of this caption, times 100; None where it could not be measured.
    """

    name: str
    path: Path | None
    caption: str
    references: Sequence[str]
    cider: float | None


def pick_captions(scores: CaptionScores, *, ranked: int = RANKED, random: int = RANDOM, seed: int = 0) -> dict:
    """Pick rows for the gallery; no image comes twice.

    Args:
        scores: of one run.
        ranked: how many of the best and of the worst, by CIDEr; none where CIDEr was not measured.
        random: how many of the others.
        seed: decides the random ones.

    Returns:
        {heading: rows of `scores.image_ids`}: best first, worst first, random in drawn order.

    Raises:
        EvalError: nothing to show was asked for.
    """
    if ranked < 0 or random < 0 or ranked + random == 0:
        raise EvalError(f"gallery of {ranked} ranked and {random} random captions was asked for, expected 1 or more")
    count = len(scores.image_ids)
    ranked = min(ranked, count // 4) if "cider" in scores.per_image else 0  # a small set keeps half for the others
    order = (-scores.per_image["cider"]).argsort(kind="stable") if ranked else ()
    picks = {"Best by CIDEr": list(order[:ranked]), "Worst by CIDEr": list(order[count - ranked :])[::-1]}
    taken = {int(row) for rows in picks.values() for row in rows}
    others = [row for row in stream(seed, "gallery", "captions").permutation(count) if int(row) not in taken]
    picks["Picked at random from the rest"] = others[:random]
    return {heading: [int(row) for row in rows] for heading, rows in picks.items() if len(rows)}


def caption_sections(picks: Mapping[str, Sequence[CaptionedImage]]) -> list[str]:
    """Write the gallery as HTML sections, one for each heading."""
    return [
        f'<section><h2>{escape(heading)}</h2><p class="soft">The caption in bold, then what people wrote.</p>'
        f'<div class="finds">{"".join(map(_card, images))}</div></section>'
        for heading, images in picks.items()
    ]


def _card(image: CaptionedImage) -> str:
    picture = thumbnail(image.path)
    name = escape(image.name)
    shown = (
        f'<img src="{picture}" alt="{escape(image.references[0])}" loading="lazy">'
        if picture
        else f'<div class="missing" role="img" aria-label="no picture at hand: {name}">{name}</div>'
    )
    score = f'<p class="rank">CIDEr <b>{image.cider:.0f}</b></p>' if image.cider is not None else ""
    people = "".join(f"<li>{escape(text)}</li>" for text in image.references)
    caption = escape(image.caption) or "(says nothing)"
    return (
        f'<article class="card find">{shown}<div class="body"><p class="said">{caption}</p>{score}'
        f'<ul class="people">{people}</ul></div></article>'
    )
