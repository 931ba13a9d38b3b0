"""Measure the accuracy of classifiers of preimage.train in each domain of a folder such as PACS."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.pacs import LabelledRecord, classes_of, read_pacs
from datasets.records import data_fingerprint, of_split
from eval.results.models import group_by_row, model_info
from eval.results.result import Result, Row
from eval.tables.classification import ClassificationRun, TrainedOn, classification_result
from eval.tasks.output import report
from eval.tasks.split import resolve_models
from preimage.networks.class_labels import classify_images
from preimage.networks.loading import load_network
from vislang.backbones.weights import fingerprint
from vislang.core.cli import DONE, SKIPPED_SOME, print_skipped, progress_is_shown
from vislang.core.errors import DataError, EvalError
from vislang.core.files import require_writable_folder
from vislang.training.checkpoints import read_settings

KIND = "classifier"
_ALL = "all"  # in place of a split: every image, of data that no network was trained on
_DRAWINGS = ["art_painting", "cartoon", "sketch"]


def run(args: argparse.Namespace) -> int:
    """Classify every image with every network, and write results and a table."""
    resolve_models(args, KIND)
    described = [read_settings(checkpoint, KIND) for checkpoint in args.models]
    records = read_images(args, described)
    require_writable_folder(args.out)
    runs = []
    skipped: dict[str, str] = {}
    for checkpoint, description in zip(args.models, described, strict=True):
        runs.append(classify_split(checkpoint, description, records))
        skipped |= runs[-1].skipped
    records = [record for record in records if record.image_id not in skipped]
    report(args, [_result(args, name, row, records) for name, row in group_by_row(runs, args.name).items()])
    for image_id, reason in list(skipped.items())[:5]:
        print_skipped(f"{image_id}: {reason}")
    if skipped:
        return SKIPPED_SOME
    return DONE


def _result(
    args: argparse.Namespace, name: str, row: Sequence[ClassificationRun], records: Sequence[LabelledRecord]
) -> Result:
    about = Row(
        name=name,
        system="preimage",
        dataset=args.dataset_name,
        split=args.split,
        config=row[0].model.config,
        data_fingerprint=data_fingerprint(records),
        seconds=round(sum(run.seconds for run in row), 1),
    )
    truth = {record.image_id: (record.domain, record.label) for record in records}
    return classification_result(about, row, truth)


def read_images(args: argparse.Namespace, described: Sequence[dict[str, Any]]) -> Sequence[LabelledRecord]:
    """Read the images, none of which any of the networks was trained on.

    Raises:
        EvalError: a network was trained on one, or has other classes.
    """
    folder = args.data or Path(described[0]["data"]["folder"])
    records = read_pacs(folder)
    if args.split != _ALL:
        records = of_split(records, args.split)
    classes = list(classes_of(records))
    for checkpoint, description in zip(args.models, described, strict=True):
        if classes != description["classes"]:
            raise EvalError(
                f"{checkpoint} has the classes {', '.join(description['classes'])}, {folder} has"
                f" {', '.join(classes)}; name another folder with --data, or another model"
            )
        trained_on: set[str] = set()
        trained_on.update(*description["images"].values())
        seen = [record.image_id for record in records if record.image_id in trained_on]
        if seen:
            raise EvalError(
                f"{checkpoint} was trained on {len(seen)} of the {len(records)} images of --split {args.split},"
                f" first {seen[0]}; choose --split test of the folder that it was trained on"
            )
    return records


def classify_split(
    checkpoint: Path, description: dict[str, Any], records: Sequence[LabelledRecord]
) -> ClassificationRun:
    """Classify each image with one network."""
    if progress_is_shown():
        print(f"classifying with {checkpoint}", file=sys.stderr)
    started = time.perf_counter()
    predictions = {}
    skipped = {}
    network = load_network(str(checkpoint))
    for record in records:
        try:
            predictions[record.image_id] = classify_images(network, record.path, top=1).labels[0][0].name
        except DataError as error:
            skipped[record.image_id] = str(error)
    epochs = description["config"]["updates"] // description["config"]["save_every"]
    info = model_info(checkpoint, description, fingerprint(network.model.get_weights()), epochs)
    train = description["images"]["train"]
    domains = description["domains"]
    trained = TrainedOn(info.preset, info.backbone, domains, len(train), description["classes"])
    domains_word = "+".join(domains)
    if sorted(domains) == _DRAWINGS:
        domains_word = "drawings"
    # Networks of one preset with other training data need rows of their own.
    info = replace(info, preset=f"{info.preset}-{domains_word}-{len(train)}", trained_on=train)
    seconds = time.perf_counter() - started
    return ClassificationRun(model=info, seconds=seconds, trained=trained, predictions=predictions, skipped=skipped)
