"""Rank a split by words and regions with trained aligners, and ground phrases in their annotated boxes.

Every checkpoint that a training kept is ranked; the best one grounds the phrases.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.tasks.arguments import add_cache, add_data, add_entities, add_output, add_required_models
from eval.tasks.output import report, write_page
from eval.tasks.split import Split, read_split, resolve_models
from vislang.core.cli import DONE, progress_is_shown

if TYPE_CHECKING:
    import numpy as np

    from captioner.alignment.inference import TrainedAligner
    from datasets.captions.flickr30k_entities import EntityNotes
    from datasets.records import ImageRecord
    from eval.metrics.ranking import Ranks
    from eval.pages.grounding import GroundedSentence
    from eval.results.result import Result
    from eval.tables.phrases import GroundingRun
    from eval.tables.retrieval import RetrievalRun

KIND = "aligner"
SYSTEM = "alignment"
_SHOWN = 10  # images on the page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the task."""
    add_required_models(parser, KIND)
    add_data(parser)
    add_cache(parser)
    add_entities(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Rank and ground with every model, and write results, tables and a page."""
    from eval.results.models import group_by_row
    from eval.tables.phrases import grounding_result
    from eval.tables.retrieval import retrieval_result
    from vislang.core.files import require_writable_folder

    resolve_models(args, KIND)
    data = read_split(args, KIND)
    require_writable_folder(args.out)
    notes = None
    if args.entities or data.reader == "scenes":
        notes = data.named_boxes(args.entities)
    rankings = []
    groundings = []
    for checkpoint in args.models:
        ranking, grounding = align_split(checkpoint, data, notes)
        rankings.append(ranking)
        if grounding is not None:
            groundings.append(grounding)
    grounded = group_by_row(groundings, args.name, SYSTEM)
    results: list[Result] = []
    for name, row in group_by_row(rankings, args.name, SYSTEM).items():
        about = data.row(name, SYSTEM, row)
        results.append(retrieval_result(about, row, repeated=True))
        if name in grounded:
            results.append(grounding_result(about, grounded[name]))
    report(args, results)
    _write_examples(args, data, results)
    return DONE


def align_split(
    checkpoint: Path, data: Split, notes: "dict[str, EntityNotes] | None"
) -> "tuple[RetrievalRun, GroundingRun | None]":
    """Rank with every kept checkpoint of one training; ground with the best where there are boxes."""
    from captioner.alignment.inference import TrainedAligner
    from captioner.api import load_aligner
    from datasets.records import captions_of
    from eval.metrics.ranking import ranks_from_scores
    from eval.metrics.retrieval import retrieval_metrics
    from eval.results.models import model_info
    from eval.tables.phrases import GroundingRun
    from eval.tables.retrieval import RetrievalRun
    from vislang.core.cli import import_backend_quietly
    from vislang.features.cache.reader import open_cache
    from vislang.training.checkpoints import kept_weights

    import_backend_quietly()
    started = time.perf_counter()
    aligner = load_aligner(checkpoint)
    info = model_info(checkpoint, aligner.description, aligner.fingerprint, aligner.config.epochs)
    sentences, owners = captions_of(data.records)
    folds = []
    part_folds: dict[str, list[Ranks]] = {name: [] for name in part_names(aligner.config)}
    grounding = None
    with open_cache(data.cache) as cache:
        for weights in kept_weights(checkpoint):
            if progress_is_shown():
                print(f"ranking with {weights}", file=sys.stderr)
            kept = TrainedAligner.read(checkpoint, network_weights=weights)
            scores = kept.each_score(kept.encode_cached(cache, data.image_ids), kept.encode_sentences(sentences))
            folds.append(ranks_from_scores(kept.combined(scores), owners))
            for name, part in zip(part_folds, scores, strict=True):
                part_folds[name].append(ranks_from_scores(part, owners))
        if notes is not None:
            grounding = GroundingRun(model=info, proposals=_proposals_of(aligner))
            ground_phrases(aligner, cache, data.image_ids, notes, grounding)
    parts = {name: retrieval_metrics(ranks).to_json() for name, ranks in part_folds.items()}
    seconds = time.perf_counter() - started
    return RetrievalRun(model=info, seconds=seconds, folds=folds, parts=parts), grounding


def _proposals_of(aligner: "TrainedAligner") -> str:
    from vislang.backbones.feature_name import FeatureName

    feature = FeatureName.parse(aligner.config.layers[0])
    return str(feature).removeprefix(f"{feature.kind}-")


def part_names(config: Any) -> list[str]:
    """Return the names of the parts of an aligner's score, in order."""
    names = ["words and regions"]
    if config.global_dim:
        names.append("global embeddings")
    if config.bag_dim:
        names.append("bags of words")
    return names


def ground_phrases(
    aligner: "TrainedAligner", cache: Any, ids: Sequence[str], notes: "dict[str, EntityNotes]", run: "GroundingRun"
) -> None:
    """Rank the regions of each image for every phrase that has a box, and add the outcomes to a run."""
    from captioner.alignment.phrase_grounding import phrase_scores
    from eval.metrics.grounding import baseline_rankings, ground_at_random, ground_phrase, ground_point
    from vislang.core.boxes import areas

    all_regions = cached_boxes(aligner, cache, ids)
    for row, (name, scores) in enumerate(zip(ids, phrase_scores(aligner, cache, ids, notes), strict=True)):
        regions = all_regions[row][areas(all_regions[row][:, :4]) > 0, :4]
        rankings = baseline_rankings(regions)
        for phrase, of_regions in zip(notes[name].phrases, scores, strict=True):
            if not len(phrase.boxes):
                continue
            order = (-of_regions[: len(regions)]).argsort(kind="stable")
            run.phrases.append(ground_phrase(row, phrase.kind, regions[order], phrase.boxes, offered=regions))
            outcomes = {
                "centre": ground_point(row, phrase.kind, (0.5, 0.5), phrase.boxes),
                "random region": ground_at_random(row, phrase.kind, regions, phrase.boxes),
            }
            for method, ranking in rankings.items():
                outcomes[method] = ground_phrase(row, phrase.kind, ranking, phrase.boxes)
            for method, outcome in outcomes.items():
                run.baselines.setdefault(method, []).append(outcome)


def _write_examples(args: argparse.Namespace, data: Split, results: "Sequence[Result]") -> None:
    """Write the page of this data set and split, with sentences that the first model segments."""
    from captioner.api import load_aligner
    from eval.pages.grounding import grounding_page
    from eval.results.kinds import GroundingResult
    from eval.results.result import read_results
    from vislang.core.seeds import stream

    aligner = load_aligner(args.models[0])
    readable = [record for record in data.records if record.path is not None]
    order = stream(0, "gallery", "alignment").permutation(len(readable))[:_SHOWN]
    placed = place_sentences(aligner, data.cache, [readable[row] for row in order])
    key = results[0].table_key()
    grounded = []
    for result in read_results(args.out, GroundingResult):
        if result.table_key() == key:
            grounded.append(result)
    shown = f"sentences cut by {aligner.description.get('preset')}, seed {aligner.description.get('seed')}"
    title = f"Words and their regions: {data.dataset}, {data.name}"
    page = grounding_page(grounded, placed, title=title, tags=[f"{len(data.records):,} images", shown])
    write_page(args, f"grounding-{data.dataset}-{data.name}", page)


def place_sentences(
    aligner: "TrainedAligner", cache_path: Path, records: "Sequence[ImageRecord]"
) -> "list[GroundedSentence]":
    """Segment the first caption of each image, and draw the region of each segment."""
    from captioner.alignment.noun_phrases import with_determiners
    from captioner.alignment.segments import segment_sentences
    from eval.pages.grounding import GroundedSentence
    from vislang.draw.boxes import draw_regions
    from vislang.draw.html.thumbnails import data_uri
    from vislang.features.cache.reader import open_cache
    from vislang.images.decode import decode_image
    from vislang.text.tokenizer import tokenize

    if not records:
        return []
    ids = [record.image_id for record in records]
    sentences = [tokenize(record.captions[0]) for record in records]
    with open_cache(cache_path) as cache:
        found = segment_sentences(aligner, aligner.encode_cached(cache, ids), sentences)
        boxes = cached_boxes(aligner, cache, ids)
    placed = []
    for record, words, segments, regions in zip(records, sentences, found, boxes, strict=True):
        parts = []
        texts = []
        inside = []  # region 0 is the whole image
        for segment in with_determiners(words, segments):
            text = " ".join(words[slice(*segment.words)])
            parts.append((text, segment.region == 0))
            if segment.region:
                texts.append(text)
                inside.append(segment.region)
        if record.path is None:
            continue
        drawing = draw_regions(decode_image(record.path), regions[inside, :4], texts)
        placed.append(GroundedSentence(data_uri(drawing), parts))
    return placed


def cached_boxes(aligner: "TrainedAligner", cache: Any, ids: Sequence[str]) -> "np.ndarray":
    """Return float32 [N, R, 5], the boxes beside the regions that an aligner reads."""
    import numpy as np

    from vislang.features.regions.region_features import boxes_beside

    place = boxes_beside(cache, aligner.description["backbone"]["name"], aligner.config.layers[0])
    return cache.read(*place, ids).astype(np.float32)
