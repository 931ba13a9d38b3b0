"""Captions: results of scores over seeds, and their table with baselines and published rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from eval.metrics.bootstrap import RESAMPLES
from eval.metrics.captions.bootstrap import mean_intervals
from eval.metrics.captions.diversity import CaptionDiversity
from eval.metrics.captions.score import BLEU_NAMES, CaptionScores
from eval.published.captions import published_captions
from eval.results.kinds import BASELINE, OF_REFERENCES, CaptionResult, CaptionSeedRun
from eval.results.result import Row, Scores, summarize_seeds
from eval.tables.markdown import NOTHING, bold, cell, named, note, number, one_table, section, seeds, table_lines

COLUMNS = (*BLEU_NAMES, "meteor", "rouge_l", "cider")
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


@dataclass(frozen=True)
class ScoredRun:
    """The captions of one trained model, scored."""

    scores: CaptionScores
    diversity: CaptionDiversity
    seed_run: CaptionSeedRun


def caption_result(
    row: Row,
    runs: Sequence[ScoredRun],
    *,
    document_frequencies: str = OF_REFERENCES,
    decoding: dict[str, Any] | None = None,
    resamples: int = RESAMPLES,
) -> CaptionResult:
    """Compute the result of one row; scores are times 100.

    Args:
        row: what was captioned.
        runs: one for each seed; the metrics are means over them.
        document_frequencies: what weighs the n-grams of CIDEr.
        decoding: how captions were found.
        resamples: of the bootstrap intervals.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    intervals = {}
    for name, (low, high) in mean_intervals([run.scores for run in runs], resamples=resamples).items():
        intervals[name] = (100 * low, 100 * high)
    per_seed = []
    for run in runs:
        metrics = percent(run.scores.corpus)
        per_seed.append(replace(run.seed_run, metrics=metrics, diversity=asdict(run.diversity)))
    metrics, std = summarize_seeds([run.metrics for run in per_seed])
    scores = runs[0].scores
    return CaptionResult(
        **vars(row),
        metrics=metrics,
        std=std,
        intervals=intervals,
        interval_method=f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        per_seed=tuple(per_seed),
        num_images=len(scores.image_ids),
        diversity=_mean_diversity([run.diversity for run in per_seed]),
        tokenizer=scores.tokenizer,
        document_frequencies=document_frequencies,
        decoding=decoding or {},
        skipped=dict(scores.skipped),
    )


def percent(corpus: Scores) -> Scores:
    """Return scores times 100, as the papers print them."""
    return {name: 100 * value for name, value in corpus.items()}


def _mean_diversity(per_seed: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for name in per_seed[0]:
        values = [diversity[name] for diversity in per_seed]
        means[name] = None
        if None not in values:
            means[name] = float(np.mean(np.array(values, float)))
    return means


def caption_section(results: Sequence[CaptionResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split: published rows first, then baselines, ours in bold.

    Args:
        results: one or more, of one data set and split, best last.
        folder: path of the results' folder for links; None: no links.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    last = one_table(results)
    rows = []
    for published in published_captions(last.dataset, last.split):
        numbers = [number(published.value(name)) for name in COLUMNS]
        rows.append([published.marked_method(), *numbers, published.source])
    for result in results:
        numbers = [number(result.metrics.get(name), result.std.get(name)) for name in COLUMNS]
        rows.append([*bold([named(result, folder), *numbers]), row_source(result)])
    return section(
        f"Captions: {last.dataset}, {last.split}",
        "Scores times 100, higher is better. Bold rows are measured here by `python -m eval.run captions`, mean ±"
        " standard deviation over seeds. Baselines copy a caption of the training images.",
        table_lines(["method", *TITLES, "source"], rows),
        caption_footnote(last.dataset, last.split),
        "### Diversity",
        "New captions are those that are no training caption.",
        table_lines(["method", *DIVERSITY.values()], list(map(_diversity_row, results))),
        list(map(_note, results)),
        _not_measured(results),
    )


def caption_footnote(dataset: str, split: str) -> str:
    """Return the footnote where a published row bears its mark, else ""."""
    if all(row.frozen for row in published_captions(dataset, split)):
        return ""
    return FOOTNOTE


def row_source(result: CaptionResult) -> str:
    """Return where a row of ours comes from."""
    if result.system == BASELINE:
        return "here, baseline"
    return f"here, {seeds(result)}"


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


def _diversity_row(result: CaptionResult) -> list[str]:
    return [cell(result.name), *(diversity_number(name, result.diversity.get(name)) for name in DIVERSITY)]


def _note(result: CaptionResult) -> str:
    parts = [f"{result.num_images:,} images"]
    if "cider" in result.intervals:
        low, high = result.intervals["cider"]
        parts.append(f"CIDEr's 95 % interval over images {low:.1f} to {high:.1f}")
    known = []
    for run in result.per_seed:
        if run.seed is not None:
            known.append(str(run.seed))
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
