"""Captions: results of scores over seeds, and their table with baselines and published rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from eval.metrics.bootstrap import RESAMPLES
from eval.metrics.captions.bootstrap import mean_intervals
from eval.metrics.captions.diversity import caption_diversity
from eval.metrics.captions.score import Captions, CaptionScores
from eval.published.captions import COLUMNS, published_captions
from eval.results.kinds import BASELINE, OF_REFERENCES, CaptionResult, CaptionSeedRun
from eval.results.models import Run, summarize_runs
from eval.results.result import Row, Scores, summarize_seeds
from eval.tables.markdown import (
    NOTHING,
    note,
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

TITLES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
FOOTNOTE = "‡ the image network was fine-tuned."
DIVERSITY = {
    "novelty": "new, % of captions",
    "distinct": "different captions",
    "vocabulary": "words used",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "mean_length": "words per caption",
}


@dataclass(frozen=True, kw_only=True)
class CaptionRun(Run):
    """The captions of one captioner or baseline."""

    key: str  # unique among the runs of one command
    captions: Captions  # one for each image id
    system: str = "captioner"  # "captioner" or BASELINE
    decoding: dict[str, Any] = field(default_factory=dict)  # how captions were found; empty for baselines


def caption_result(
    row: Row,
    runs: Sequence[CaptionRun],
    scores: Mapping[str, CaptionScores],
    *,
    training: Sequence[str] | None = None,
    document_frequencies: str = OF_REFERENCES,
    resamples: int = RESAMPLES,
) -> CaptionResult:
    """Compute the result of one row from the runs of its seeds; scores are times 100.

    `scores` holds those of the captions of each run, by its key; `training` the captions that the captioner was trained
    on, for novelty; `document_frequencies` names what weighs the n-grams of CIDEr.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    of_runs = [scores[run.key] for run in runs]
    metrics, std, seed_runs = summarize_runs(runs, [percent(one.corpus) for one in of_runs])
    per_seed = []
    known_diversity = []
    for run, seed_run in zip(runs, seed_runs, strict=True):
        diversity = asdict(caption_diversity(list(run.captions.values()), training))
        per_seed.append(CaptionSeedRun(**vars(seed_run), diversity=diversity))
        known_diversity.append({name: value for name, value in diversity.items() if value is not None})
    means, _ = summarize_seeds(known_diversity)
    mean_diversity = {**per_seed[0].diversity, **means}
    return CaptionResult(
        **vars(row),
        metrics=metrics,
        std=std,
        intervals=percent_intervals(mean_intervals(of_runs, resamples=resamples)),
        interval_method=f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        per_seed=tuple(per_seed),
        num_images=len(of_runs[0].image_ids),
        diversity=mean_diversity,
        tokenizer=of_runs[0].tokenizer,
        document_frequencies=document_frequencies,
        decoding=runs[0].decoding,
        skipped=dict(of_runs[0].skipped),
    )


def percent_intervals(intervals: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Return the ends of intervals times 100."""
    return {name: (100 * low, 100 * high) for name, (low, high) in intervals.items()}


def percent(corpus: Scores) -> Scores:
    """Return scores times 100, as the papers print them."""
    return {name: 100 * value for name, value in corpus.items()}


def caption_rows(results: Sequence[CaptionResult]) -> list[elements.Row]:
    """Return the rows of one table: published ones, then baselines, then captioners."""
    last = one_table(results)
    rows = list(map(published_row, published_captions(last.dataset, last.split)))
    for result in results:
        source = f"here, {seeds(result)}"
        if result.system == BASELINE:
            source = "here, baseline"
        rows.append(result_row(result, COLUMNS, source))
    return rows


def diversity_rows(results: Sequence[CaptionResult]) -> list[elements.Row]:
    """Return the rows of the table of diversity."""
    rows = []
    for result in results:
        cells = [diversity_number(name, result.diversity.get(name)) for name in DIVERSITY]
        rows.append(elements.Row(result.name, cells))
    return rows


def caption_section(results: Sequence[CaptionResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split."""
    last = one_table(results)
    rows = caption_rows(results)
    return section(
        table_title("Captions", last),
        "Scores times 100, higher is better. Bold rows are measured here by `vislang eval captions`, mean ±"
        " standard deviation over seeds. Baselines copy a caption of the training images.",
        result_lines(["method", *TITLES, "source"], rows, results, folder),
        source_line(rows),
        caption_footnote(last.dataset, last.split),
        "### Diversity",
        "New captions are those that are no training caption.",
        result_lines(["method", *DIVERSITY.values()], diversity_rows(results), results, folder),
        list(map(_note, results)),
        _not_measured(results),
    )


def caption_footnote(dataset: str, split: str) -> str:
    """Return the footnote if a published row has its mark, else ""."""
    if all(row.frozen for row in published_captions(dataset, split)):
        return ""
    return FOOTNOTE


def diversity_number(name: str, value: float | None) -> str:
    """Format one number of the table of diversity."""
    if value is None:
        return NOTHING
    if name in ("distinct", "vocabulary"):
        return f"{value:,.0f}"
    if name == "novelty":
        return f"{100 * value:.1f}"
    if name.startswith("distinct"):
        return f"{value:.3f}"
    return f"{value:.1f}"


def _note(result: CaptionResult) -> str:
    parts = [f"{result.num_images:,} images"]
    if "cider" in result.intervals:
        low, high = result.intervals["cider"]
        parts.append(f"CIDEr's 95 % interval over images {low:.1f} to {high:.1f}")
    known = [str(run.seed) for run in result.per_seed if run.seed is not None]
    if known:
        parts.append(f"seeds {', '.join(known)}")
    parts.extend(f"{name.replace('_', ' ')} {value}" for name, value in result.decoding.items())
    if result.document_frequencies != OF_REFERENCES:
        parts.append(f"n-gram weights of {result.document_frequencies}")
    return note(result, *parts, f"tokenizer {result.tokenizer}")


def _not_measured(results: Sequence[CaptionResult]) -> list[str]:
    reasons: set[str] = set()
    for result in results:
        reasons.update(f"- {name}: {reason}" for name, reason in result.skipped.items())
    if not reasons:
        return []
    return ["Not measured:", "", *sorted(reasons)]
