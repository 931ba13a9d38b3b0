"""The page of caption results: numbers, published numbers and ours, and captions with their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from eval.metrics.captions.score import CaptionScores
from eval.pages.numbers import metric_card
from eval.published.captions import COLUMNS
from eval.results.kinds import BASELINE, CaptionResult
from eval.tables.captions import DIVERSITY, TITLES, caption_footnote, caption_rows, diversity_rows
from eval.tables.markdown import one_table, seeds
from vislang.core.errors import EvalError
from vislang.core.seeds import stream
from vislang.draw.html.elements import (
    cards,
    main_numbers,
    note,
    origin_section,
    picture,
    picture_card,
    section,
    table,
)
from vislang.draw.html.page import Page
from vislang.draw.html.thumbnails import thumbnail

RANKED = 10  # how many of the best, and as many of the worst
RANDOM = 20
_FULL = {"cider": 120.0, "bleu4": 50.0, "meteor": 50.0, "rouge_l": 100.0}  # where the bars of the cards end


@dataclass(frozen=True)
class CaptionedImage:
    """An image of the gallery with the captioner's caption and the references.

    `path` is None where only features are at hand; `cider` of the caption is times 100, None where not measured.
    """

    name: str
    path: Path | None
    caption: str
    references: Sequence[str]
    cider: float | None


def caption_results_page(
    results: Sequence[CaptionResult],
    shown: CaptionResult,
    *,
    gallery: Mapping[str, Sequence[CaptionedImage]] | None = None,
) -> Page:
    """Return the page of all results of one data set and split, led by `shown`, one of them.

    `gallery` holds for each heading images with captions of `shown`.

    Raises:
        EvalError: results of several data sets or splits.
    """
    last = one_table(results)
    sections = [_numbers(shown), _table(results), _diversity(results)]
    for heading, images in (gallery or {}).items():
        shown_images = cards(list(map(_image_card, images)))
        sections.append(section(heading, shown_images, text="The caption in bold, then what people wrote."))
    sections.append(origin_section(shown.to_json()))
    trained = seeds(shown)
    if shown.system == BASELINE:
        trained = "baseline"
    tags = [shown.name, f"{shown.num_images:,} images", trained, shown.provenance.date]
    return Page(f"Captions on {last.dataset}, {last.split}", tags, sections)


def pick_captions(scores: CaptionScores, *, ranked: int = RANKED, random: int = RANDOM) -> dict[str, list[int]]:
    """Pick rows of `scores.image_ids` for the gallery, by heading; no image comes twice.

    These are the `ranked` best and worst by CIDEr, none where it was not measured, and `random` of the others.

    Raises:
        EvalError: nothing to show was requested.
    """
    if ranked < 0 or random < 0 or ranked + random == 0:
        raise EvalError(f"gallery of {ranked} ranked and {random} random captions was requested, expected 1 or more")
    count = len(scores.image_ids)
    order: list[int] = []
    if "cider" in scores.per_image:
        order = (-scores.per_image["cider"]).argsort(kind="stable").tolist()
    ranked = min(ranked, len(order) // 4)  # a small set keeps half for the others
    best = order[:ranked]
    worst = order[::-1][:ranked]
    taken = {*best, *worst}
    others = []
    for row in stream(0, "gallery", "captions").permutation(count).tolist():
        if row not in taken:
            others.append(row)
    picks = {"Best by CIDEr": best, "Worst by CIDEr": worst, "Picked at random from the rest": others[:random]}
    return {heading: rows for heading, rows in picks.items() if rows}


def _numbers(shown: CaptionResult) -> str:
    spread = None
    if shown.system == BASELINE:
        spread = "nothing is trained"
    parts = []
    for metric, full in _FULL.items():
        if metric in shown.metrics:
            title = TITLES[COLUMNS.index(metric)]
            parts.append(metric_card(title, shown, metric, spread=spread, full=full))
    text = "Scores times 100, higher is better. The bar is the 95 % interval over images; the dots are the seeds."
    return main_numbers(parts, text)


def _table(results: Sequence[CaptionResult]) -> str:
    notes = []
    if footnote := caption_footnote(results[0].dataset, results[0].split):
        notes.append(note(footnote))
    shown = table("Results table", [*TITLES, "Source"], caption_rows(results))
    text = "Baselines copy a caption of the training images."
    return section("Beside published numbers", shown, *notes, text=text)


def _diversity(results: Sequence[CaptionResult]) -> str:
    shown = table("Table of diversity", list(DIVERSITY.values()), diversity_rows(results))
    return section("Diversity", shown, text="New captions are those that are no caption of the training images.")


def _image_card(image: CaptionedImage) -> str:
    score = ""
    if image.cider is not None:
        score = f'<p class="rank">CIDEr <b>{image.cider:.0f}</b></p>'
    references = "".join(f"<li>{escape(text)}</li>" for text in image.references)
    return picture_card(
        picture(thumbnail(image.path), image.references[0], image.name),
        f'<p class="caption">{escape(image.caption) or "(empty caption)"}</p>{score}',
        f'<ul class="references">{references}</ul>',
    )
