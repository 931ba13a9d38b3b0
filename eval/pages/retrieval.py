"""The page of retrieval results: numbers, published numbers and ours, and what the model retrieves."""

from collections.abc import Sequence

from eval.pages.numbers import metric_card
from eval.pages.retrieval_gallery import Collection, Gallery, gallery_sections
from eval.published.retrieval import COLUMNS
from eval.results.kinds import RetrievalResult
from eval.tables.markdown import metric_number, one_table, seeds
from eval.tables.retrieval import FOOTNOTE, by_setting, retrieval_rows, setting_words
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
    results: Sequence[RetrievalResult],
    shown: RetrievalResult,
    *,
    gallery: Gallery | None = None,
    collection: Collection | None = None,
) -> Page:
    """Return the page of all results of one data set and split, led by `shown`, one of them.

    The gallery is what that model retrieved, its rows those of the collection; without these its sections are left out.

    Raises:
        EvalError: results of several data sets or splits.
    """
    last = one_table(results)
    sections = [_numbers(shown), *map(_table, by_setting(results).values()), _seeds(shown)]
    if gallery is not None and collection is not None:
        sections += gallery_sections(gallery, collection)
    sections.append(origin_section(shown.to_json()))
    tags = [
        shown.name,
        f"{shown.num_images:,} images",
        f"{shown.num_captions:,} sentences",
        setting_words(shown.setting),
        seeds(shown),
        shown.provenance.date,
    ]
    return Page(f"Image-sentence retrieval on {last.dataset}, {last.split}", tags, sections)


def _numbers(shown: RetrievalResult) -> str:
    parts = [metric_card(title, shown, metric, unit=" %") for metric, title in _CARDS.items()]
    text = (
        "R@K: share of queries with a right answer among the first K. The bar is the 95 % interval over images; the"
        " dots are the seeds."
    )
    return main_numbers(parts, text)


def _table(results: Sequence[RetrievalResult]) -> str:
    recall = "Recall in percent, higher is better; median rank, lower is better."
    return section(
        "Beside published numbers",
        table("Results table", [*_HEADS, "Source"], retrieval_rows(results), groups=_GROUPS),
        note(FOOTNOTE),
        text=f"{setting_words(results[0].setting).capitalize()}. {recall}",
    )


def _seeds(shown: RetrievalResult) -> str:
    names = (*COLUMNS, "rsum")
    rows = []
    for run in shown.per_seed:
        rows.append(Row(f"seed {run.seed}", list(map(metric_number, names, map(run.metrics.get, names)))))
    rows.append(Row("mean", list(map(metric_number, names, map(shown.metrics.get, names))), ours=True))
    if shown.std:
        rows.append(Row("standard deviation", [f"{shown.std[name]:.2f}" for name in names]))
    ends = []
    for name in names:
        low, high = shown.intervals[name]
        ends.append(f"{metric_number(name, low)} – {metric_number(name, high)}")
    rows.append(Row("95 % interval", ends))
    return section(
        "Seed by seed",
        table("Seed by seed", [*_HEADS, "sum of R"], rows, first="Run", groups=_GROUPS),
        text=f"The same settings trained again from other random starts. Interval: {shown.interval_method}.",
    )
