"""Eye fixations: results of saliency maps, and their table with baselines and inter-observer scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.metrics.fixations.evaluate import FixationProtocol, FixationScores
from eval.results.kinds import FixationResult, MapScores
from eval.results.result import Row
from eval.tables.markdown import NOTHING, bold, cell, dataset_words, named, note, one_table, section, table_lines

OBSERVERS = "observers, one left out"
_COLUMNS = {  # heading: metric and digits
    "sAUC": ("sauc_exact", 3),
    "sAUC, ten others": ("sauc_ten_exact", 3),
    "sAUC, benchmark": ("sauc", 3),
    "NSS": ("nss", 2),
    "CC": ("cc", 3),
    "AUC-Judd": ("auc_judd", 3),
    "AUC-Judd, exact": ("auc_judd_exact", 3),
    "AUC-Borji": ("auc_borji", 3),
    "SIM": ("sim", 3),
    "KL": ("kl", 2),
    "IG": ("ig", 2),
}
_WITH_INTERVALS = ("sauc_exact", "nss", "cc", "auc_judd")


@dataclass(frozen=True)
class ScoredImages:
    """What maps were scored on; see `FixationResult`."""

    num_images: int
    num_fixations: int
    outside: int
    reader: dict[str, Any]


def fixation_result(
    row: Row,
    protocol: FixationProtocol,
    methods: Mapping[str, FixationScores],
    baselines: Mapping[str, FixationScores],
    images: ScoredImages,
) -> FixationResult:
    """Compute one result.

    `methods` holds the scores of each row of the table, the map as it is first, then with a centre prior, or nothing;
    `baselines` those of maps without a model, OBSERVERS among them.
    """
    best = _best_baseline(baselines)
    summaries: dict[str, MapScores] = {}
    gains: dict[str, MapScores] = {}
    skipped: dict[str, list[list[str]]] = {}
    for name, scores in methods.items():
        summaries[name] = scores.summary()
        gains[name] = scores.gain_over(baselines[best])
        if scores.skipped:
            skipped[name] = list(map(list, scores.skipped))
    metrics = {}
    intervals = {}
    for name, summary in next(iter(summaries.values()), {}).items():
        if summary is not None:
            metrics[name] = summary.mean
            intervals[name] = (summary.low, summary.high)
    return FixationResult(
        **vars(row),
        **vars(images),
        metrics=metrics,
        intervals=intervals,
        interval_method="95 % percentile bootstrap over images",
        protocol=protocol,
        methods=summaries,
        baselines={name: scores.summary() for name, scores in baselines.items()},
        gain_over=best,
        gains=gains,
        skipped=skipped,
    )


def _best_baseline(baselines: Mapping[str, FixationScores]) -> str:
    """Return the bottom-up baseline with the best shuffled AUC; without OpenCV the best of centre and uniform."""
    bottom_up = {}
    others = {}
    for name, scores in baselines.items():
        summary = scores.summary()["sauc_exact"]
        mean = 0.0 if summary is None else summary.mean
        if name in ("centre", "uniform"):
            others[name] = mean
        elif name != OBSERVERS:
            bottom_up[name] = mean
    candidates = bottom_up or others
    return max(candidates, key=candidates.__getitem__)


def fixation_section(results: Sequence[FixationResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and protocol: baselines first, models in bold, observers last."""
    last = one_table(results)
    protocol = last.protocol
    blur = "not smoothed"
    if protocol.blur:
        blur = f"smoothed by a Gaussian of {protocol.blur:.1%} of the width"
    rows = []
    for name, scores in last.baselines.items():
        if name != OBSERVERS:
            rows.append([cell(name), *_numbers(scores)])
    for result in results:
        for index, (name, scores) in enumerate(result.methods.items()):
            row = [named(result, folder, name), *_numbers(scores)]
            if index == 0:
                row = bold(row)
            rows.append(row)
    if OBSERVERS in last.baselines:
        rows.append([cell(OBSERVERS), *_numbers(last.baselines[OBSERVERS])])
    return section(
        ", ".join(filter(None, (f"Eye fixations: {dataset_words(last.dataset)}", protocol.suffix()))),
        f"{last.num_images:,} images, {last.num_fixations:,} fixations inside of them, {last.outside:,} left out. Every"
        f" map is {blur}. Higher is better but for KL. sAUC: the probability that a fixation scores higher than one"
        f" made on another image, ties counting half; benchmark: thresholds of {protocol.step:g}, {protocol.splits}"
        f" draws from {protocol.others} images. IG: bits over the centre Gaussian (standard deviation"
        f" {protocol.centre_std:g} of the sides). In brackets: 95 % interval over images.",
        table_lines(["method", *_COLUMNS], rows),
        list(map(_note, results)),
    )


def _note(result: FixationResult) -> str:
    if not result.methods:
        return note(result)
    name = next(iter(result.methods))
    gain = result.gains[name]["sauc_exact"]
    parts = []
    if gain is not None:
        parts.append(
            f"sAUC {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) against {result.gain_over}, 95 % interval"
            " over images"
        )
    missing = sum(map(len, result.skipped.values()))
    if missing:
        parts.append(f"{missing} maps missing")
    return note(result, *parts)


def _numbers(scores: MapScores) -> list[str]:
    row = []
    for metric, digits in _COLUMNS.values():
        summary = scores.get(metric)
        if summary is None:
            row.append(NOTHING)
            continue
        text = f"{round(summary.mean, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before 0
        if metric in _WITH_INTERVALS:
            text += f" ({summary.low:.{digits}f}–{summary.high:.{digits}f})"
        row.append(text)
    return row
