"""Caption results as JSON for machines and as one Markdown table with published numbers beside ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.bootstrap import RESAMPLES
from eval.metrics.captions.bootstrap import mean_intervals
from eval.metrics.captions.diversity import CaptionDiversity
from eval.metrics.captions.score import BLEU_NAMES, CaptionScores
from eval.published.captions import published_captions
from eval.results.files import results_of_kind
from eval.tables.retrieval import cell, commit_words, require_one_table, seeds_words, table_line
from vislang.core.provenance import provenance

COLUMNS = (*BLEU_NAMES, "meteor", "rouge_l", "cider")
TITLES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
KIND = "captions"
CAPTIONER, BASELINE = "captioner", "baseline"
OF_REFERENCES = "of the references"
FOOTNOTE = "‡ the image network was trained further."


@dataclass(frozen=True)
class CaptionSetup:
    """What was captioned, and how; equal for all seeds of one row.

    Attributes:
        name: of the row.
        dataset: as in the tables.
        split: of the data set.
        system: "captioner" or "baseline".
        config: every setting of the model.
        decoding: how captions were found, such as {"method": "beam", "width": 5}.
        document_frequencies: what CIDEr weighs words with; published scores take them from the references scored.
        data_fingerprint: of the images and references.
    """

    name: str
    dataset: str
    split: str
    system: str = CAPTIONER
    config: Mapping[str, Any] = field(default_factory=dict)
    decoding: Mapping[str, Any] = field(default_factory=dict)
    document_frequencies: str = OF_REFERENCES
    data_fingerprint: str | None = None


@dataclass(frozen=True)
class CaptionRun:
    """The captions of one trained model, scored."""

    scores: CaptionScores
    diversity: CaptionDiversity
    seed: int | None = None
    checkpoint: str = ""
    weights_fingerprint: str | None = None
    training_seconds: float | None = None


def build_caption_result(
    setup: CaptionSetup, runs: Sequence[CaptionRun], *, seconds: float, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Give everything about one row of the table as plain JSON values; scores are times 100.

    Args:
        setup: what was captioned.
        runs: one for each seed; the metrics are means over them.
        seconds: how long captioning took.
        resamples: for the bootstrap intervals.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    intervals = mean_intervals([run.scores for run in runs], resamples=resamples)
    per_seed = [percent(run.scores.corpus) for run in runs]
    columns = {name: [metrics[name] for metrics in per_seed] for name in intervals}
    diversity = [run.diversity.to_json() for run in runs]
    first = runs[0].scores
    return {
        "kind": KIND,
        "name": setup.name,
        "system": setup.system,
        "dataset": setup.dataset,
        "split": setup.split,
        "num_images": len(first.image_ids),
        "metrics": {name: float(np.mean(values)) for name, values in columns.items()},
        "deviation": {
            name: float(np.std(values, ddof=1)) if len(runs) > 1 else None for name, values in columns.items()
        },
        "intervals": {name: [100 * end for end in ends] for name, ends in intervals.items()},
        "interval_method": f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        "diversity": {name: _mean([one[name] for one in diversity]) for name in diversity[0]},
        "seeds": [run.seed for run in runs if run.seed is not None],
        "per_seed": [
            {
                "seed": run.seed,
                "checkpoint": run.checkpoint,
                "weights_fingerprint": run.weights_fingerprint,
                "training_seconds": run.training_seconds,
                "metrics": metrics,
                "diversity": said,
            }
            for run, metrics, said in zip(runs, per_seed, diversity, strict=True)
        ],
        "tokenizer": first.tokenizer,
        "skipped": dict(first.skipped),
        "document_frequencies": setup.document_frequencies,
        "decoding": dict(setup.decoding),
        "config": dict(setup.config),
        "data_fingerprint": setup.data_fingerprint,
        "seconds": round(seconds, 2),
        **provenance(),
    }


def percent(corpus: Mapping[str, float]) -> dict[str, float]:
    """Give scores times 100, as the papers print them."""
    return {name: 100 * value for name, value in corpus.items()}


def read_caption_results(folder: str | Path, dataset: str, split: str) -> list[dict[str, Any]]:
    """Read the caption results of one data set and split from a folder, best CIDEr last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    needed = {"name", "system", "dataset", "split", "metrics", "deviation", "intervals", "diversity", "seeds"}
    found = results_of_kind(folder, "*.json", KIND, needed)
    results = [result for result in found if (result["dataset"], result["split"]) == (dataset, split)]
    return sorted(results, key=lambda result: (result["system"] != BASELINE, result["metrics"].get("cider", 0.0)))


def footnotes(dataset: str, split: str) -> list[str]:
    """Give the footnote, after an empty line, where a published row bears its mark; else nothing."""
    return [] if all(row.frozen for row in published_captions(dataset, split)) else ["", FOOTNOTE]


def caption_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split: published rows first, then baselines, ours in bold.

    Args:
        results: what `build_caption_result` gave, one or more, of one data set and split.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    lines = [
        f"# Captions: {dataset}, {split}",
        "",
        "Scores times 100, higher is better. Bold rows are measured here by `python -m eval.run --task captions`,"
        " mean ± standard deviation over seeds. Baselines borrow a caption of the training images.",
        "",
        table_line(["method", *TITLES, "source"]),
        "|---" * (len(TITLES) + 2) + "|",
    ]
    for row in published_captions(dataset, split):
        numbers = [score_words(row.value(name)) for name in COLUMNS]
        lines.append(table_line([row.method + " ‡" * (not row.frozen), *numbers, row.source]))
    for result in results:
        numbers = [score_words(result["metrics"].get(name), result["deviation"].get(name)) for name in COLUMNS]
        words = [cell(result["name"]), *numbers]
        lines.append(table_line([f"**{word}**" for word in words] + [source_words(result)]))
    lines += footnotes(dataset, split)
    lines += ["", "## What they say", "", *_diversity_table(results)]
    lines += ["", *[_origin_line(result) for result in results]]
    reasons = {f"- {name}: {why}" for result in results for name, why in result.get("skipped", {}).items()}
    return "\n".join(lines + (["", "Not measured:", "", *sorted(reasons)] if reasons else [])) + "\n"


def score_words(value: float | None, deviation: float | None = None) -> str:
    """Write one score of the table, such as "22.3", "22.3 ± 0.4" or "–"."""
    if value is None:
        return "–"
    return f"{value:.1f}" if deviation is None else f"{value:.1f} ± {deviation:.1f}"


def source_words(result: Mapping[str, Any]) -> str:
    """Say where a row of ours comes from."""
    return "here, baseline" if result["system"] == BASELINE else f"here, {seeds_words(len(result['seeds']))}"


DIVERSITY = {
    "novelty": "new, % of captions",
    "distinct": "different captions",
    "vocabulary": "words used",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "mean_length": "words each",
}


def diversity_words(name: str, value: float | None) -> str:
    """Write one number of the table of variety."""
    if value is None:
        return "–"
    if name in ("distinct", "vocabulary"):
        return f"{value:,.0f}"
    return (
        f"{100 * value:.1f}" if name == "novelty" else f"{value:.3f}" if name.startswith("distinct") else f"{value:.1f}"
    )


def _diversity_table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["New captions are those that training never showed word for word.", ""]
    lines += [table_line(["method", *DIVERSITY.values()]), "|---" * (len(DIVERSITY) + 1) + "|"]
    for result in results:
        words = [diversity_words(name, result["diversity"].get(name)) for name in DIVERSITY]
        lines.append(table_line([cell(result["name"]), *words]))
    return lines


def _origin_line(result: Mapping[str, Any]) -> str:
    parts = [f"{result['num_images']:,} images"]
    if "cider" in result["intervals"]:
        low, high = result["intervals"]["cider"]
        parts.append(f"CIDEr's 95 % interval over images {low:.1f} to {high:.1f}")
    if result["seeds"]:
        parts.append(f"seeds {', '.join(str(seed) for seed in result['seeds'])}")
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in result.get("decoding", {}).items()]
    if (table := result.get("document_frequencies", OF_REFERENCES)) != OF_REFERENCES:
        parts.append(f"n-gram weights of {table}")
    parts += [f"tokenizer {result.get('tokenizer')}", commit_words(result), str(result.get("date", ""))]
    return f"- {cell(result['name'])}: {'; '.join(part for part in parts if part)}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
