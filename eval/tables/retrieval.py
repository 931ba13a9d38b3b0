"""Retrieval results as JSON for machines and as one Markdown table with published numbers beside ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.bootstrap import RESAMPLES, bootstrap_intervals
from eval.metrics.ranking import Ranks
from eval.metrics.retrieval import METRICS, retrieval_metrics
from eval.published.retrieval import Published, published_rows
from vislang.core.errors import EvalError
from vislang.core.files import read_json
from vislang.core.provenance import provenance

COLUMNS = ("i2t_r1", "i2t_r5", "i2t_r10", "i2t_medr", "t2i_r1", "t2i_r5", "t2i_r10", "t2i_medr")
KIND = "retrieval"


@dataclass(frozen=True)
class Setup:
    """What was ranked, and how; equal for all seeds of one row."""

    name: str
    dataset: str
    split: str
    protocol: str = "full"
    system: str = "vse"
    config: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str | None = None
    repeated: bool = False  # the folds of a run are its checkpoints over the same images


@dataclass(frozen=True)
class SeedRun:
    """The ranks of one trained model: one pass, one of each fold, or one of each checkpoint that was kept."""

    folds: Sequence[Ranks]
    seed: int | None = None
    checkpoint: str = ""
    weights_fingerprint: str | None = None
    training_seconds: float | None = None


def build_result(setup: Setup, runs: Sequence[SeedRun], *, seconds: float, resamples: int = RESAMPLES) -> dict:
    """Give everything about one row of the table as plain JSON values.

    Args:
        setup: what was ranked.
        runs: one for each seed; the metrics are means over them.
        seconds: how long embedding and ranking took.
        resamples: for the bootstrap intervals.

    Raises:
        EvalError: no runs, or runs over other images.
    """
    intervals = bootstrap_intervals([run.folds for run in runs], resamples=resamples)
    per_seed = [retrieval_metrics(run.folds).to_json() for run in runs]
    columns = {name: [metrics[name] for metrics in per_seed] for name in METRICS}
    folds = runs[0].folds[:1] if setup.repeated else runs[0].folds
    num_images = sum(len(fold.image_to_text) for fold in folds)
    return {
        "kind": KIND,
        "name": setup.name,
        "system": setup.system,
        "dataset": setup.dataset,
        "split": setup.split,
        "protocol": setup.protocol,
        "setting": setting_name(num_images, len(folds)),
        "num_images": num_images,
        "num_captions": sum(len(fold.text_to_image) for fold in folds),
        "checkpoints_per_seed": len(runs[0].folds) if setup.repeated else 1,
        "metrics": {name: float(np.mean(values)) for name, values in columns.items()},
        "deviation": {
            name: float(np.std(values, ddof=1)) if len(runs) > 1 else None for name, values in columns.items()
        },
        "intervals": {name: list(ends) for name, ends in intervals.items()},
        "interval_method": f"95 % percentile bootstrap over images, {resamples} resamples, mean over seeds",
        "seeds": [run.seed for run in runs],
        "per_seed": [
            {
                "seed": run.seed,
                "checkpoint": run.checkpoint,
                "weights_fingerprint": run.weights_fingerprint,
                "training_seconds": run.training_seconds,
                "metrics": metrics,
            }
            for run, metrics in zip(runs, per_seed, strict=True)
        ],
        "config": dict(setup.config),
        "data_fingerprint": setup.data_fingerprint,
        "seconds": round(seconds, 2),
        **provenance(),
    }


def setting_name(num_images: int, num_folds: int) -> str:
    """Name the size of the collection that was searched: "1k", "5k", "5x1k", or the plain number of images."""
    size = num_images // num_folds
    words = f"{size // 1000}k" if size % 1000 == 0 else str(size)
    return words if num_folds == 1 else f"{num_folds}x{words}"


def read_results(folder: str | Path, dataset: str, split: str) -> list[dict]:
    """Read the retrieval results of one data set and split from a folder, best sum of recalls last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    results = []
    for path in sorted(Path(folder).glob("*.json")):
        result = read_json(path, "result", "delete it or run eval.run again")
        if not isinstance(result, dict) or result.get("kind") != KIND:
            continue
        missing = {"name", "dataset", "split", "setting", "metrics", "deviation", "intervals", "seeds"} - set(result)
        if missing or set(METRICS) - set(result["metrics"]):
            raise EvalError(f"result {path} lacks {sorted(missing) or 'metrics'}; delete it or run eval.run again")
        if (result["dataset"], result["split"]) == (dataset, split):
            results.append(result)
    return sorted(results, key=lambda result: result["metrics"]["rsum"])


def markdown_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split: published rows first, ours in bold.

    Args:
        results: what `build_result` gave, one or more, of one data set and split.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    lines = [
        f"# Image-sentence retrieval: {dataset}, {split}",
        "",
        "Recall in percent (higher is better) and median rank (lower is better). Bold rows are measured here by"
        " `python -m eval.run`, mean ± standard deviation over seeds; ties count against us.",
    ]
    for setting in dict.fromkeys(result["setting"] for result in results):
        ours = [result for result in results if result["setting"] == setting]
        lines += ["", f"## {setting_words(setting)}", "", *_HEADER]
        lines += [_published_line(row) for row in published_rows(dataset, setting)]
        lines += [_our_line(result) for result in ours]
        lines += ["", *[_origin_line(result) for result in ours]]
    lines += ["", "† recalled, not verified against the source. ‡ the image network was trained further."]
    return "\n".join(lines) + "\n"


def require_one_table(results: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Give the data set and split that all results share.

    Raises:
        EvalError: there is not exactly one.
    """
    tables = {(result["dataset"], result["split"]) for result in results}
    if len(tables) != 1:
        raise EvalError(f"results are of {sorted(tables) or 'nothing'}, expected one data set and split for one table")
    return tables.pop()


def setting_words(setting: str) -> str:
    """Say what "1k" or "5x1k" means."""
    folds, times, size = setting.rpartition("x")
    images = f"{int(size[:-1]) * 1000:,}" if size.endswith("k") else f"{int(size):,}"
    return f"mean of {folds} folds of {images} images" if times else f"one pass over {images} images"


def value_words(name: str, value: float | None, deviation: float | None = None) -> str:
    """Write one number of the table, such as "22.3", "22.3 ± 0.4", "6" or "–".

    Args:
        name: a key of `RetrievalMetrics`; median ranks lose a trailing ".0".
        value: the number, None when nobody published it.
        deviation: over seeds, None when there is only one.
    """
    if value is None:
        return "–"
    digits = 3 if name.endswith("mrr") else 1
    words = f"{value:.{digits}f}"
    words = words.removesuffix(".0") if name.endswith("medr") else words
    return words if deviation is None else f"{words} ± {deviation:.{digits}f}"


_HEADER = (
    "| method | image → text R@1 | R@5 | R@10 | median | text → image R@1 | R@5 | R@10 | median | source |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def _published_line(row: Published) -> str:
    marks = " †" * row.recalled + " ‡" * (not row.frozen)
    numbers = [value_words(name, value) for name, value in zip(COLUMNS, (*row.i2t, *row.t2i), strict=True)]
    return table_line([row.method + marks, *numbers, row.source])


def _our_line(result: Mapping[str, Any]) -> str:
    numbers = [value_words(name, result["metrics"][name], result["deviation"][name]) for name in COLUMNS]
    seeds = len(result["seeds"])
    return table_line([f"**{words}**" for words in (cell(result["name"]), *numbers)] + [f"here, {seeds_words(seeds)}"])


def seeds_words(seeds: int) -> str:
    """Write "1 seed" or "5 seeds"."""
    return f"{seeds} seed" + "s" * (seeds != 1)


def _origin_line(result: Mapping[str, Any]) -> str:
    low, high = result["intervals"]["rsum"]
    parts = [
        f"sum of recalls {value_words('rsum', result['metrics']['rsum'], result['deviation']['rsum'])}",
        f"95 % interval over images {low:.1f} to {high:.1f}",
        f"seeds {', '.join(str(seed) for seed in result['seeds'])}",
        commit_words(result),
        str(result.get("date", "")),
    ]
    return f"- {cell(result['name'])}: {'; '.join(part for part in parts if part)}"


def commit_words(result: Mapping[str, Any]) -> str:
    """Say which commit a result was made with."""
    if not result.get("commit"):
        return "outside git"
    return f"commit {result['commit'][:10]}{' with changes' if result['dirty'] else ''}"


def table_line(cells: Sequence[str]) -> str:
    """Write one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """Make a text safe inside a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
