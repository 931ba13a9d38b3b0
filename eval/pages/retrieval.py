"""The page of retrieval results: numbers, published numbers beside ours, and what the model retrieves."""

from collections.abc import Mapping, Sequence

from eval.pages.numbers import metric_card
from eval.pages.retrieval_gallery import Collection, Gallery, gallery_sections
from eval.published.retrieval import PublishedRetrieval, published_retrieval
from eval.results.kinds import RetrievalResult
from eval.tables.markdown import one_table, seeds
from eval.tables.retrieval import COLUMNS, FOOTNOTE, retrieval_number, setting_words
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
    """Return the page of one data set and split.

    Args:
        results: all results for the tables.
        shown: the one of them whose numbers lead the page and whose retrievals are in the gallery.
        gallery: what the model retrieved; None leaves these sections out.
        collection: what the gallery's rows stand for; needed with a gallery.

    Raises:
        EvalError: results of several data sets or splits.
    """
    last = one_table(results)
    sections = [_numbers(shown)]
    for setting in dict.fromkeys(result.setting for result in results):
        sections.append(_table(last.dataset, setting, [result for result in results if result.setting == setting]))
    sections.append(_seeds(shown))
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


def _table(dataset: str, setting: str, ours: Sequence[RetrievalResult]) -> str:
    rows = [*map(_published_row, published_retrieval(dataset, setting)), *map(_our_row, ours)]
    recall = "Recall in percent, higher is better; median rank, lower is better."
    return section(
        "Beside published numbers",
        table("Results table", [*_HEADS, "Source"], rows, groups=_GROUPS),
        note(FOOTNOTE),
        text=f"{setting_words(setting).capitalize()}. {recall}",
    )


def _published_row(row: PublishedRetrieval) -> Row:
    return Row(row.marked_method(), [retrieval_number(name, row.value(name)) for name in COLUMNS], row.source)


def _our_row(result: RetrievalResult) -> Row:
    cells = []
    for name in COLUMNS:
        text = retrieval_number(name, result.metrics[name])
        if name in result.std:
            text += f"<small>± {result.std[name]:.1f}</small>"
        cells.append(text)
    return Row(result.name, cells, f"measured here, {seeds(result)}", ours=True)


def _cells(metrics: Mapping[str, float], names: Sequence[str]) -> list[str]:
    return [retrieval_number(name, metrics[name]) for name in names]


def _seeds(shown: RetrievalResult) -> str:
    names = (*COLUMNS, "rsum")
    rows = []
    for run in shown.per_seed:
        rows.append(Row(f"seed {run.seed}", _cells(run.metrics, names)))
    rows.append(Row("mean", _cells(shown.metrics, names), ours=True))
    if shown.std:
        rows.append(Row("standard deviation", [f"{shown.std[name]:.2f}" for name in names]))
    ends = []
    for name in names:
        low, high = shown.intervals[name]
        ends.append(f"{retrieval_number(name, low)} – {retrieval_number(name, high)}")
    rows.append(Row("95 % interval", ends))
    return section(
        "Seed by seed",
        table("Seed by seed", [*_HEADS, "sum of R"], rows, first="Run", groups=_GROUPS),
        text=f"The same settings trained again from other random starts. Interval: {shown.interval_method}.",
    )
