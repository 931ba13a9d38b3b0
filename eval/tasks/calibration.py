"""Measure how well trained captioners are calibrated on a split."""

import argparse
import time
from pathlib import Path

from captioner.api import load_model
from captioner.training.calibration import CaptionedSplit, calibrated, calibration_scores, scored_captions
from eval.results.kinds import CalibrationResult
from eval.results.models import group_by_row, model_info
from eval.tables.calibration import CalibrationRun, calibration_result
from eval.tasks.output import report
from eval.tasks.split import Split, read_split
from vislang.core.cli import DONE
from vislang.core.errors import EvalError
from vislang.features.cache.reader import open_cache

KIND = "captioner"


def run(args: argparse.Namespace) -> int:
    """Measure every model, and write results and a table.

    Raises:
        CheckpointError: a captioner that is not calibrated.
        EvalError: captioners that differ in their seed alone.
    """
    data = read_split(args, KIND)
    runs = [measure(checkpoint, data) for checkpoint in args.models]
    results: list[CalibrationResult] = []
    for name, row in group_by_row(runs, args.name, "captioner").items():
        if len(row) > 1:
            raise EvalError(
                f"got {len(row)} seeds of {name}, expected one: each has its own calibration; run them apart"
            )
        results.append(calibration_result(data.row(name, KIND, row), row[0]))
    report(args, results)
    return DONE


def measure(checkpoint: Path, data: Split) -> CalibrationRun:
    """Measure one captioner."""
    started = time.perf_counter()
    model = load_model(checkpoint)
    info = model_info(checkpoint, model.description, model.fingerprint)
    calibration = calibrated(model)
    with open_cache(data.cache) as cache:
        split = CaptionedSplit(cache, data.records)
        scores = calibration_scores(model, split, scored_captions(model, split))
    seconds = time.perf_counter() - started
    return CalibrationRun(model=info, seconds=seconds, temperature=calibration.temperature, scores=scores)
