"""The alignment part of eval.run: ranking by words and regions, and phrases looked up in their pictures."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.results.runs import fill_in_from_training, grouped, model_info, require_kind, training_seconds
from vislang.core.cli import DONE, progress_is_shown

KIND = "aligner"
_SHOWN = 10  # pictures on the page


def evaluate_alignment(args: argparse.Namespace) -> int:
    """Rank a split both ways with every checkpoint that a run kept, and ground the phrases of Entities if given."""
    import json

    from datasets.records import data_fingerprint, of_split
    from datasets.registry import read_dataset, read_named_boxes, reader_options
    from eval.tables.grounding import build_grounding, grounding_table, read_grounding
    from eval.tables.retrieval import Setup, build_result, markdown_table, read_results
    from vislang.core.files import file_name, require_writable_folder, write_json, write_text

    require_kind(args.models, KIND)
    fill_in_from_training(args, KIND)
    records = of_split(read_dataset(args.dataset, args.data, **reader_options(args.option)), args.split)
    require_writable_folder(args.out)
    notes = None
    if args.entities or args.dataset == "scenes":
        ids = [record.image_id for record in records]
        notes = read_named_boxes(args.dataset, args.data, args.entities, ids)
    measured = [measure(args, checkpoint, records, notes) for checkpoint in args.models]
    dataset = args.dataset_name or args.dataset
    results = []
    for name, runs in grouped(measured, args.name, "alignment").items():
        config, fingerprint = runs[0]["info"]["config"], data_fingerprint(records)
        setup = Setup(name, dataset, args.split, "full", "alignment", config, fingerprint, repeated=True)
        seconds = sum(run["seconds"] for run in runs)
        results.append(build_result(setup, [run["run"] for run in runs], seconds=seconds) | parts_of(runs))
        stem = file_name(f"{name}-{dataset}-{args.split}")
        write_json(args.out / f"{stem}.json", results[-1])
        if notes:
            results.append(build_grounding(setup, runs))
            write_json(args.out / f"grounding-{stem}.json", results[-1])
    table = markdown_table(read_results(args.out, dataset, args.split))
    write_text(args.out / file_name(f"retrieval-{dataset}-{args.split}.md"), table)
    if notes:
        grounding = grounding_table(read_grounding(args.out, dataset, args.split))
        write_text(args.out / file_name(f"grounding-{dataset}-{args.split}.md"), grounding)
        table += "\n" + grounding
    write_page(args, dataset, records, measured[0]["model"])
    print(json.dumps(results, indent=1) if args.json else table, end="\n" if args.json else "")
    return DONE


def parts_named(config: Any) -> list[str]:
    """Name the parts of an aligner's score, in order."""
    wholes = {"wholes": config.global_dim, "bags of words": config.bag_dim}
    return ["words and regions", *(name for name, width in wholes.items() if width)]


def parts_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the metrics of each part of the score alone, means over seeds."""
    names = list(runs[0]["parts"])
    columns = {name: [run["parts"][name] for run in runs] for name in names}
    means = {
        name: {metric: sum(row[metric] for row in rows) / len(rows) for metric in rows[0]}
        for name, rows in columns.items()
    }
    return {"parts": means}


def measure(args: argparse.Namespace, checkpoint: Path, records: Sequence[Any], notes: Any) -> dict[str, Any]:
    """Rank with every kept checkpoint of one run; ground with its best."""
    from captioner.alignment.inference import TrainedAligner
    from captioner.api import load_aligner
    from datasets.records import captions_of
    from eval.metrics.ranking import ranks_from_scores
    from eval.metrics.retrieval import retrieval_metrics
    from eval.tables.retrieval import SeedRun
    from vislang.core.cli import import_backend_quietly
    from vislang.features.cache.reader import open_cache
    from vislang.training.checkpoints import kept_weights

    import_backend_quietly()
    started = time.perf_counter()
    model = load_aligner(checkpoint)
    sentences, owners = captions_of(records)
    ids = [record.image_id for record in records]
    passes, parts = [], []
    with open_cache(args.cache) as cache:
        for weights in kept_weights(checkpoint):
            if progress_is_shown():
                print(f"ranking with {weights}", file=sys.stderr)
            one = TrainedAligner.read(checkpoint, network_weights=weights)
            each = one.each_score(one.encode_cached(cache, ids), one.encode_sentences(sentences))
            passes.append(ranks_from_scores(one.combined(each), owners))
            parts.append([ranks_from_scores(score, owners) for score in each])
        seconds = training_seconds(checkpoint, model.config.epochs)
        info = model_info(model.description, model.fingerprint, seconds)
        grounding = ground(model, cache, ids, notes) if notes else None
    run = SeedRun(passes, info["seed"], checkpoint.name, info["weights_fingerprint"], info["training_seconds"])
    seconds = time.perf_counter() - started
    alone = {
        name: retrieval_metrics(list(ranks)).to_json()
        for name, *ranks in zip(parts_named(model.config), *parts, strict=True)
    }
    return {"run": run, "info": info, "parts": alone, "grounding": grounding, "seconds": seconds, "model": model}


def ground(model: Any, cache: Any, ids: Sequence[str], notes: Any) -> dict[str, list[Any]]:
    """Order the regions of each picture for every phrase that has a box.

    Returns:
        {method: what came of each phrase}: the model's, and the methods that never read.
    """
    from captioner.alignment.phrase_grounding import phrase_scores
    from eval.metrics.grounding import baseline_orders, find, find_at_random, find_point
    from vislang.core.boxes import areas

    regions = cached_boxes(model, cache, ids)
    found: dict[str, list[Any]] = {"model": [], "centre": [], "random region": []}
    for number, (name, scores) in enumerate(zip(ids, phrase_scores(model, cache, ids, notes), strict=True)):
        boxes = regions[number][areas(regions[number][:, :4]) > 0, :4]
        orders = baseline_orders(boxes)
        for phrase, of_regions in zip(notes[name].phrases, scores, strict=True):
            if not len(phrase.boxes):
                continue
            asked = number, phrase.kind
            best_first = (-of_regions[: len(boxes)]).argsort(kind="stable")
            found["model"].append(find(*asked, boxes[best_first], phrase.boxes, offered=boxes))
            found["centre"].append(find_point(*asked, (0.5, 0.5), phrase.boxes))
            found["random region"].append(find_at_random(*asked, boxes, phrase.boxes))
            for method, order in orders.items():
                found.setdefault(method, []).append(find(*asked, order, phrase.boxes))
    return found


def write_page(args: argparse.Namespace, dataset: str, records: Sequence[Any], model: Any) -> None:
    """Write the page of this data set and split, with sentences that the first checkpoint cut."""
    from eval.pages.grounding import grounding_page
    from eval.tables.grounding import read_grounding
    from vislang.core.files import file_name
    from vislang.core.seeds import stream

    readable = [record for record in records if record.path is not None]
    order = stream(0, "gallery", "alignment").permutation(len(readable))[:_SHOWN]
    placed = place_sentences(model, args.cache, [readable[row] for row in order])
    results = read_grounding(args.out, dataset, args.split)
    shown = f"sentences cut by {model.description.get('preset')}, seed {model.description.get('seed')}"
    title, tags = f"Words and their places: {dataset}, {args.split}", [f"{len(records):,} pictures", shown]
    path = args.out / file_name(f"grounding-{dataset}-{args.split}.html")
    grounding_page(results, placed, title=title, tags=tags).write(path)
    print(f"wrote {path}", file=sys.stderr)


def place_sentences(model: Any, cache_path: Path, records: Sequence[Any]) -> list[Any]:
    """Cut the first caption of each picture into parts, and draw where each is."""
    from captioner.alignment.noun_phrases import with_determiners
    from captioner.alignment.segments import segment_sentences
    from eval.pages.grounding import GroundedSentence
    from vislang.draw.boxes import draw_regions
    from vislang.draw.html.thumbnails import data_uri
    from vislang.features.cache.reader import open_cache
    from vislang.images.decode import decode_image
    from vislang.text.tokenizer import tokenize

    ids = [record.image_id for record in records]
    sentences = [tokenize(record.captions[0]) for record in records]
    with open_cache(cache_path) as cache:
        found = segment_sentences(model, model.encode_cached(cache, ids), sentences) if ids else []
        boxes = cached_boxes(model, cache, ids)
    placed = []
    for record, words, segments, regions in zip(records, sentences, found, boxes, strict=True):
        parts = [(" ".join(words[slice(*one.words)]), one.region) for one in with_determiners(words, segments)]
        inside = [(text, region) for text, region in parts if region]
        corners = regions[[region for _, region in inside], :4]
        drawing = draw_regions(decode_image(record.path), corners, [text for text, _ in inside])
        shown = [(text, region == 0) for text, region in parts]
        placed.append(GroundedSentence(data_uri(drawing), shown))
    return placed


def cached_boxes(model: Any, cache: Any, ids: Sequence[str]) -> Any:
    """Give float32 [N, R, 5], the boxes beside the regions that a model reads."""
    import numpy as np

    from vislang.features.regions.region_features import boxes_beside

    place = boxes_beside(cache, model.description["backbone"]["name"], model.config.layers[0])
    return cache.read(*place, ids).astype(np.float32)
