"""Caption annotated boxes with trained captioners, and score the captions against the phrases that name the boxes."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from captioner.api import load_model
from captioner.region_captions import caption_boxes
from datasets.captions.flickr30k_entities import EntityNotes
from datasets.records import image_paths
from eval.metrics.captions.score import References
from eval.results.models import ModelInfo, group_by_row, model_info
from eval.tables.region_captions import RegionRun, region_caption_result
from eval.tasks.output import report
from eval.tasks.split import Split, open_split, read_ranker, resolve_models
from vislang.backbones.feature_name import FeatureName
from vislang.core.boxes import WHOLE
from vislang.core.cli import DONE, progress_is_shown
from vislang.core.errors import ConfigError, DataError
from vislang.features.cache.reader import open_cache
from vislang.features.model_inputs import encode_layers
from vislang.features.reading_options import ReadingOptions
from vislang.features.regions.region_features import described
from vislang.features.regions.roi_align import roi_align
from vislang.images.decode import decode_image

if TYPE_CHECKING:
    from captioner.inference import TrainedCaptioner
    from vislang.features.cache.feature_cache import FeatureCache
    from vse.inference import TrainedRanker

KIND = "captioner"
_BATCH = 64


@dataclass(frozen=True)
class NamedBox:
    """An annotated thing."""

    key: str  # unique: image id and number of the thing
    row: int  # of its image in the split
    box: np.ndarray  # float [4] in shares of the sides, around all of its boxes
    phrases: list[str]  # that name it


def run(args: argparse.Namespace) -> int:
    """Caption every annotated box with every model, and write results and a table."""
    resolve_models(args, KIND)
    if args.data is None or args.cache is None:
        raise ConfigError("eval.run regions needs --data and --cache of the images, not of the snippets")
    data = open_split(args, args.dataset or "flickr8k", args.data, args.cache, args.option)
    boxes = named_boxes(data, data.named_boxes(args.entities))
    ranker = None
    if args.ranker is not None:
        image_paths(data.records)  # refuses images without files before the long work
        ranker = read_ranker(args.ranker)
    runs = [caption_all(checkpoint, data, boxes, ranker) for checkpoint in args.models]
    references: References = {box.key: box.phrases for box in boxes}
    results = []
    for name, row in group_by_row(runs, args.name, "regions").items():
        if ranker is not None:
            name += "-maps"
        results.append(region_caption_result(data.row(name, KIND, row), row, references, args.tokenizer))
    report(args, results)
    return DONE


def named_boxes(data: Split, notes: dict[str, EntityNotes]) -> list[NamedBox]:
    """Return each thing that phrases of an image name with boxes, in the order of images and phrases."""
    found: list[NamedBox] = []
    for row, image_id in enumerate(data.image_ids):
        things: dict[str, NamedBox] = {}
        for phrase in notes[image_id].phrases:
            if not len(phrase.boxes):
                continue
            if phrase.entity not in things:
                around = np.concatenate([phrase.boxes[:, :2].min(axis=0), phrase.boxes[:, 2:].max(axis=0)])
                key = f"{image_id}#{phrase.entity}"
                things[phrase.entity] = NamedBox(key, row, np.clip(around, 0.0, 1.0), [])
            things[phrase.entity].phrases.append(notes[image_id].words(phrase))
        found.extend(things.values())
    return found


def caption_all(
    checkpoint: Path, data: Split, boxes: Sequence[NamedBox], ranker: "tuple[TrainedRanker, ModelInfo] | None" = None
) -> RegionRun:
    """Caption each box with one captioner, and with the maps of a ranker where there is one."""
    started = time.perf_counter()
    model = load_model(checkpoint)
    info = model_info(checkpoint, model.description, model.fingerprint)
    reads = "whole images"
    encode = cropped_boxes
    if FeatureName.parse(model.config.layers[0]).kind == "described":
        reads = "regions"
        encode = described_boxes
    trained, about_ranker = ranker or (None, None)
    captions: dict[int | str, str] = {}
    with open_cache(data.cache) as cache:
        for batch, cells in _batches(data, boxes, trained):
            corners = np.array([box.box for box in batch], np.float32)
            found = caption_boxes(model, encode(model, data, batch, cache), corners, trained, cells)
            for box, caption in zip(batch, found, strict=True):
                captions[box.key] = caption.text if caption else ""
            if progress_is_shown():
                print(f"\r{len(captions)} of {len(boxes)} boxes", end="", file=sys.stderr)
    seconds = time.perf_counter() - started
    return RegionRun(model=info, seconds=seconds, captions=captions, reads=reads, ranker=about_ranker)


def _batches(
    data: Split, boxes: Sequence[NamedBox], ranker: "TrainedRanker | None"
) -> Iterator[tuple[Sequence[NamedBox], np.ndarray | None]]:
    """Yield boxes to caption together: of one image, with its cells for the ranker; without a ranker of several."""
    if ranker is None:
        for start in range(0, len(boxes), _BATCH):
            yield boxes[start : start + _BATCH], None
        return
    of_images = [list(group) for _, group in groupby(boxes, key=lambda box: box.row)]
    paths = image_paths([data.records[group[0].row] for group in of_images])
    yield from zip(of_images, ranker.encode_cells(paths), strict=True)


def described_boxes(
    model: "TrainedCaptioner", data: Split, boxes: Sequence[NamedBox], cache: "FeatureCache"
) -> np.ndarray:
    """Return float32 [B, 1, 2F + 4], as `vislang.features.regions.region_features.described` returns them."""
    name, _ = FeatureName.parse(model.config.layers[0]).in_cache(model.backbone)
    corners = np.array([box.box for box in boxes], np.float32)
    grids = cache.read(name, "grid", [data.image_ids[box.row] for box in boxes]).astype(np.float32)
    whole = np.broadcast_to(np.array(WHOLE, np.float32), corners.shape)
    vectors = roi_align(grids, np.stack([whole, corners], axis=1))
    return described(vectors[:, 1:], corners[:, None], vectors[:, 0])


def cropped_boxes(
    model: "TrainedCaptioner", data: Split, boxes: Sequence[NamedBox], cache: "FeatureCache"
) -> np.ndarray:
    """Return float32 [B, N, F]: each box cropped from its image and encoded as an image; the cache is not read."""
    from vislang.features.descriptors import join_layers

    crops = []
    for box in boxes:
        path = data.records[box.row].path
        if path is None:
            raise DataError(f"{data.image_ids[box.row]} has no image file; this captioner reads crops of images")
        image = decode_image(path)
        left, top, right, bottom = box.box * np.array([image.width, image.height] * 2)
        right = max(np.ceil(right), left + 1)
        bottom = max(np.ceil(bottom), top + 1)
        crops.append(image.crop((int(left), int(top), int(right), int(bottom))))
    layers = model.config.layers
    options = ReadingOptions(batch_size=len(crops), strict=True)
    (batch,) = encode_layers(crops, layers, model.description["backbone"], options)
    return join_layers([batch.features[layer] for layer in layers])
