"""Captions of boxes as JSON, and as one Markdown table: models of regions beside models of whole pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.captions.score import score_captions
from eval.results.files import results_of_kind
from eval.tables.retrieval import cell, commit_words, require_one_table, seeds_words, table_line
from vislang.core.provenance import provenance

KIND = "region-captions"
_COLUMNS = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider")
_HEADER = ("model", "sees", "BLEU-1", "2", "3", "4", "METEOR", "ROUGE-L", "CIDEr", "source")
# BLEU recalled, the others verified: regions of COCO, 45 snippets of people for each picture.
_PUBLISHED = (
    ("people †", "regions of COCO", (61.5, 45.2, 30.1, 22.0, None, None, None)),
    ("full-frame RNN †", "regions of COCO", (14.2, 6.0, 2.2, 0.0, 13.3, 21.0, 20.3)),
    ("region RNN †", "regions of COCO", (35.2, 23.0, 16.1, 14.8, 15.8, 35.1, 61.6)),
)
_KARPATHY = "Karpathy and Fei-Fei 2015"


def build_region_result(
    place: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], references: Mapping[Any, Sequence[str]], **scoring: Any
) -> dict[str, Any]:
    """Score the captions of one row's seeds.

    Args:
        place: "name", "dataset", "split" and "data_fingerprint".
        runs: for each seed "captions", one for each of the references in order, "info" from `model_info`, "of" what it
            reads, and "seconds".
        references: for each box the phrases that name it.
        **scoring: of `eval.metrics.captions.score.score_captions`.
    """
    scores = [
        score_captions(dict(zip(references, run["captions"], strict=True)), references, **scoring) for run in runs
    ]
    columns = {name: [100 * one.corpus[name] for one in scores if name in one.corpus] for name in _COLUMNS}
    info = runs[0]["info"]
    return {
        "kind": KIND,
        **place,
        "reads": runs[0]["of"],
        "num_boxes": len(references),
        "metrics": {name: float(np.mean(values)) if values else None for name, values in columns.items()},
        "deviation": {
            name: float(np.std(values, ddof=1)) if len(values) > 1 else None for name, values in columns.items()
        },
        "tokenizer": scores[0].tokenizer,
        "skipped": scores[0].skipped,
        "seeds": [run["info"]["seed"] for run in runs],
        "weights_fingerprints": [run["info"]["weights_fingerprint"] for run in runs],
        "config": dict(info["config"]),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        **provenance(),
    }


def read_region_results(folder: str | Path, dataset: str, split: str) -> list[dict]:
    """Read the results of one data set and split from a folder, best CIDEr last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    needed = {"name", "dataset", "split", "metrics", "deviation", "reads", "seeds", "num_boxes"}
    found = results_of_kind(folder, "region-captions-*.json", KIND, needed)
    results = [result for result in found if (result["dataset"], result["split"]) == (dataset, split)]
    return sorted(results, key=lambda result: result["metrics"]["cider"] or 0.0)


def region_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of one data set and split, published rows first.

    Raises:
        EvalError: no results, or of several data sets or splits.
    """
    dataset, split = require_one_table(results)
    lines = [
        f"# Captions of regions: {dataset}, {split}",
        "",
        f"{results[-1]['num_boxes']:,} boxes that people drew, against the phrases that name what is in them. In"
        " percent, higher is better. A model that sees whole pictures is shown the cut-out box.",
        "",
        table_line(list(_HEADER)),
        "|---" * len(_HEADER) + "|",
    ]
    for name, sees, numbers in _PUBLISHED:
        lines.append(table_line([name, sees, *["–" if one is None else f"{one:.1f}" for one in numbers], _KARPATHY]))
    for result in results:
        ours = [_words(result, name) for name in _COLUMNS]
        bold = [f"**{words}**" for words in (cell(result["name"]), result["reads"], *ours)]
        lines.append(table_line([*bold, f"here, {seeds_words(len(result['seeds']))}"]))
    lines += [
        "",
        "† METEOR, ROUGE-L and CIDEr from the paper, BLEU recalled; another data set, 45 references for a picture.",
        "Models of whole pictures write sentences; the phrases are short.",
        "",
    ]
    lines += [f"- {cell(result['name'])}: {commit_words(result)}; {result.get('date', '')}" for result in results]
    return "\n".join(lines) + "\n"


def _words(result: Mapping[str, Any], name: str) -> str:
    value, deviation = result["metrics"][name], result["deviation"][name]
    if value is None:
        return "–"
    return f"{value:.1f}" if deviation is None else f"{value:.1f} ± {deviation:.1f}"
