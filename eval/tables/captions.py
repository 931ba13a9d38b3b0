"""Captions: results of scores over seeds, and their table with baselines and published rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from eval.metrics.bootstrap import RESAMPLES
from eval.metrics.captions.bootstrap import mean_intervals
from eval.metrics.captions.diversity import caption_diversity
from eval.metrics.captions.score import BLEU_NAMES, Captions, CaptionScores
from eval.published.captions import published_captions
from eval.results.kinds import BASELINE, OF_REFERENCES, CaptionResult, CaptionSeedRun
from eval.results.models import Run, summarize_runs
from eval.results.result import Row, Scores
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


@dataclass(frozen=True, kw_only=True)
class CaptionRun(Run):
    """The captions of one captioner or baseline.

    Attributes:
        key: tells apart the runs of one command.
        captions: one for each image id.
        system: "captioner" or BASELINE.
        decoding: how captions were found; empty for baselines.
    """

    key: str
    captions: Captions
    system: str = "captioner"
    decoding: dict[str, Any] = field(default_factory=dict)


def caption_result(
    row: Row,
    runs: Sequence[CaptionRun],
    scores: Mapping[str, CaptionScores],
    *,
    training: Sequence[str] | None = None,
    document_frequencies: str = OF_REFERENCES,
    resamples: int = RESAMPLES,
) -> CaptionResult:
    """Compute the result of one row; scores are times 100.

    Args:
        row: what was captioned.
        runs: one for each seed; the metrics are means over them.
        scores: of the captions of each run, by its key.
        training: captions that the captioner was trained on, for novelty.
        document_frequencies: what weighs the n-grams of CIDEr.
        resamples: of the bootstrap intervals.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    of_runs = [scores[run.key] for run in runs]
    metrics, std, seed_runs = summarize_runs(runs, [percent(one.corpus) for one in of_runs])
    per_seed = []
    for run, seed_run in zip(runs, seed_runs, strict=True):
        diversity = caption_diversity(list(run.captions.values()), training)
        per_seed.append(CaptionSeedRun(**vars(seed_run), diversity=asdict(diversity)))
    return CaptionResult(
        **vars(row),
        metrics=metrics,
        std=std,
        intervals=percent_intervals(mean_intervals(of_runs, resamples=resamples)),
        interval_method=f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        per_seed=tuple(per_seed),
        num_images=len(of_runs[0].image_ids),
        diversity=_mean_diversity([run.diversity for run in per_seed]),
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
