"""Pointing results as JSON, and as one Markdown table with the methods that never read a phrase."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.grounding import difference_interval, grounding_metrics
from eval.metrics.pointing_game import MEASURES
from eval.results.files import results_of_kind
from eval.tables.retrieval import cell, commit_words, require_one_table, seeds_words, table_line
from vislang.core.errors import EvalError
from vislang.core.provenance import provenance

KIND = "pointing"
_OURS = "model"
# Recalled, of the test split of Flickr30k Entities.
_PUBLISHED = (("random †", 26.8, None), ("centre †", 49.2, None), ("Ramanishka et al. 2017 †", 50.1, None))


def build_pointing(
    place: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], baselines: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Give everything about one row of the table as plain JSON values.

    Args:
        place: "name", "dataset", "split" and "data_fingerprint".
        runs: one for each seed, with "info" from `model_info`, "pointed" {method: what came of each phrase}, "present"
            and "absent", the evidence of words that are and are not there, and "seconds".
        baselines: {method: what came of each phrase}.
    """
    others = {name: grounding_metrics(found, MEASURES) for name, found in baselines.items()}
    tables = [{name: grounding_metrics(found, MEASURES) for name, found in run["pointed"].items()} for run in runs]
    methods = {
        name: {
            kind: {what: float(np.mean([table[name][kind][what] for table in tables])) for what in ("count", *MEASURES)}
            for kind in tables[0][name]
        }
        for name in tables[0]
    }
    best = max(others, key=lambda name: others[name]["all"]["pointing"])
    ends = [difference_interval(run["pointed"][_OURS], baselines[best]) for run in runs]
    pointing = [table[_OURS]["all"]["pointing"] for table in tables]
    areas = [area_under_roc(run["present"], run["absent"]) for run in runs]
    return {
        "kind": KIND,
        **place,
        "methods": methods,
        "baselines": others,
        "deviation": float(np.std(pointing, ddof=1)) if len(runs) > 1 else None,
        "ahead": {
            "of": best,
            "points": float(np.mean(pointing)) - others[best]["all"]["pointing"],
            "interval": np.mean(ends, axis=0).tolist(),
        },
        "evidence": {
            "area_under_roc": float(np.mean(areas)),
            "present": len(runs[0]["present"]),
            "absent": len(runs[0]["absent"]),
        },
        "seeds": [run["info"]["seed"] for run in runs],
        "weights_fingerprints": [run["info"]["weights_fingerprint"] for run in runs],
        "config": dict(runs[0]["info"]["config"]),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        **provenance(),
    }


def area_under_roc(present: Sequence[float], absent: Sequence[float]) -> float:
    """Give the chance that a present word has more evidence than an absent one, equal ones counting half.

    Raises:
        EvalError: one of the two is empty.
    """
    if not len(present) or not len(absent):
        raise EvalError(f"{len(present)} present and {len(absent)} absent words, expected some of both")
    low = np.sort(absent)
    below = np.searchsorted(low, present, side="left") + np.searchsorted(low, present, side="right")
    return float(below.mean() / (2 * len(low)))


def read_pointing(folder: str | Path, dataset: str, split: str) -> list[dict]:
    """Read the pointing results of one data set and split from a folder, best last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    needed = {"name", "dataset", "split", "methods", "baselines", "ahead", "evidence", "seeds"}
    found = results_of_kind(folder, "pointing-*.json", KIND, needed)
    results = [result for result in found if (result["dataset"], result["split"]) == (dataset, split)]
    return sorted(results, key=lambda result: result["methods"][_OURS]["all"]["pointing"])


def pointing_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split: published, methods that never read, then ours, the main ones in bold.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    kinds = [kind for kind in results[-1]["baselines"]["random"] if kind != "all"]
    count = round(results[-1]["baselines"]["random"]["all"]["count"])
    lines = [
        f"# Pointing with the words of given captions: {dataset}, {split}",
        "",
        f"{count:,} phrases with boxes. Percent, higher is better. Pointing: the highest point of the phrase's map lies"
        " in a true box, no tolerance; correctness: the share of the map that does. † recalled, Flickr30k Entities.",
        "",
        table_line(["method", "pointing", "correctness", *[f"pointing: {kind}" for kind in kinds]]),
        "|---" * (3 + len(kinds)) + "|",
    ]
    for name, pointing, _ in _PUBLISHED:
        lines.append(table_line([name, f"{pointing:.1f}", "–", *["–" for _ in kinds]]))
    for name, metrics in results[-1]["baselines"].items():
        lines.append(table_line([name, *_numbers(metrics, kinds)]))
    for result in results:
        for name, metrics in result["methods"].items():
            words = [f"{cell(result['name'])}: {name}", *_numbers(metrics, kinds)]
            lines.append(table_line([f"**{word}**" for word in words] if name == _OURS else words))
    lines.append("")
    for result in results:
        low, high = result["ahead"]["interval"]
        told = result["evidence"]
        lines.append(
            f"- {cell(result['name'])}: {result['ahead']['points']:.1f} points ahead of {result['ahead']['of']} in"
            f" pointing, 95 % interval over pictures {low:.1f} to {high:.1f}; evidence tells {told['present']:,} words"
            f" that are there from {told['absent']:,} that are not with an area under ROC of"
            f" {told['area_under_roc']:.3f}; {seeds_words(len(result['seeds']))}; {commit_words(result)};"
            f" {result.get('date', '')}"
        )
    return "\n".join(lines) + "\n"


def _numbers(metrics: Mapping[str, Mapping[str, float]], kinds: Sequence[str]) -> list[str]:
    row = [f"{metrics['all'][name]:.1f}" for name in MEASURES]
    return row + [f"{metrics[kind]['pointing']:.1f}" if kind in metrics else "–" for kind in kinds]
