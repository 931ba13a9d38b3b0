"""Accuracies in each domain as JSON, and as one Markdown table of networks that were trained on different domains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.accuracy import accuracy_difference, accuracy_summary, confusion_matrix, usual_mistakes
from eval.results.files import results_of_kind
from eval.tables.retrieval import cell, commit_words, require_one_table, seeds_words, table_line
from vislang.core.provenance import provenance

KIND = "classification"
_NEEDED = {
    "name",
    "dataset",
    "split",
    "preset",
    "backbone",
    "trained_on",
    "learned_from",
    "classes",
    "domains",
    "answers",
    "seeds",
}
_MISTAKES = 3  # told of each domain


def build_classification(
    place: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], truth: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """Give everything about one row of the table as plain JSON values.

    Args:
        place: "name", "dataset", "split", "data_fingerprint", "classes", "trained_on" (domains) and
            "learned_from" (how many pictures).
        runs: one for each seed, with "info" from `eval.results.runs.model_info`, "answers" {picture: class} and
            "seconds".
        truth: {picture: (domain, class)}.
    """
    domains = {}
    for domain in dict.fromkeys(domain for domain, _ in truth.values()):
        ids = [name for name, (other, _) in truth.items() if other == domain]
        true = [truth[name][1] for name in ids]
        said = [[run["answers"][name] for name in ids] for run in runs]
        summary = accuracy_summary(np.array([[a == b for a, b in zip(one, true, strict=True)] for one in said]))
        domains[domain] = {**summary, "confusion": confusion_matrix(true, said, place["classes"])}
    info = runs[0]["info"]
    return {
        "kind": KIND,
        **place,
        "preset": info["preset"],
        "backbone": info["backbone"],
        "domains": domains,
        "interval_method": "95 % percentile bootstrap over pictures, mean over seeds",
        "answers": {
            name: {"domain": domain, "class": label, "said": [run["answers"][name] for run in runs]}
            for name, (domain, label) in truth.items()
        },
        "seeds": [run["info"]["seed"] for run in runs],
        "training_seconds": [run["info"]["training_seconds"] for run in runs],
        "weights_fingerprints": [run["info"]["weights_fingerprint"] for run in runs],
        "config": dict(info["config"]),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        **provenance(),
    }


def read_classification(folder: str | Path, dataset: str, split: str, fingerprint: str) -> list[dict]:
    """Read the results on one split of one data set from a folder, by preset, backbone and training domains.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    found = results_of_kind(folder, "classification-*.json", KIND, _NEEDED)
    results = [
        result
        for result in found
        if (result["dataset"], result["split"], result["data_fingerprint"]) == (dataset, split, fingerprint)
    ]
    return sorted(
        results, key=lambda one: (one["preset"], one["backbone"], len(one["trained_on"]), one["learned_from"])
    )


def answers_right(result: Mapping[str, Any], domain: str) -> NDArray[np.bool_]:
    """Give bool [S, N]: which pictures of a domain each network named rightly."""
    rows = [one for one in result["answers"].values() if one["domain"] == domain]
    return np.array([[said == one["class"] for said in one["said"]] for one in rows], bool).T


def classification_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split, then how far networks of one kind are apart, then usual mistakes.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    domains, classes = list(results[-1]["domains"]), len(results[-1]["classes"])
    pictures = ", ".join(f"{results[-1]['domains'][domain]['pictures']} {domain}" for domain in domains)
    lines = [
        f"# Classification in each domain: {cell(dataset)}, {split}",
        "",
        f"Per cent of pictures whose class is the network's first choice, of {classes} classes (chance"
        f" {100 / classes:.1f}); pictures: {pictures}. Mean ± standard deviation over seeds; in brackets the 95 %"
        " interval over pictures. Bold: domains that the network was trained on.",
        "",
        table_line(["network", "trained on", "pictures", *domains, "mean of domains"]),
        "|---" * (4 + len(domains)) + "|",
    ]
    lines += [_line(result, domains) for result in results]
    lines += ["", *_differences(results, domains), "", "## What is taken for what", ""]
    lines += ["The most frequent mistakes: true class → answer, how often over all seeds.", ""]
    lines += [_mistakes_line(result, domains) for result in results]
    lines += ["", *[_origin_line(result) for result in results]]
    return "\n".join(lines) + "\n"


def _line(result: Mapping[str, Any], domains: Sequence[str]) -> str:
    words = [
        cell(f"{result['preset']}, {result['backbone']}"),
        " + ".join(map(cell, result["trained_on"])),
        str(result["learned_from"]),
    ]
    for domain in domains:
        one = result["domains"][domain]
        low, high = one["interval"]
        deviation = "" if one["deviation"] is None else f" ± {one['deviation']:.1f}"
        number = f"{one['mean']:.1f}{deviation}"
        number = f"**{number}**" if domain in result["trained_on"] else number
        words.append(f"{number} ({low:.0f}–{high:.0f})")
    return table_line([*words, f"{np.mean([result['domains'][domain]['mean'] for domain in domains]):.1f}"])


def _differences(results: Sequence[Mapping[str, Any]], domains: Sequence[str]) -> list[str]:
    """Compare networks with equal settings that were trained on different domains, each with the next."""
    lines = []
    for one, other in zip(results, results[1:], strict=False):
        if one["config"] != other["config"]:
            continue
        told = []
        for domain in domains:
            ahead = accuracy_difference(answers_right(one, domain), answers_right(other, domain))
            told.append(f"{domain} {ahead['mean']:+.1f} ({ahead['interval'][0]:+.0f} to {ahead['interval'][1]:+.0f})")
        names = [f"{result['learned_from']} of {' + '.join(result['trained_on'])}" for result in (one, other)]
        kind = cell(f"{one['preset']}, {one['backbone']}")
        lines.append(f"- {kind}: trained on {names[0]} minus {names[1]}: {', '.join(told)}")
    return lines


def _mistakes_line(result: Mapping[str, Any], domains: Sequence[str]) -> str:
    told = []
    for domain in domains:
        found = usual_mistakes(result["domains"][domain]["confusion"], result["classes"], _MISTAKES)
        words = ", ".join(f"{true} → {said} {count}" for true, said, count in found)
        told.append(f"{domain}: {words or 'none'}")
    return f"- {cell(result['name'])}: {'; '.join(told)}"


def _origin_line(result: Mapping[str, Any]) -> str:
    parts = [seeds_words(len(result["seeds"])), commit_words(result), str(result.get("date", ""))]
    return f"- {cell(result['name'])}: {'; '.join(parts)}"
