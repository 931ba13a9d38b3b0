"""Rank a split by words and regions with trained aligners, and ground phrases in their annotated boxes."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.alignment.noun_phrases import with_determiners
from captioner.api import load_aligner
from datasets.captions.flickr30k_entities import EntityNotes
from datasets.records import ImageRecord, image_paths
from eval.metrics.grounding import GroundedPhrase, baseline_rankings, ground_at_random, ground_phrase, ground_point
from eval.metrics.ranking import Ranks, ranks_from_scores
from eval.metrics.retrieval import folds_of, retrieval_metrics
from eval.pages.grounding import GroundedSentence, grounding_page
from eval.results.kinds import MAIN, WITH_MAPS, GroundingResult
from eval.results.models import group_by_row, model_info
from eval.results.result import Result, read_results
from eval.tables.phrases import GroundingRun, grounding_result
from eval.tables.retrieval import RetrievalRun, retrieval_result
from eval.tasks.output import report, write_page
from eval.tasks.split import Split, read_ranker, read_split
from vislang.backbones.feature_name import FeatureName
from vislang.core.boxes import areas
from vislang.core.cli import DONE, progress_is_shown
from vislang.draw.boxes import draw_regions
from vislang.draw.html.thumbnails import data_uri
from vislang.features.cache.reader import open_cache
from vislang.images.decode import decode_image
from vislang.text.tokenizer import tokenize
from vislang.training.checkpoints import kept_weights

if TYPE_CHECKING:
    from captioner.alignment.inference import TrainedAligner
    from eval.results.models import ModelInfo
    from vse.inference import TrainedRanker

KIND = "aligner"
SYSTEM = "alignment"
_SHOWN = 10  # images on the page

Outcomes = dict[str, list[GroundedPhrase]]  # by method


def run(args: argparse.Namespace) -> int:
    """Rank and ground with every model, and write results, tables and a page."""
    data = read_split(args, KIND)
    notes = None
    if args.entities or data.reader == "scenes":
        notes = data.named_boxes(args.entities)
    ranker = None
    if args.ranker is not None and notes is not None:
        image_paths(data.records)  # refuses images without files before the long work
        ranker = read_ranker(args.ranker)
    rankings = []
    groundings = []
    for checkpoint in args.models:
        ranking, grounding = align_split(checkpoint, data, notes, args.protocol, ranker)
        rankings.append(ranking)
        if grounding is not None:
            groundings.append(grounding)
    grounded = group_by_row(groundings, args.name, SYSTEM)
    results: list[Result] = []
    for name, row in group_by_row(rankings, args.name, SYSTEM).items():
        about = data.row(name, SYSTEM, row)
        results.append(retrieval_result(about, row, protocol=args.protocol))
        if name in grounded:
            results.append(grounding_result(about, grounded[name]))
    report(args, results)
    _write_examples(args, data, results)
    return DONE


def align_split(
    checkpoint: Path,
    data: Split,
    notes: dict[str, EntityNotes] | None,
    protocol: str,
    ranker: "tuple[TrainedRanker, ModelInfo] | None" = None,
) -> tuple[RetrievalRun, GroundingRun | None]:
    """Rank with every kept checkpoint of one training; ground with the best where there are boxes."""
    started = time.perf_counter()
    aligner = load_aligner(checkpoint)
    info = model_info(checkpoint, aligner.description, aligner.fingerprint)
    sentences, owners = data.captions
    folds = []
    part_folds: dict[str, list[Ranks]] = {name: [] for name in part_names(aligner.config)}
    grounding = None
    with open_cache(data.cache) as cache:
        all_weights = kept_weights(checkpoint)
        for weights in all_weights:
            if progress_is_shown():
                print(f"ranking with {weights}", file=sys.stderr)
            kept = aligner.read(checkpoint, network_weights=weights)
            images = kept.encode_cached(cache, data.image_ids)
            words = kept.encode_sentences(sentences)
            for fold in folds_of(protocol, len(images), owners):
                scores = kept.each_score(images[fold.images], words[fold.captions])
                folds.append(ranks_from_scores(kept.combined(scores), fold.image_of_caption))
                for name, part in zip(part_folds, scores, strict=True):
                    part_folds[name].append(ranks_from_scores(part, fold.image_of_caption))
        if notes is not None:
            feature = FeatureName.parse(aligner.config.layers[0])
            proposals = str(feature).removeprefix(f"{feature.kind}-")
            model, about_ranker = ranker or (None, None)
            methods, baselines = ground_phrases(aligner, cache, data, notes, model)
            grounding = GroundingRun(
                model=info, proposals=proposals, ranker=about_ranker, methods=methods, baselines=baselines
            )
    parts = {name: retrieval_metrics(ranks).to_json() for name, ranks in part_folds.items()}
    seconds = time.perf_counter() - started
    run = RetrievalRun(model=info, seconds=seconds, folds=folds, checkpoints=len(all_weights), parts=parts)
    return run, grounding


def part_names(config: Any) -> list[str]:
    """Return the names of the parts of an aligner's score, in order."""
    names = ["words and regions"]
    if config.global_dim:
        names.append("global embeddings")
    if config.bag_dim:
        names.append("bags of words")
    return names


def ground_phrases(
    aligner: "TrainedAligner", cache: Any, data: Split, notes: dict[str, EntityNotes], ranker: "TrainedRanker | None"
) -> tuple[Outcomes, Outcomes]:
    """Rank the regions of each image for every phrase that has a box.

    Returns:
        the outcomes of MAIN, and WITH_MAPS where there is a ranker, and those of the baselines.
    """
    from captioner.alignment.phrase_grounding import phrase_map_priors, phrase_scores

    ids = data.image_ids
    all_regions = aligner.cached_boxes(cache, ids)
    all_scores = {MAIN: phrase_scores(aligner, cache, ids, notes)}
    if ranker is not None:
        cells = ranker.encode_cells(image_paths(data.records))
        of_maps = phrase_map_priors(ranker, cells, all_regions[..., :4], [notes[name] for name in ids])
        all_scores[WITH_MAPS] = phrase_scores(aligner, cache, ids, notes, of_maps)
    outcomes: Outcomes = {}
    for name, of_images in all_scores.items():
        outcomes[name] = []
        for row, scores in enumerate(of_images):
            regions = _real_boxes(all_regions[row])
            for phrase, of_regions in zip(notes[ids[row]].phrases, scores, strict=True):
                if len(phrase.boxes):
                    order = (-of_regions[: len(regions)]).argsort(kind="stable")
                    one = ground_phrase(row, phrase.kind, regions[order], phrase.boxes, offered=regions)
                    outcomes[name].append(one)
    return outcomes, _baselines(all_regions, [notes[name] for name in ids])


def _baselines(all_regions: np.ndarray, notes: Sequence[EntityNotes]) -> Outcomes:
    """Return the outcomes of methods that do not read the phrase."""
    found: Outcomes = {}
    for row, (of_image, note) in enumerate(zip(all_regions, notes, strict=True)):
        regions = _real_boxes(of_image)
        rankings = baseline_rankings(regions)
        for phrase in note.phrases:
            if not len(phrase.boxes):
                continue
            outcomes = {
                "centre": ground_point(row, phrase.kind, (0.5, 0.5), phrase.boxes),
                "random region": ground_at_random(row, phrase.kind, regions, phrase.boxes),
            }
            for method, ranking in rankings.items():
                outcomes[method] = ground_phrase(row, phrase.kind, ranking, phrase.boxes)
            for method, outcome in outcomes.items():
                found.setdefault(method, []).append(outcome)
    return found


def _real_boxes(regions: np.ndarray) -> np.ndarray:
    """Return the boxes, float32 [R, 4], of an image's regions, float32 [20, 5], without padding."""
    return regions[areas(regions[:, :4]) > 0, :4]


def _write_examples(args: argparse.Namespace, data: Split, results: Sequence[Result]) -> None:
    """Write the page of this data set and split, with sentences that the first model segments."""
    aligner = load_aligner(args.models[0])
    placed = place_sentences(aligner, data.cache, data.random_images(SYSTEM, _SHOWN))
    key = results[0].table_key()
    grounded = [result for result in read_results(args.out, GroundingResult) if result.table_key() == key]
    shown = f"sentences cut by {aligner.description.get('preset')}, seed {aligner.description.get('seed')}"
    title = f"Words and their regions: {data.dataset}, {data.name}"
    page = grounding_page(grounded, placed, title=title, tags=[f"{len(data.records):,} images", shown])
    write_page(args, f"grounding-{data.dataset}-{data.name}", page)


def place_sentences(
    aligner: "TrainedAligner", cache_path: Path, images: Sequence[tuple[ImageRecord, Path]]
) -> list[GroundedSentence]:
    """Segment the first caption of each image, and draw the region of each segment."""
    from captioner.alignment.segments import segment_sentences

    if not images:
        return []
    ids = [record.image_id for record, _ in images]
    sentences = [tokenize(record.captions[0]) for record, _ in images]
    with open_cache(cache_path) as cache:
        found = segment_sentences(aligner, aligner.encode_cached(cache, ids), sentences)
        boxes = aligner.cached_boxes(cache, ids)
    placed = []
    for (_, path), words, segments, regions in zip(images, sentences, found, boxes, strict=True):
        parts = []
        texts = []
        inside = []  # region 0 is the whole image
        for segment in with_determiners(words, segments):
            text = " ".join(words[slice(*segment.words)])
            parts.append((text, segment.region == 0))
            if segment.region:
                texts.append(text)
                inside.append(segment.region)
        drawing = draw_regions(decode_image(path), regions[inside, :4], texts)
        placed.append(GroundedSentence(data_uri(drawing), parts))
    return placed
