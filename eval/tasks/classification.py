"""The classification part of eval.run: classifiers of preimage.train on pictures of each domain."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.results.runs import grouped, model_info, require_kind, training_seconds
from vislang.core.cli import DONE, SKIPPED_SOME, progress_is_shown

KIND = "classifier"
_ALL = "all"  # in place of a split: every picture, of data that no network was trained on
_DRAWN = ["art_painting", "cartoon", "sketch"]


def evaluate_classification(args: argparse.Namespace) -> int:
    """Let every checkpoint name the class of every picture, and write results and one table."""
    import json

    from datasets.records import data_fingerprint
    from eval.tables.classification import build_classification, classification_table, read_classification
    from vislang.core.files import file_name, require_writable_folder, write_json, write_text
    from vislang.training.checkpoints import read_settings

    require_kind(args.models, KIND)
    described = [read_settings(checkpoint, KIND) for checkpoint in args.models]
    records = pictures_of(args, described)
    require_writable_folder(args.out)
    skipped: dict[str, str] = {}
    measured = [measure(*one, records, skipped) for one in zip(args.models, described, strict=True)]
    records = [record for record in records if record.image_id not in skipped]
    truth = {record.image_id: (record.domain, record.label) for record in records}
    dataset, fingerprint, results = args.dataset_name or args.dataset or "pacs", data_fingerprint(records), []
    for name, runs in grouped(measured, args.name, "classification").items():
        place = {"name": name.removeprefix("classification-"), "dataset": dataset, "split": args.split}
        place |= {"data_fingerprint": fingerprint, **runs[0]["place"]}
        for run in runs:
            run["info"]["preset"] = run["preset"]
        results.append(build_classification(place, runs, truth))
        stem = file_name(f"classification-{place['name']}-{dataset}-{args.split}")
        write_json(args.out / f"{stem}.json", results[-1])
    table = classification_table(read_classification(args.out, dataset, args.split, fingerprint))
    write_text(args.out / file_name(f"classification-{dataset}-{args.split}.md"), table)
    print(json.dumps(results, indent=1) if args.json else table, end="\n" if args.json else "")
    for image_id, reason in list(skipped.items())[:5]:
        print(f"left out: {image_id}: {reason}", file=sys.stderr)
    return SKIPPED_SOME if skipped else DONE


def pictures_of(args: argparse.Namespace, described: Sequence[dict[str, Any]]) -> Sequence[Any]:
    """Read the pictures, none of which any of the networks has learned from.

    Raises:
        EvalError: a network has learned from one, or knows other classes.
    """
    from datasets.pacs import classes_of, read_pacs
    from datasets.records import of_split
    from vislang.core.errors import EvalError

    data = args.data or Path(described[0]["data"]["folder"])
    records = read_pacs(data)
    records = records if args.split == _ALL else of_split(records, args.split)
    for checkpoint, description in zip(args.models, described, strict=True):
        if list(classes_of(records)) != description["classes"]:
            raise EvalError(
                f"{checkpoint} knows the classes {', '.join(description['classes'])}, {data} has"
                f" {', '.join(classes_of(records))}; name another folder with --data, or another checkpoint"
            )
        learned = {image_id for ids in description["pictures"].values() for image_id in ids}
        seen = [record.image_id for record in records if record.image_id in learned]
        if seen:
            raise EvalError(
                f"{checkpoint} has learned from {len(seen)} of the {len(records)} pictures of --split {args.split},"
                f" first {seen[0]}; choose --split test of the folder that it was trained on"
            )
    return records


def measure(
    checkpoint: Path, description: dict[str, Any], records: Sequence[Any], skipped: dict[str, str]
) -> dict[str, Any]:
    """Give the class that a network names for each picture; what cannot be read goes to `skipped` with the reason."""
    from vislang.core.cli import import_backend_quietly
    from vislang.core.errors import DataError

    import_backend_quietly()
    from preimage.api import classify_images, load_network
    from vislang.backbones.weights import fingerprint

    if progress_is_shown():
        print(f"classifying with {checkpoint}", file=sys.stderr)
    started, answers = time.perf_counter(), {}
    network = load_network(str(checkpoint))
    for record in records:
        try:
            answers[record.image_id] = classify_images(network, record.path, top=1).labels[0][0].name
        except DataError as error:
            skipped[record.image_id] = str(error)
    config = description["config"]
    seconds = training_seconds(checkpoint, config["updates"] // config["save_every"])
    info = model_info(description, fingerprint(network.model.get_weights()), seconds)
    spent, preset = time.perf_counter() - started, info["preset"]
    info["trained_on"] = description["pictures"]["train"]
    # The name of the row, and of its file, says all in which networks of one preset may differ.
    info["preset"] = f"{preset}-{domains_word(description['domains'])}-{len(info['trained_on'])}"
    place = {"trained_on": description["domains"], "classes": description["classes"]}
    place["learned_from"] = len(info["trained_on"])
    return {"info": info, "preset": preset, "answers": answers, "seconds": spent, "place": place}


def domains_word(domains: Sequence[str]) -> str:
    """Give one word for domains: all that are not photographs are drawings."""
    return "drawings" if sorted(domains) == _DRAWN else "+".join(domains)
