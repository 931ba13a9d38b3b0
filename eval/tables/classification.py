"""Classification in several domains: results over seeds, and the table of networks trained on different domains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eval.metrics.accuracy import accuracy, accuracy_gain, confusion_matrix, most_confused
from eval.results.kinds import ClassificationResult, DomainScores, Prediction
from eval.results.models import Run, summarize_runs
from eval.results.result import Row
from eval.tables.markdown import (
    cell,
    named,
    note,
    number,
    one_table,
    row_words,
    section,
    seeds,
    table_lines,
    table_title,
)

_MISTAKES = 3  # listed for each domain


@dataclass(frozen=True)
class TrainedOn:
    """What the networks of a row were trained on; see `ClassificationResult`."""

    preset: str
    backbone: str
    trained_on: list[str]
    num_training_images: int
    classes: list[str]


@dataclass(frozen=True, kw_only=True)
class ClassificationRun(Run):
    """The class that one network predicts for each image, what it was trained on, and images that it could not read."""

    trained: TrainedOn
    predictions: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)


def classification_result(
    row: Row, runs: Sequence[ClassificationRun], truth: Mapping[str, tuple[str, str]]
) -> ClassificationResult:
    """Compute the result of one row from the runs of its seeds; `truth` is {image id: (domain, class)}."""
    trained = runs[0].trained
    intervals = {}
    domains = {}
    per_seed = [dict[str, float]() for _ in runs]
    ids_of: dict[str, list[str]] = {}
    for image_id, (domain, _) in truth.items():
        ids_of.setdefault(domain, []).append(image_id)
    for domain, ids in ids_of.items():
        labels = [truth[image_id][1] for image_id in ids]
        predicted = [list(map(run.predictions.__getitem__, ids)) for run in runs]
        scores = accuracy(np.array(predicted) == np.array(labels))
        intervals[domain] = scores.interval
        domains[domain] = DomainScores(len(ids), confusion_matrix(labels, predicted, trained.classes))
        for seed, value in enumerate(scores.per_seed):
            per_seed[seed][domain] = value
    predictions = {}
    for image_id, (domain, label) in truth.items():
        predictions[image_id] = Prediction(domain, label, [run.predictions[image_id] for run in runs])
    metrics, std, seed_runs = summarize_runs(runs, per_seed)
    return ClassificationResult(
        **vars(row),
        **vars(trained),
        metrics=metrics,
        std=std,
        intervals=intervals,
        interval_method="95 % percentile bootstrap over images, mean over seeds",
        per_seed=seed_runs,
        domains=domains,
        predictions=predictions,
    )


def correct_predictions(result: ClassificationResult, domain: str) -> NDArray[np.bool_]:
    """Return bool [S, N]: which images of a domain each network classifies correctly."""
    rows = []
    for one in result.predictions.values():
        if one.domain == domain:
            rows.append([predicted == one.label for predicted in one.predicted])
    return np.array(rows, bool).T


def classification_section(results: Sequence[ClassificationResult], folder: str | None = None) -> str:
    """Return the Markdown section of one data set and split: accuracies, paired differences, frequent mistakes."""
    last = one_table(results)
    images = ", ".join(f"{one.images} {domain}" for domain, one in last.domains.items())
    classes = len(last.classes)
    return section(
        table_title("Classification by domain", last),
        f"Top-1 accuracy, %, of {classes} classes (chance {100 / classes:.1f}); images: {images}. Mean ± standard"
        " deviation over seeds; in brackets the 95 % interval over images. Bold: domains that the network was trained"
        " on.",
        table_lines(
            ["network", "trained on", "images", *last.domains, "mean of domains"],
            [_row(result, folder) for result in results],
        ),
        _gains(results),
        "### Most frequent mistakes",
        "True class → prediction, how often over all seeds.",
        list(map(_mistakes, results)),
        [note(result, seeds(result)) for result in results],
    )


def _row(result: ClassificationResult, folder: str | None) -> list[str]:
    title = named(result, folder, f"{result.preset}-{result.backbone}")
    cells = [title, " + ".join(map(cell, result.trained_on)), str(result.num_training_images)]
    for domain, mean in result.metrics.items():
        low, high = result.intervals[domain]
        words = number(mean, result.std.get(domain))
        if domain in result.trained_on:
            words = f"**{words}**"
        cells.append(f"{words} ({low:.0f}–{high:.0f})")
    return [*cells, number(float(np.mean(list(result.metrics.values()))))]


def _gains(results: Sequence[ClassificationResult]) -> list[str]:
    """Compare networks with equal settings that were trained on different domains, each with the next."""
    lines = []
    for one, other in zip(results, results[1:], strict=False):
        if one.config != other.config:
            continue
        gains = []
        for domain in one.domains:
            gain, (low, high) = accuracy_gain(correct_predictions(one, domain), correct_predictions(other, domain))
            gains.append(f"{domain} {gain:+.1f} ({low:+.0f} to {high:+.0f})")
        kind = cell(row_words(f"{one.preset}-{one.backbone}"))
        lines.append(f"- {kind}: trained on {_training(one)} minus {_training(other)}: {', '.join(gains)}")
    return lines


def _training(result: ClassificationResult) -> str:
    return f"{result.num_training_images} of {' + '.join(result.trained_on)}"


def _mistakes(result: ClassificationResult) -> str:
    domains = []
    for domain, one in result.domains.items():
        found = most_confused(one.confusion, result.classes, _MISTAKES)
        words = ", ".join(f"{label} → {predicted} {times}" for label, predicted, times in found)
        domains.append(f"{domain}: {words or 'none'}")
    return f"- {cell(row_words(result.name))}: {'; '.join(domains)}"
