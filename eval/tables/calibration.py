"""Calibration of captioners: results, and their table with the reliability of the last one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics.calibration import reliability_bins
from eval.results.kinds import CalibrationResult
from eval.results.models import Run, summarize_runs
from eval.results.result import Row, Scores
from eval.tables.markdown import named, note, number, one_table, section, table_lines, table_title

_HEADER = ("model", "temperature", "ECE before, %", "ECE, %", "trusted, %", "good if trusted, %", "good if not, %")
_PERCENT = ("ece_before", "ece", "trusted", "good_trusted", "good_others")


@dataclass(frozen=True, kw_only=True)
class CalibrationRun(Run):
    """The metrics of one captioner on a split, and its predictions of N words."""

    metrics: Scores
    confidences: np.ndarray  # float [N], calibrated
    correct: np.ndarray  # bool [N]
    num_images: int


def calibration_result(row: Row, runs: Sequence[CalibrationRun]) -> CalibrationResult:
    """Return the result of one row from the runs of its seeds."""
    metrics, std, per_seed = summarize_runs(runs, [run.metrics for run in runs])
    confidences = np.concatenate([run.confidences for run in runs])
    correct = np.concatenate([run.correct for run in runs])
    return CalibrationResult(
        **vars(row),
        metrics=metrics,
        std=std,
        per_seed=per_seed,
        num_images=runs[0].num_images,
        bins=tuple(reliability_bins(confidences, correct)),
    )


def calibration_section(results: Sequence[CalibrationResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split."""
    last = one_table(results)
    rows = []
    for one in results:
        percent = {name: 100 * value for name, value in one.metrics.items()}
        temperature = number(one.metrics["temperature"], digits=2)
        rows.append([named(one, folder), temperature, *(number(percent.get(name)) for name in _PERCENT)])
    bins = []
    for interval in last.bins:
        limits = f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
        shares = [number(100 * interval.confidence), number(100 * interval.accuracy)]
        bins.append([limits, *shares, f"{interval.count:,}"])
    return section(
        table_title("Calibration of captions", last),
        "Expected calibration error (ECE, 15 bins) of the words of human captions, each predicted from the words before"
        f" it, at temperature 1 and calibrated. A caption is good where its CIDEr-D is above the median of the"
        f" {last.num_images:,} images.",
        table_lines(_HEADER, rows),
        f"Reliability of the words of {named(last, folder)}:",
        table_lines(("probability, %", "mean probability, %", "right, %", "words"), bins),
        list(map(note, results)),
    )
