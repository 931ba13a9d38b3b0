"""The page of retrieval results: numbers, published numbers beside ours, and what the model retrieves."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.pages.numbers import metric_card
from eval.pages.retrieval_gallery import Collection, Gallery, gallery_sections
from eval.published.retrieval import Published, published_rows
from eval.tables.retrieval import COLUMNS, require_one_table, seeds_words, setting_words, value_words
from vislang.draw.html.elements import Row, main_numbers, note, origin_section, section, table
from vislang.draw.html.page import Page

_CARDS = {
    "i2t_r1": "Image → text, R@1",
    "i2t_r10": "Image → text, R@10",
    "t2i_r1": "Text → image, R@1",
    "t2i_r10": "Text → image, R@10",
}
_HEADS = ("R@1", "R@5", "R@10", "median", "R@1", "R@5", "R@10", "median")
_GROUPS = (("Image → text", 4), ("Text → image", 4))


def retrieval_page(
    results: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Any],
    *,
    gallery: Gallery | None = None,
    collection: Collection | None = None,
) -> Page:
    """Return the page of one data set and split.

    Args:
        results: all results for the tables, what `build_result` gave.
        shown: the one of them whose numbers lead the page and whose retrievals are in the gallery.
        gallery: what the model retrieved; None leaves these sections out.
        collection: what the gallery's rows stand for; needed with a gallery.

    Raises:
        EvalError: results of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    sections = [_numbers(shown)]
    for setting in dict.fromkeys(result["setting"] for result in results):
        sections.append(_table(dataset, setting, [result for result in results if result["setting"] == setting]))
    sections.append(_seeds(shown))
    if gallery is not None and collection is not None:
        sections += gallery_sections(gallery, collection)
    sections.append(origin_section(shown))
    tags = [
        shown["name"],
        f"{shown['num_images']:,} images",
        f"{shown['num_captions']:,} sentences",
        setting_words(shown["setting"]),
        seeds_words(len(shown["seeds"])),
        str(shown.get("date", "")),
    ]
    return Page(f"Image-sentence retrieval on {dataset}, {split}", tags, sections)


def _numbers(shown: Mapping[str, Any]) -> str:
    parts = [metric_card(title, shown, metric, unit=" %") for metric, title in _CARDS.items()]
    text = (
        "R@K: share of queries with a right answer among the first K. The bar is the 95 % interval over images; the"
        " dots are the seeds."
    )
    return main_numbers(parts, text)


def _table(dataset: str, setting: str, ours: Sequence[Mapping[str, Any]]) -> str:
    rows = [_published_row(row) for row in published_rows(dataset, setting)]
    rows += [_our_row(result) for result in ours]
    recall = "Recall in percent, higher is better; median rank, lower is better."
    return section(
        "Beside published numbers",
        table("Results table", [*_HEADS, "Source"], rows, groups=_GROUPS),
        note("† recalled, not verified against the source. ‡ the image network was fine-tuned."),
        text=f"{setting_words(setting).capitalize()}. {recall}",
    )


def _published_row(row: Published) -> Row:
    marks = ""
    if row.recalled:
        marks += " †"
    if not row.frozen:
        marks += " ‡"
    values = zip(COLUMNS, (*row.i2t, *row.t2i), strict=True)
    return Row(row.method + marks, [value_words(name, value) for name, value in values], row.source)


def _our_row(result: Mapping[str, Any]) -> Row:
    cells = []
    for name in COLUMNS:
        deviation = result["deviation"][name]
        spread = "" if deviation is None else f"<small>± {deviation:.1f}</small>"
        cells.append(value_words(name, result["metrics"][name]) + spread)
    return Row(result["name"], cells, f"measured here, {seeds_words(len(result['seeds']))}", ours=True)


def _seeds(shown: Mapping[str, Any]) -> str:
    names = (*COLUMNS, "rsum")
    rows = []
    for run in shown["per_seed"]:
        rows.append(Row(f"seed {run['seed']}", [value_words(name, run["metrics"][name]) for name in names]))
    rows.append(Row("mean", [value_words(name, shown["metrics"][name]) for name in names], ours=True))
    if len(shown["seeds"]) > 1:
        rows.append(Row("standard deviation", [f"{shown['deviation'][name]:.2f}" for name in names]))
    ends = []
    for name in names:
        low, high = shown["intervals"][name]
        ends.append(f"{value_words(name, low)} – {value_words(name, high)}")
    rows.append(Row("95 % interval", ends))
    return section(
        "Seed by seed",
        table("Seed by seed", [*_HEADS, "sum of R"], rows, first="Run", groups=_GROUPS),
        text=f"The same settings trained again from other random starts. Interval: {shown['interval_method']}.",
    )
