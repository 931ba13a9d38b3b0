"""Measure how well trained captioners are calibrated on a split."""

import argparse
import time
from pathlib import Path

import numpy as np

from captioner.api import load_model
from captioner.calibration import FIT_COMMAND
from captioner.inference import TrainedCaptioner
from captioner.training.calibration import calibrate, predict_words, scored_captions
from datasets import registry
from datasets.records import with_features
from eval.metrics.calibration import expected_calibration_error, reliability_bins
from eval.results.models import group_by_row, model_info
from eval.tables.calibration import CalibrationRun, calibration_result
from eval.tasks.output import report
from eval.tasks.split import Split, read_split
from vislang.core.bundled_models import refuse_bundled
from vislang.core.cli import DONE
from vislang.core.errors import CheckpointError
from vislang.features.cache.reader import open_cache

KIND = "captioner"


def run(args: argparse.Namespace) -> int:
    """Measure every model, with `--fit` after calibrating it, and write results and a table.

    Raises:
        CheckpointError: a captioner that is not calibrated, or that does not name its data.
    """
    data = read_split(args, KIND)
    runs = [measure(checkpoint, data, args.fit) for checkpoint in args.models]
    rows = group_by_row(runs, args.name, KIND)
    report(args, [calibration_result(data.row(name, KIND, row), row) for name, row in rows.items()])
    return DONE


def fit(model: TrainedCaptioner, checkpoint: Path) -> TrainedCaptioner:
    """Calibrate on the dev images of all data sets of its training, and write the calibration into the checkpoint."""
    refuse_bundled(checkpoint)
    splits = []
    first = model.description.get("data", {})
    for one in (first, *first.get("others", [])):
        if "cache" not in one:
            raise CheckpointError(f"{checkpoint} does not name the data that it was trained on, expected for --fit")
        options = registry.reader_options(one["options"])
        records = registry.read(one["dataset"], one["folder"], options=options, require_images=False)
        dev = tuple(record for record in records if record.split == "dev")
        if dev:
            cache = open_cache(one["cache"])
            splits.append((cache, with_features(dev, cache)))
    return calibrate(model, splits, checkpoint)


def measure(checkpoint: Path, data: Split, is_fitted: bool) -> CalibrationRun:
    """Measure one captioner; where `is_fitted`, after calibrating it."""
    started = time.perf_counter()
    model = load_model(checkpoint)
    if is_fitted:
        model = fit(model, checkpoint)
    if model.calibration is None:
        raise CheckpointError(f"{checkpoint} is not calibrated; run: {FIT_COMMAND}")
    info = model_info(checkpoint, model.description, model.fingerprint)
    temperature = model.calibration.temperature
    with open_cache(data.cache) as cache:
        split = (cache, data.records)
        (plain, calibrated), correct = predict_words(model, split, (1.0, temperature))
        captions, good = scored_captions(model, split)
    trusted = np.array([caption.trusted for caption in captions])
    metrics = {
        "temperature": temperature,
        "ece_before": expected_calibration_error(reliability_bins(plain, correct)),
        "ece": expected_calibration_error(reliability_bins(calibrated, correct)),
        "trusted": float(trusted.mean()),
    }
    for name, group in (("good_trusted", trusted), ("good_others", ~trusted)):
        if group.any():
            metrics[name] = float(good[group].mean())
    return CalibrationRun(
        model=info,
        seconds=time.perf_counter() - started,
        metrics=metrics,
        confidences=calibrated,
        correct=correct,
        num_images=len(captions),
    )
