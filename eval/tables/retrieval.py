"""Image-sentence retrieval: results of ranks over seeds, and their table with published rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eval.metrics.bootstrap import RESAMPLES, bootstrap_intervals
from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import retrieval_metrics
from eval.published.retrieval import COLUMNS, published_retrieval
from eval.results.kinds import RetrievalResult
from eval.results.models import Run, summarize_runs
from eval.results.result import Row, Scores, summarize_seeds
from eval.tables.markdown import (
    FROM_MEMORY,
    note,
    number,
    one_table,
    published_row,
    result_lines,
    result_row,
    section,
    seeds,
    source_line,
    table_title,
)
from vislang.draw.html import elements

_HEADER = ["method", "image → text R@1", "R@5", "R@10", "median", "text → image R@1", "R@5", "R@10", "median", "source"]
FOOTNOTE = f"{FROM_MEMORY} ‡ the image network was fine-tuned."


@dataclass(frozen=True, kw_only=True)
class RetrievalRun(Run):
    """The ranks of one trained model: of each fold by each of its kept checkpoints, one checkpoint after the other.

    `parts` holds the metrics of each part of an aligner's score alone.
    """

    folds: Sequence[Ranks]
    checkpoints: int = 1
    parts: dict[str, Scores] = field(default_factory=dict)


def retrieval_result(
    row: Row,
    runs: Sequence[RetrievalRun],
    *,
    protocol: str = "full",
    resamples: int = RESAMPLES,
) -> RetrievalResult:
    """Compute the result of one row from the runs of its seeds.

    `protocol` is a name in `eval.metrics.retrieval.PROTOCOLS`.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    intervals = bootstrap_intervals([run.folds for run in runs], resamples=resamples)
    of_runs = []
    parts: dict[str, list[Scores]] = {}
    for run in runs:
        of_runs.append(retrieval_metrics(run.folds).to_json())
        for name, scores in run.parts.items():
            parts.setdefault(name, []).append(scores)
    metrics, std, per_seed = summarize_runs(runs, of_runs)
    checkpoints = runs[0].checkpoints
    folds = runs[0].folds[: len(runs[0].folds) // checkpoints]
    num_images = sum(len(fold.image_to_text) for fold in folds)
    return RetrievalResult(
        **vars(row),
        metrics=metrics,
        std=std,
        intervals=intervals,
        interval_method=f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        per_seed=per_seed,
        protocol=protocol,
        setting=setting_name(num_images, len(folds)),
        num_images=num_images,
        num_captions=sum(len(fold.text_to_image) for fold in folds),
        checkpoints_per_seed=checkpoints,
        parts={name: summarize_seeds(scores)[0] for name, scores in parts.items()},
    )


def setting_name(num_images: int, num_folds: int) -> str:
    """Return the size of the collection: "1k", "5k", "5x1k", or the plain number of images."""
    size = num_images // num_folds
    words = str(size)
    if size % 1000 == 0:
        words = f"{size // 1000}k"
    if num_folds == 1:
        return words
    return f"{num_folds}x{words}"


def setting_words(setting: str) -> str:
    """Return what "1k" or "5x1k" means."""
    folds, several, size = setting.rpartition("x")
    images = size
    if size.endswith("k"):
        images = f"{int(size[:-1]) * 1000:,}"
    if several:
        return f"mean of {folds} folds of {images} images"
    return f"one pass over {images} images"


def by_setting(results: Sequence[RetrievalResult]) -> dict[str, list[RetrievalResult]]:
    """Return the results of each setting."""
    settings: dict[str, list[RetrievalResult]] = {}
    for result in results:
        settings.setdefault(result.setting, []).append(result)
    return settings


def retrieval_rows(results: Sequence[RetrievalResult]) -> list[elements.Row]:
    """Return the rows of one data set and setting: published ones first."""
    rows = list(map(published_row, published_retrieval(results[0].dataset, results[0].setting)))
    for result in results:
        rows.append(result_row(result, COLUMNS, f"here, {seeds(result)}"))
    return rows


def retrieval_section(results: Sequence[RetrievalResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split."""
    last = one_table(results)
    blocks: list[str | list[str]] = [
        "Recall in per cent (higher is better) and median rank (lower is better). Bold rows are measured here by"
        " `vislang eval`, mean ± standard deviation over seeds; ties are ranked pessimistically.",
    ]
    for setting, ours in by_setting(results).items():
        blocks.append(f"### {setting_words(setting).capitalize()}")
        rows = retrieval_rows(ours)
        blocks.append(result_lines(_HEADER, rows, ours, folder))
        blocks.append(source_line(rows))
        blocks.append(list(map(_note, ours)))
    footnote = ""
    if any(published_retrieval(last.dataset, setting) for setting in by_setting(results)):
        footnote = FOOTNOTE
    return section(table_title("Image-sentence retrieval", last), *blocks, footnote)


def _note(result: RetrievalResult) -> str:
    low, high = result.intervals["rsum"]
    return note(
        result,
        f"sum of recalls {number(result.metrics['rsum'], result.std.get('rsum'))}",
        f"95 % interval over images {low:.1f} to {high:.1f}",
        f"seeds {', '.join(str(run.seed) for run in result.per_seed)}",
    )
