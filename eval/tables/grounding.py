"""Grounding results as JSON, and as one Markdown table with the methods that never read a phrase."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.grounding import MEASURES, difference_interval, grounding_metrics
from eval.results.files import results_of_kind
from eval.tables.retrieval import Setup, cell, commit_words, require_one_table, seeds_words, table_line
from vislang.backbones.feature_name import FeatureName
from vislang.core.provenance import provenance

KIND = "grounding"
_METHOD = "model"


def build_grounding(setup: Setup, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give everything about one row of the table as plain JSON values.

    Args:
        setup: what was grounded, with what.
        runs: one for each seed; "grounding" holds {method: what came of each phrase}, "info" is from `model_info`.

    Returns:
        the mean over seeds of each measure, for all phrases and for each kind, and those of the other methods.
    """
    per_seed = [grounding_metrics(run["grounding"][_METHOD]) for run in runs]
    baselines = {
        method: grounding_metrics(found) for method, found in runs[0]["grounding"].items() if method != _METHOD
    }
    best = max(baselines, key=lambda method: baselines[method]["all"]["pointing"])
    ends = [difference_interval(run["grounding"][_METHOD], run["grounding"][best]) for run in runs]
    pointing = [metrics["all"]["pointing"] for metrics in per_seed]
    return {
        "kind": KIND,
        "name": setup.name,
        "dataset": setup.dataset,
        "split": setup.split,
        "metrics": {
            kind: {name: float(np.mean([metrics[kind][name] for metrics in per_seed])) for name in ("count", *MEASURES)}
            for kind in per_seed[0]
        },
        "deviation": {
            name: float(np.std([metrics["all"][name] for metrics in per_seed], ddof=1)) if len(runs) > 1 else None
            for name in MEASURES
        },
        "baselines": baselines,
        "ahead": {
            "of": best,
            "points": float(np.mean(pointing)) - baselines[best]["all"]["pointing"],
            "interval": np.mean(ends, axis=0).tolist(),
        },
        "seeds": [run["info"]["seed"] for run in runs],
        "weights_fingerprints": [run["info"]["weights_fingerprint"] for run in runs],
        "config": dict(setup.config),
        "data_fingerprint": setup.data_fingerprint,
        **provenance(),
    }


def read_grounding(folder: str | Path, dataset: str, split: str) -> list[dict]:
    """Read the grounding results of one data set and split from a folder, best last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    needed = {"name", "dataset", "split", "metrics", "baselines", "ahead", "seeds"}
    found = results_of_kind(folder, "grounding-*.json", KIND, needed)
    results = [result for result in found if (result["dataset"], result["split"]) == (dataset, split)]
    return sorted(results, key=lambda result: result["metrics"]["all"]["pointing"])


def grounding_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split: methods that never read first, ours in bold.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    kinds = [kind for kind in results[-1]["metrics"] if kind != "all"]
    count = round(results[-1]["metrics"]["all"]["count"])
    lines = [
        f"# Phrases in their pictures: {dataset}, {split}",
        "",
        f"{count:,} phrases with boxes. Percent, higher is better. Pointing: the middle of the best region lies in a"
        " true box. R@K: one of the best K regions overlaps a true box by half. The bound is what the proposals allow.",
        "",
        table_line(["method", "pointing", "R@1", "R@5", "R@10", "bound", *[f"pointing: {kind}" for kind in kinds]]),
        "|---" * (6 + len(kinds)) + "|",
    ]
    for method, metrics in baseline_rows(results):
        recalls = 4 * ["–"] if method.startswith("centre") else _numbers(metrics["all"], MEASURES[1:5])
        lines.append(
            table_line([method, *_numbers(metrics["all"], MEASURES[:1]), *recalls, *_of_kinds(metrics, kinds)])
        )
    for result in results:
        numbers = [*_numbers(result["metrics"]["all"], MEASURES[:5]), *_of_kinds(result["metrics"], kinds)]
        lines.append(table_line([f"**{words}**" for words in (cell(result["name"]), *numbers)]))
    lines.append("")
    for result in results:
        low, high = result["ahead"]["interval"]
        lines.append(
            f"- {cell(result['name'])}: {result['ahead']['points']:.1f} points ahead of {result['ahead']['of']} in"
            f" pointing, 95 % interval over pictures {low:.1f} to {high:.1f}; {seeds_words(len(result['seeds']))};"
            f" {commit_words(result)}; {result.get('date', '')}"
        )
    return "\n".join(lines) + "\n"


def baseline_rows(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Give the methods that never read and their numbers, for each kind of proposals; named where there are more."""
    sets: dict[str, dict[str, Any]] = {}
    for result in results[::-1]:
        layers = result["config"].get("layers") or ["regions-?"]
        name = FeatureName.parse(layers[0])
        sets.setdefault(str(name).removeprefix(f"{name.kind}-"), result["baselines"])
    return [
        (f"{method} ({proposals})" if len(sets) > 1 else method, metrics)
        for proposals, baselines in sets.items()
        for method, metrics in baselines.items()
    ]


def _numbers(metrics: Mapping[str, float], names: Sequence[str]) -> list[str]:
    return [f"{metrics[name]:.1f}" for name in names]


def _of_kinds(metrics: Mapping[str, Mapping[str, float]], kinds: Sequence[str]) -> list[str]:
    return [f"{metrics[kind]['pointing']:.1f}" if kind in metrics else "–" for kind in kinds]
