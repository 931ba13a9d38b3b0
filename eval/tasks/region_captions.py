"""The regions part of eval.run: captions of the boxes that people drew, against the phrases that name them."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.results.runs import grouped, model_info, require_kind, training_seconds
from vislang.core.cli import DONE, progress_is_shown

KIND = "captioner"
_BATCH = 64


def evaluate_regions(args: argparse.Namespace) -> int:
    """Caption every named box with models of regions and of whole pictures, score, and write one table."""
    import json

    from captioner.api import load_model
    from datasets.records import data_fingerprint, of_split
    from datasets.registry import read_dataset, read_named_boxes, reader_options
    from eval.tables.region_captions import build_region_result, read_region_results, region_table
    from vislang.core.cli import import_backend_quietly
    from vislang.core.errors import ConfigError
    from vislang.core.files import file_name, require_writable_folder, write_json, write_text

    require_kind(args.models, KIND)
    if args.data is None or args.cache is None:
        raise ConfigError("--task regions needs --data and --cache of the pictures, not of the snippets")
    args.dataset = args.dataset or "flickr8k"
    records = of_split(read_dataset(args.dataset, args.data, **reader_options(args.option)), args.split)
    require_writable_folder(args.out)
    import_backend_quietly()
    ids = [record.image_id for record in records]
    boxes, references = named_boxes(records, read_named_boxes(args.dataset, args.data, args.entities, ids))
    measured = []
    for checkpoint in args.models:
        started = time.perf_counter()
        model = load_model(checkpoint)
        captions = caption_boxes(model, args.cache, records, boxes)
        seconds = training_seconds(checkpoint, model.config.epochs + model.config.self_critical_epochs)
        info = model_info(model.description, model.fingerprint, seconds)
        spent = time.perf_counter() - started
        measured.append({"info": info, "captions": captions, "seconds": spent, "of": what_it_reads(model)})
    dataset = args.dataset_name or args.dataset
    results = []
    for name, runs in grouped(measured, args.name, "regions").items():
        place = {"name": name, "dataset": dataset, "split": args.split, "data_fingerprint": data_fingerprint(records)}
        results.append(build_region_result(place, runs, references, tokenizer=args.tokenizer))
        write_json(args.out / f"region-captions-{file_name(f'{name}-{dataset}-{args.split}')}.json", results[-1])
    table = region_table(read_region_results(args.out, dataset, args.split))
    write_text(args.out / file_name(f"region-captions-{dataset}-{args.split}.md"), table)
    print(json.dumps(results, indent=1) if args.json else table, end="\n" if args.json else "")
    return DONE


def named_boxes(records: Sequence[Any], notes: Any) -> tuple[list[tuple[int, Any]], dict[str, list[str]]]:
    """Give each named thing of each picture its box, the one around all of its boxes.

    Returns:
        (row of the picture, float [4] in shares) of each, and {name of it: the phrases that name it}.
    """
    import numpy as np

    boxes, references = [], {}
    for row, record in enumerate(records):
        things: dict[str, tuple[Any, list[str]]] = {}
        for phrase in notes[record.image_id].phrases:
            if len(phrase.boxes):
                around = np.concatenate([phrase.boxes[:, :2].min(axis=0), phrase.boxes[:, 2:].max(axis=0)])
                things.setdefault(phrase.entity, (around, []))[1].append(notes[record.image_id].words(phrase))
        for entity, (around, phrases) in things.items():
            boxes.append((row, np.clip(around, 0.0, 1.0)))
            references[f"{record.image_id}#{entity}"] = phrases
    return boxes, references


def what_it_reads(model: Any) -> str:
    """Say "regions" of a captioner that was trained on them, else "whole pictures"."""
    from vislang.backbones.feature_name import FeatureName

    return "regions" if FeatureName.parse(model.config.layers[0]).kind == "described" else "whole pictures"


def caption_boxes(model: Any, cache_path: Path, records: Sequence[Any], boxes: Sequence[tuple[int, Any]]) -> list[str]:
    """Write a caption for each box: by a model of regions from the map of the picture, by others from the cut-out."""
    reads = described_boxes if what_it_reads(model) == "regions" else cut_out_boxes
    captions: list[str] = []
    for start in range(0, len(boxes), _BATCH):
        descriptors = reads(model, cache_path, records, boxes[start : start + _BATCH])
        captions += [found[0].text if found else "" for found in model.caption_descriptors(descriptors)]
        if progress_is_shown():
            print(f"\r{len(captions)} of {len(boxes)} boxes", end="", file=sys.stderr)
    return captions


def described_boxes(model: Any, cache_path: Path, records: Sequence[Any], boxes: Sequence[tuple[int, Any]]) -> Any:
    """Give float32 [B, 1, 2F + 4], as `vislang.features.regions.region_features.described` has it."""
    import numpy as np

    from vislang.backbones.feature_name import FeatureName
    from vislang.core.boxes import WHOLE
    from vislang.features.cache.reader import open_cache
    from vislang.features.regions.region_features import described
    from vislang.features.regions.roi_align import roi_align

    name, _ = FeatureName.parse(model.config.layers[0]).in_cache(model.description["backbone"]["name"])
    corners = np.array([box for _, box in boxes], np.float32)
    with open_cache(cache_path) as cache:
        grids = cache.read(name, "grid", [records[row].image_id for row, _ in boxes]).astype(np.float32)
    vectors = roi_align(grids, np.stack([np.broadcast_to(np.array(WHOLE, np.float32), corners.shape), corners], axis=1))
    return described(vectors[:, 1:], corners[:, None], vectors[:, 0])


def cut_out_boxes(model: Any, cache_path: Path, records: Sequence[Any], boxes: Sequence[tuple[int, Any]]) -> Any:
    """Give float32 [B, N, F]: each box cut out of its picture and encoded as if it were one."""
    import numpy as np

    from vislang.features.descriptors import join_taps
    from vislang.features.model_inputs import encode_taps
    from vislang.features.reading_options import ReadingOptions
    from vislang.images.decode import decode_image

    crops = []
    for row, box in boxes:
        picture = decode_image(records[row].path)
        left, top, right, bottom = box * np.array([picture.width, picture.height] * 2)
        edges = int(left), int(top), int(max(np.ceil(right), left + 1)), int(max(np.ceil(bottom), top + 1))
        crops.append(picture.crop(edges))
    taps, trained_on = model.config.layers, model.description["backbone"]
    (batch,) = encode_taps(crops, taps, trained_on, ReadingOptions(batch_size=len(crops), strict=True))
    return join_taps([batch.features[tap] for tap in taps])
