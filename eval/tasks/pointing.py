"""Play the pointing game with the maps of phrases that a captioner explains, against annotated boxes."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from captioner.api import load_model
from datasets.captions.flickr30k_entities import EntityNotes, EntityPhrase
from datasets.records import image_paths
from eval.metrics.pointing_game import PointedPhrase, centre_map, random_pointing, score_pointing
from eval.results.kinds import MAIN
from eval.results.models import group_by_row, model_info
from eval.tables.phrases import PointingRun, pointing_result
from eval.tasks.output import report, write_page
from eval.tasks.saliency_maps import bottom_up_maps, opencv
from eval.tasks.split import Split, read_ranker, read_split
from vislang.core.cli import DONE, progress_is_shown
from vislang.draw.heatmap import enlarge
from vislang.features.cache.reader import open_cache
from vislang.images.decode import decode_image
from vislang.text.function_words import FUNCTION_WORDS
from vislang.text.tokenizer import tokenize, tokenize_split
from vislang.text.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from captioner.inference import TrainedCaptioner
    from saliency.word_maps import Places

KIND = "captioner"
_SHOWN = 12  # images on the page
SIDE = 113  # cells of a side at which maps are scored; odd, so that one cell is in the middle
METHODS = {  # name: method of the captioner, and how the maps of a phrase's words are pooled
    "gradient": ("gradient", "mean"),
    "gradient, max of words": ("gradient", "max"),
    "gradient, words together": ("gradient", "joint"),
    "original": ("ramanishka", "mean"),
    "original, max of words": ("ramanishka", "max"),
}

Outcomes = dict[str, list[PointedPhrase]]  # by method


def run(args: argparse.Namespace) -> int:
    """Explain every sentence of a split with every model, and write results, a table and a page."""
    data = read_split(args, KIND)
    notes = data.named_boxes(args.entities)
    image_paths(data.records)  # refuses images without files before the long work
    baselines = point_baselines(data, notes)
    runs = [point_split(checkpoint, data, notes, args.ranker) for checkpoint in args.models]
    results = []
    for name, row in group_by_row(runs, args.name).items():
        results.append(pointing_result(data.row(name, "saliency", row), row, baselines))
    report(args, results)
    _write_examples(args, data)
    return DONE


def point_split(
    checkpoint: Path, data: Split, notes: dict[str, EntityNotes], ranker_folder: Path | None
) -> PointingRun:
    """Score the map of each phrase by each method, and the evidence of present and absent words.

    The maps of MAIN are the activations of the ranker.
    """
    started = time.perf_counter()
    captioner = load_model(checkpoint)
    ranker, about_ranker = read_ranker(ranker_folder)
    from saliency.grid_features import cached_cells
    from saliency.word_maps import Places

    info = model_info(checkpoint, captioner.description, captioner.fingerprint)
    outcomes: Outcomes = {name: [] for name in (MAIN, *METHODS)}
    present: list[float] = []
    absent: list[float] = []
    ids = data.image_ids
    with open_cache(data.cache) as cache, tqdm(total=len(ids), disable=not progress_is_shown()) as bar:
        all_cells = cached_cells(captioner, cache, ids)
        all_places = ranker.encode_cells(image_paths(data.records))
        for row, (cells, of_ranker) in enumerate(zip(all_cells, all_places, strict=True)):
            places = Places(ranker, of_ranker)
            for phrase, maps in phrase_maps(captioner, cells, notes[ids[row]], places):
                for name, scores in maps.items():
                    outcomes[name].append(score_pointing(row, phrase.kind, scores, phrase.boxes))
            present.extend(word_evidence(captioner, cells, places, data, row, present=True))
            absent.extend(word_evidence(captioner, cells, places, data, row, present=False))
            bar.update()
    seconds = time.perf_counter() - started
    return PointingRun(
        model=info, seconds=seconds, ranker=about_ranker, methods=outcomes, present=present, absent=absent
    )


def phrase_maps(
    captioner: "TrainedCaptioner", cells: np.ndarray, notes: EntityNotes, places: "Places"
) -> Iterator[tuple[EntityPhrase, dict[str, np.ndarray]]]:
    """Yield each phrase that has a box, and its map [SIDE, SIDE] by each method."""
    from saliency.word_maps import explain_cells, text_map

    for row, sentence in enumerate(notes.sentences):
        phrases = [phrase for phrase in notes.phrases if phrase.sentence == row and len(phrase.boxes)]
        tokens, spans = tokenize_split(sentence)
        if not phrases or not tokens:
            continue
        explained = {}
        for method, _ in METHODS.values():
            if method not in explained:
                explained[method] = explain_cells(captioner, cells, " ".join(tokens), method=method)
        for phrase in phrases:
            first = spans[phrase.words[0]][0]
            last = spans[phrase.words[1] - 1][1]
            text = " ".join(tokens[first:last] or tokens)
            maps = {MAIN: enlarge(text_map(places, text), (SIDE, SIDE))}
            for name, (method, pooling) in METHODS.items():
                scores = explained[method].maps[0].mean(axis=0)  # of a phrase without tokens
                if last > first:
                    scores = explained[method].phrase_map(first, last, pooling)
                maps[name] = enlarge(scores, (SIDE, SIDE))
            yield phrase, maps


def point_baselines(data: Split, notes: dict[str, EntityNotes]) -> Outcomes:
    """Score methods that do not read the phrase: a random point, the centre, and bottom-up maps of the image."""
    centre = centre_map(SIDE, SIDE)
    found: Outcomes = {"random": [], "centre": []}
    for row, record in enumerate(data.records):
        phrases = [phrase for phrase in notes[record.image_id].phrases if len(phrase.boxes)]
        maps = {}
        if phrases and record.path:
            maps = resized_bottom_up_maps(record.path)
        for phrase in phrases:
            found["random"].append(random_pointing(row, phrase.kind, phrase.boxes))
            found["centre"].append(score_pointing(row, phrase.kind, centre, phrase.boxes))
            for name, scores in maps.items():
                found.setdefault(name, []).append(score_pointing(row, phrase.kind, scores, phrase.boxes))
    return found


def resized_bottom_up_maps(path: Path) -> dict[str, np.ndarray]:
    """Return OpenCV's bottom-up maps of an image, smoothed, each [SIDE, SIDE]; none without OpenCV."""
    cv2 = opencv()
    maps = {}
    for name, scores in bottom_up_maps(np.asarray(decode_image(path))).items():
        smooth = cv2.GaussianBlur(scores, (0, 0), 0.03 * scores.shape[1])
        maps[name] = cv2.resize(smooth, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return maps


def word_evidence(
    captioner: "TrainedCaptioner", cells: np.ndarray, places: "Places", data: Split, row: int, *, present: bool
) -> list[float]:
    """Return the evidence of present or of absent words by captioner and ranker, given their cells of an image.

    Present words are those of the image's first caption; absent ones those of the next image's first caption that no
    caption of this image holds. Function words and words that the captioner does not know are left out.
    """
    from saliency.word_maps import explain_cells

    own: set[str] = set()
    for caption in data.records[row].captions:
        own.update(tokenize(caption))
    source = data.records[row]
    if not present:
        source = data.records[(row + 1) % len(data.records)]
    explained = explain_cells(captioner, cells, source.captions[0], method="activation", places=places)
    indices = captioner.vocabulary.encode(explained.words)
    found = []
    for word, index, score in zip(explained.words, indices, explained.evidence, strict=True):
        if index != UNKNOWN and word not in FUNCTION_WORDS and (word in own) == present:
            found.append(float(score))
    return found


def _write_examples(args: argparse.Namespace, data: Split) -> None:
    """Write a page of random images with the words of their first captions explained by the first model."""
    from saliency.grid_features import cached_cells
    from saliency.page import explained_image, word_maps_page
    from saliency.word_maps import Places, explain_cells

    chosen = data.random_images("pointing", _SHOWN)
    if not chosen:
        return
    captioner = load_model(args.models[0])
    ranker, _ = read_ranker(args.ranker)
    shown = []
    with open_cache(data.cache) as cache:
        all_cells = cached_cells(captioner, cache, [record.image_id for record, _ in chosen])
        for (record, path), cells in zip(chosen, all_cells, strict=True):
            image = decode_image(path)
            (of_ranker,) = ranker.encode_cells([image])
            places = Places(ranker, of_ranker)
            found = explain_cells(captioner, cells, record.captions[0], method="activation", places=places)
            shown.append(explained_image(image, record.image_id, found, side=480))
    tags = [
        f"{data.dataset}, {data.name}",
        "random images",
        f"words explained by {captioner.description.get('preset')}",
    ]
    page = word_maps_page("Where the words of captions come from", shown, tags=tags)
    write_page(args, f"pointing-{data.dataset}-{data.name}", page)
