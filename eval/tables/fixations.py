"""Fixation results as JSON, and as one Markdown table with people, the centre and bottom-up saliency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.metrics.fixations.evaluate import FixationProtocol, FixationScores
from eval.results.files import results_of_kind
from eval.tables.retrieval import cell, commit_words, table_line
from vislang.core.provenance import provenance

KIND = "fixations"
PEOPLE = "people, one left out"
_COLUMNS = {  # metric: heading and digits
    "sauc_exact": ("sAUC", 3),
    "sauc_ten_exact": ("sAUC, ten others", 3),
    "sauc": ("sAUC, benchmark", 3),
    "nss": ("NSS", 2),
    "cc": ("CC", 3),
    "auc_judd": ("AUC-Judd", 3),
    "auc_judd_exact": ("AUC-Judd, exact", 3),
    "auc_borji": ("AUC-Borji", 3),
    "sim": ("SIM", 3),
    "kl": ("KL", 2),
    "ig": ("IG", 2),
}
_WITH_INTERVALS = ("sauc_exact", "nss", "cc", "auc_judd")
_NEEDED = {"name", "dataset", "pictures", "protocol", "methods", "baselines", "ahead"}


def build_fixations(
    place: Mapping[str, Any],
    protocol: FixationProtocol,
    methods: Mapping[str, FixationScores],
    baselines: Mapping[str, FixationScores],
    *,
    seconds: float,
) -> dict[str, Any]:
    """Give everything about one result as plain JSON values.

    Args:
        place: "name", "dataset", "data_fingerprint", "pictures", "fixations" and "outside".
        protocol: how maps were judged.
        methods: {row of the table: scores}, the first as it is, then with a centre prior; may be empty.
        baselines: the same of what knows no model, people among them.
        seconds: spent.
    """
    bottom_up = {name: one for name, one in baselines.items() if name not in (PEOPLE, "centre", "uniform")}
    rivals = bottom_up or {name: one for name, one in baselines.items() if name != PEOPLE}
    best = max(rivals, key=lambda name: (rivals[name].summary()["sauc_exact"] or {"mean": 0.0})["mean"])
    return {
        "kind": KIND,
        **place,
        "protocol": protocol.to_json(),
        "methods": {name: one.summary() for name, one in methods.items()},
        "baselines": {name: one.summary() for name, one in baselines.items()},
        "ahead": {"of": best, "by": {name: one.ahead_of(rivals[best]) for name, one in methods.items()}},
        "skipped": {name: list(map(list, one.skipped)) for name, one in methods.items() if one.skipped},
        "seconds": round(seconds, 1),
        **provenance(),
    }


def protocol_suffix(protocol: Mapping[str, Any]) -> str:
    """Give what tells files of a protocol from those of the usual one: nothing, or such as "-blur0"."""
    usual = FixationProtocol()
    parts = [] if protocol["blur"] == usual.blur else [f"-blur{protocol['blur']:g}"]
    return "".join(parts + ([] if protocol["seed"] == usual.seed else [f"-seed{protocol['seed']}"]))


def read_fixation_results(folder: str | Path, like: Mapping[str, Any]) -> list[dict]:
    """Read the results of the same data set, pictures and protocol as one, but for the centre prior, best last.

    Raises:
        EvalError: a file says that it is such a result but lacks a part of one.
    """
    found = results_of_kind(folder, "fixations-*.json", KIND, _NEEDED)
    results = [result for result in found if _compared(result) == _compared(like) and result["methods"]]
    return sorted(results, key=lambda result: _mean(next(iter(result["methods"].values())), "sauc_exact"))


def _compared(result: Mapping[str, Any]) -> tuple[Any, ...]:
    protocol = {name: value for name, value in result["protocol"].items() if name != "centre_prior"}
    return result["dataset"], result["pictures"], result.get("data_fingerprint"), protocol


def fixations_table(results: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]) -> str:
    """Write the table of one data set and protocol.

    Args:
        results: of models, best last; may be empty.
        baselines: the result whose baselines are shown.
    """
    protocol, width = baselines["protocol"], len(_COLUMNS) + 1
    blur = f"smoothed by a Gaussian of {protocol['blur']:.1%} of the width" if protocol["blur"] else "not smoothed"
    lines = [
        f"# Where people look: {cell(baselines['dataset'])}",
        "",
        f"{baselines['pictures']:,} pictures, {baselines['fixations']:,} fixations inside of them,"
        f" {baselines['outside']:,} left out. Every map is {blur}. Higher is better but for KL. sAUC: the chance that a"
        " fixation lies higher than one made on another picture, ties counting half; benchmark: thresholds of"
        f" {protocol['step']:g}, {protocol['splits']} draws from {protocol['others']} pictures. IG: bits against the"
        f" centre Gaussian (deviation {protocol['centre_deviation']:g} of the sides). In brackets: 95 % interval over"
        " pictures.",
        "",
        table_line(["method", *[heading for heading, _ in _COLUMNS.values()]]),
        "|---" * width + "|",
    ]
    people = {name: one for name, one in baselines["baselines"].items() if name == PEOPLE}
    others = {name: one for name, one in baselines["baselines"].items() if name != PEOPLE}
    for name, summary in others.items():
        lines.append(table_line([cell(name), *_numbers(summary)]))
    for result in results:
        for row, (name, summary) in enumerate(result["methods"].items()):
            words = [cell(name), *_numbers(summary)]
            lines.append(table_line([f"**{word}**" for word in words] if row == 0 else words))
    for name, summary in people.items():
        lines.append(table_line([cell(name), *_numbers(summary)]))
    lines += ["", *[_ahead_line(result) for result in results]]
    lines.append(f"- baselines: {commit_words(baselines)}; {baselines.get('date', '')}")
    return "\n".join(lines) + "\n"


def _ahead_line(result: Mapping[str, Any]) -> str:
    name = next(iter(result["methods"]))
    ahead = result["ahead"]["by"][name]["sauc_exact"]
    told = "" if ahead is None else f"{ahead['mean']:+.3f} ({ahead['low']:+.3f} to {ahead['high']:+.3f})"
    missing = sum(len(one) for one in result.get("skipped", {}).values())
    return (
        f"- {cell(name)}: sAUC {told} against {result['ahead']['of']}, 95 % interval over pictures;"
        f"{f' {missing} maps missing;' if missing else ''} {commit_words(result)}; {result.get('date', '')}"
    )


def _numbers(summary: Mapping[str, Any]) -> list[str]:
    row = []
    for metric, (_, digits) in _COLUMNS.items():
        found = summary[metric]
        interval = f" ({found['low']:.{digits}f}–{found['high']:.{digits}f})" if found else ""
        shown = f"{round(found['mean'], digits) + 0.0:.{digits}f}" if found else "–"  # + 0.0: no minus before 0
        row.append(shown + interval if metric in _WITH_INTERVALS else shown)
    return row


def _mean(summary: Mapping[str, Any], metric: str) -> float:
    return summary[metric]["mean"] if summary[metric] else float("-inf")
