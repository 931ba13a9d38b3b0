"""Trained captioners and the baselines on one split: captions, scores, JSON, table and page; part of eval.run."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.records import ImageRecord, data_fingerprint, of_split
from datasets.registry import read_dataset, reader_options
from eval.metrics.captions.coco_files import write_results
from eval.metrics.captions.diversity import caption_diversity
from eval.metrics.captions.document_frequencies import find_table
from eval.metrics.captions.score import Captions, CaptionScores, References, score_systems
from eval.pages.captions import CaptionedImage, caption_results_page, pick_captions
from eval.results.runs import (
    fill_in_from_training,
    grouped,
    model_info,
    require_kind,
    training_seconds,
)
from eval.tables.captions import (
    BASELINE,
    CAPTIONER,
    OF_REFERENCES,
    CaptionRun,
    CaptionSetup,
    build_caption_result,
    caption_table,
    read_caption_results,
)
from eval.tasks.caption_baselines import borrow_captions
from eval.tasks.caption_files import score_file, training_captions
from vislang.core.cli import DONE, import_backend_quietly, progress_is_shown
from vislang.core.config import override
from vislang.core.errors import ConfigError, DataError, ToolkitError
from vislang.core.files import file_name, require_writable_folder, write_json, write_text

WEIGHTS = ("scorer_weight", "consensus_weight")  # decoding options that only a model with such parts has


def evaluate_captions(args: argparse.Namespace) -> int:
    """Do what the command line asks for captions.

    Raises:
        ConfigError: options that do not go together.
    """
    if args.results and args.models:
        raise ConfigError("--results and --model were both given, expected one of them; use two runs")
    if not args.results and (args.against or args.references):
        raise ConfigError("--against and --references need --results FILE, the captions to score")
    if args.results:
        return score_file(args)
    return measure_captioners(args)


def measure_captioners(args: argparse.Namespace) -> int:
    """Caption a split with every checkpoint, borrow the baselines' captions, score, write and print."""
    require_kind(args.models, "captioner")
    if args.models:
        fill_in_from_training(args, "captioner")
    elif not (args.dataset and args.data and args.cache):
        raise ConfigError(
            "neither --model nor --results was given; the baselines alone need --dataset, --data and --cache"
        )
    every = read_dataset(args.dataset, args.data, **reader_options(args.option))
    records = of_split(every, args.split)
    df = find_table(args.df) if args.df else None
    require_writable_folder(args.out)
    runs = [captioned(args, checkpoint, records) for checkpoint in args.models]
    named = {name + decoding_words(args): same for name, same in grouped(runs, args.name, "captioner").items()}
    borrowed = borrowed_rows(args, runs, every, records)
    references: References = {record.image_id: record.captions for record in records}
    systems = {run["key"]: run["captions"] for run in [*runs, *borrowed]}
    scores = score_systems(systems, references, df=df, tokenizer=args.tokenizer)
    training = training_captions(every) or None
    rows = {row["key"]: [row] for row in borrowed} | named
    built = []
    for name, same in rows.items():
        result = build_row(args, name, same, [scored(run, scores, training) for run in same], records)
        write_json(args.out / file_name(f"captions-{name}-{result['dataset']}-{args.split}.json"), result)
        built.append((result, same[0]))
    write_tables(args, built, scores, records)
    results = [result for result, _ in built]
    print(json.dumps(results, indent=1) if args.json else caption_table(results), end="\n" if args.json else "")
    return DONE


def build_row(
    args: argparse.Namespace,
    name: str,
    same: Sequence[Mapping[str, Any]],
    runs: Sequence[CaptionRun],
    records: Sequence[ImageRecord],
) -> dict[str, Any]:
    """Give the result of one row from the runs that it holds, before and after they were scored."""
    setup = CaptionSetup(
        name=name,
        dataset=args.dataset_name or args.dataset,
        split=args.split,
        system=same[0]["system"],
        config=same[0]["info"]["config"],
        decoding=same[0]["decoding"],
        document_frequencies=args.df or OF_REFERENCES,
        data_fingerprint=data_fingerprint(records),
    )
    return build_caption_result(setup, runs, seconds=sum(run["seconds"] for run in same))


def caption_split(
    checkpoint: Path, ids: Sequence[str], cache_path: Path, decode: str, beam: int | None, settings: Sequence[str] = ()
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Caption images with one trained captioner; the only place here that touches a model.

    Args:
        checkpoint: what `captioner.api.load_model` reads.
        ids: N images.
        cache_path: a feature cache that holds them.
        decode: how, such as "beam".
        beam: its width; None is the preset's own.
        settings: other fields of its options, such as "scorer_weight=0".

    Returns:
        N captions, what `model_info` says of the model, and how they were decoded.
    """
    from captioner.api import decode_options, load_model
    from vislang.features.cache.reader import open_cache

    import_backend_quietly()
    model = load_model(checkpoint)
    config = model.description["config"]
    seconds = training_seconds(checkpoint, config["epochs"] + config.get("self_critical_epochs", 0))
    options = override(decode_options(model, decode=decode, beam=beam), settings)
    with open_cache(cache_path) as cache:
        found = model.caption_cached(cache, ids, options=options)
    shown = ["method", "max_words"]
    if decode == "beam":
        shown += ["width", "length_power", *(name for name in WEIGHTS if getattr(options, name))]
    decoding = {name: getattr(options, name) for name in shown}
    return [best[0].text for best in found], model_info(model.description, model.fingerprint, seconds), decoding


def captioned(args: argparse.Namespace, checkpoint: Path, records: Sequence[ImageRecord]) -> dict[str, Any]:
    """Caption with one model, keep the captions beside it in COCO's form, and give all that a row needs."""
    if progress_is_shown():
        print(f"captioning {len(records):,} images with {checkpoint}", file=sys.stderr)
    started = time.perf_counter()
    ids = [record.image_id for record in records]
    texts, info, decoding = caption_split(checkpoint, ids, args.cache, args.decode, args.beam, args.set)
    seconds = time.perf_counter() - started
    captions: Captions = dict(zip(ids, texts, strict=True))
    keep_captions(args, checkpoint, captions, decoding_words(args))
    about = {"key": str(checkpoint), "name": checkpoint.name, "system": CAPTIONER, "info": info, "decoding": decoding}
    return {**about, "captions": captions, "seconds": seconds}


def keep_captions(args: argparse.Namespace, folder: Path, captions: Captions, words: str) -> None:
    """Write captions in COCO's form, so that eval.run --results can compare them with others later."""
    path = folder / file_name(f"captions{words}-{args.dataset_name or args.dataset}-{args.split}.json")
    try:
        write_results(path, captions)
    except DataError as error:  # a checkpoint on a read-only disk can still be measured
        print(f"note: the captions were not kept: {error}", file=sys.stderr)


def decoding_words(args: argparse.Namespace) -> str:
    """Name a way of decoding that is not the preset's own, such as "-beam1"; empty for that."""
    settings = "".join(f"-{setting}" for setting in args.set)
    if args.decode == "beam" and args.beam is None:
        return settings
    return f"-{args.decode}{'' if args.beam is None else args.beam}{settings}"


def borrowed_rows(
    args: argparse.Namespace,
    runs: Sequence[Mapping[str, Any]],
    every: Sequence[ImageRecord],
    records: Sequence[ImageRecord],
) -> list[dict[str, Any]]:
    """Give what the baselines' rows need; none, with a note, where their features are not at hand.

    Raises:
        ToolkitError: they cannot be had, and there is no captioner to measure either.
    """
    backbone = runs[0]["info"]["backbone"] if runs else None
    training = [record for record in every if record.split == "train"]
    try:
        borrowed = borrow_captions(args.cache, backbone, training, records)
    except ToolkitError as error:
        if not runs:
            raise
        print(f"note: no baselines: {error}", file=sys.stderr)
        return []
    rows = []
    for one in borrowed:
        keep_captions(args, args.cache.parent, one.captions, f"-{one.name}")
        info = {"config": one.config, "seed": None, "weights_fingerprint": one.fingerprint, "training_seconds": None}
        about = {"key": one.name, "name": "", "system": BASELINE, "info": info, "decoding": {}}
        rows.append({**about, "captions": one.captions, "seconds": one.seconds})
    return rows


def scored(run: Mapping[str, Any], scores: Mapping[str, CaptionScores], training: list[str] | None) -> CaptionRun:
    """Put the scores of one model's captions together with what is known of the model."""
    diversity = caption_diversity(list(run["captions"].values()), training)
    about = {name: run["info"][name] for name in ("seed", "weights_fingerprint", "training_seconds")}
    return CaptionRun(scores[run["key"]], diversity, checkpoint=run["name"], **about)


def write_tables(
    args: argparse.Namespace,
    built: Sequence[tuple[dict[str, Any], Mapping[str, Any]]],
    scores: Mapping[str, CaptionScores],
    records: Sequence[ImageRecord],
) -> None:
    """Write the Markdown table and the page over all caption results of this data set and split."""
    dataset = args.dataset_name or args.dataset
    results = read_caption_results(args.out, dataset, args.split)
    best, shown = max(built, key=lambda row: (row[0]["system"] == CAPTIONER, row[0]["metrics"].get("cider", 0.0)))
    of_run = scores[shown["key"]]
    cider = of_run.per_image.get("cider")
    gallery = {
        heading: [
            CaptionedImage(
                records[row].image_id,
                records[row].path,
                shown["captions"][records[row].image_id],
                records[row].captions,
                None if cider is None else 100 * float(cider[row]),
            )
            for row in rows
        ]
        for heading, rows in pick_captions(of_run).items()
    }
    stem = args.out / file_name(f"captions-{dataset}-{args.split}")
    write_text(f"{stem}.md", caption_table(results))
    caption_results_page(results, best, gallery=gallery).write(f"{stem}.html")
    print(f"wrote {stem}.md and {stem}.html", file=sys.stderr)
