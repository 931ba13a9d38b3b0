"""Calibration of captioners: results, and their table with the reliability of the last one."""

from collections.abc import Sequence
from dataclasses import dataclass

from captioner.calibration import CalibrationScores
from eval.results.kinds import CalibrationResult
from eval.results.models import Run, summarize_runs
from eval.results.result import Row
from eval.tables.markdown import named, note, number, one_table, section, table_lines, table_title

_HEADER = ("model", "temperature", "ECE before", "ECE", "ROC AUC", "good if trusted", "good if not")


@dataclass(frozen=True, kw_only=True)
class CalibrationRun(Run):
    """The temperature of one captioner, and its scores on a split."""

    temperature: float
    scores: CalibrationScores


def calibration_result(row: Row, run: CalibrationRun) -> CalibrationResult:
    """Return the result of one captioner."""
    scores = run.scores
    metrics = {"ece_before": scores.ece_before, "ece": scores.ece}
    if scores.auc:
        metrics["auc"] = scores.auc["confidence"]
    _, _, per_seed = summarize_runs([run], [metrics])
    return CalibrationResult(
        **vars(row),
        metrics=metrics,
        per_seed=per_seed,
        num_words=scores.num_words,
        num_images=scores.num_captions,
        temperature=run.temperature,
        bins=scores.bins,
        auc=scores.auc,
        num_trusted=scores.num_trusted,
        good_trusted=scores.good_trusted,
        good_others=scores.good_others,
    )


def calibration_section(results: Sequence[CalibrationResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split."""
    last = one_table(results)
    rows = []
    for one in results:
        cells = [named(one, folder), number(one.temperature, digits=2)]
        cells += [number(one.metrics.get(name), digits=3) for name in ("ece_before", "ece", "auc")]
        cells.append(f"{one.good_trusted} of {one.num_trusted}")
        cells.append(f"{one.good_others} of {one.num_images - one.num_trusted}")
        rows.append(cells)
    reliability = []
    for interval in last.bins:
        shown = f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
        shares = [number(100 * interval.confidence), number(100 * interval.accuracy)]
        reliability.append([shown, *shares, f"{interval.count:,}"])
    return section(
        table_title("Calibration of captions", last),
        f"Expected calibration error (ECE, 15 bins) of {last.num_words:,} words of human captions, each predicted from"
        f" the words before it, at temperature 1 and calibrated. A caption is good where its CIDEr-D is above the"
        f" median of the {last.num_images:,} images; ROC AUC is the probability that a good caption has a higher"
        " confidence than another.",
        table_lines(_HEADER, rows),
        f"Reliability of the words of {named(last, folder)}, per cent:",
        table_lines(("probability", "mean probability", "right", "words"), reliability),
        list(map(note, results)),
    )
