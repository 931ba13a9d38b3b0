"""The pointing part of eval.run: the maps of phrases against the boxes that people drew, and words against evidence."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eval.results.runs import fill_in_from_training, grouped, model_info, require_kind, training_seconds
from vislang.core.cli import DONE, progress_is_shown

KIND = "captioner"
_SHOWN = 12  # pictures on the page
SIDE = 113  # cells of a side at which maps are judged; odd, so that one is in the middle
METHODS = {  # name: way and pooling of the words of a phrase
    "model": ("gradient", "mean"),
    "model, max of words": ("gradient", "max"),
    "model, words together": ("gradient", "joint"),
    "original": ("original", "mean"),
    "original, max of words": ("original", "max"),
}


def evaluate_pointing(args: argparse.Namespace) -> int:
    """Explain every sentence of a split with each checkpoint, judge the phrases' maps, and write one table."""
    import json

    from datasets.records import data_fingerprint, of_split
    from datasets.registry import read_dataset, read_named_boxes, reader_options
    from eval.tables.pointing import build_pointing, pointing_table, read_pointing
    from vislang.core.files import file_name, require_writable_folder, write_json, write_text

    require_kind(args.models, KIND)
    fill_in_from_training(args, KIND)
    records = of_split(read_dataset(args.dataset, args.data, **reader_options(args.option)), args.split)
    require_writable_folder(args.out)
    notes = read_named_boxes(args.dataset, args.data, args.entities, [record.image_id for record in records])
    baselines = judge_baselines(records, notes)
    measured = [measure(args, checkpoint, records, notes) for checkpoint in args.models]
    dataset, results = args.dataset_name or args.dataset, []
    for name, runs in grouped(measured, args.name, "pointing").items():
        place = {"name": name, "dataset": dataset, "split": args.split, "data_fingerprint": data_fingerprint(records)}
        results.append(build_pointing(place, runs, baselines))
        write_json(args.out / f"{file_name(f'{name}-{dataset}-{args.split}')}.json", results[-1])
    table = pointing_table(read_pointing(args.out, dataset, args.split))
    write_text(args.out / file_name(f"pointing-{dataset}-{args.split}.md"), table)
    write_page(args, dataset, records, measured[0]["model"])
    print(json.dumps(results, indent=1) if args.json else table, end="\n" if args.json else "")
    return DONE


def measure(args: argparse.Namespace, checkpoint: Path, records: Sequence[Any], notes: Any) -> dict[str, Any]:
    """Give what came of each phrase by each method, and the evidence of words that are and are not there."""
    from tqdm import tqdm

    from captioner.api import load_model
    from eval.metrics.pointing_game import point
    from saliency.grid_features import cached_cells
    from vislang.core.cli import import_backend_quietly
    from vislang.features.cache.reader import open_cache

    import_backend_quietly()
    started = time.perf_counter()
    model = load_model(checkpoint)
    ids = [record.image_id for record in records]
    pointed: dict[str, list[Any]] = {name: [] for name in METHODS}
    present, absent = [], []
    with open_cache(args.cache) as cache, tqdm(total=len(ids), disable=not progress_is_shown()) as bar:
        for number, cells in enumerate(cached_cells(model, cache, ids)):
            for phrase, maps in phrase_maps(model, cells, notes[ids[number]]):
                for name, scores in maps.items():
                    pointed[name].append(point(number, phrase.kind, scores, phrase.boxes))
            own, foreign = word_evidence(model, cells, records, number)
            present += own
            absent += foreign
            bar.update()
    seconds = training_seconds(checkpoint, model.config.epochs + model.config.self_critical_epochs)
    info = model_info(model.description, model.fingerprint, seconds)
    spent = time.perf_counter() - started
    told = {"pointed": pointed, "present": present, "absent": absent}
    return {"info": info, **told, "seconds": spent, "model": model}


def phrase_maps(model: Any, cells: Any, notes: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give each phrase that has a box, and its map by each method."""
    from saliency.word_maps import explain_cells
    from vislang.draw.heatmap import enlarge
    from vislang.text.tokenizer import tokenize_split

    for row, sentence in enumerate(notes.sentences):
        phrases = [phrase for phrase in notes.phrases if phrase.sentence == row and len(phrase.boxes)]
        tokens, spans = tokenize_split(sentence)
        if not phrases or not tokens:
            continue
        ways = {way for way, _ in METHODS.values()}
        found = {way: explain_cells(model, cells[None], " ".join(tokens), method=way) for way in ways}
        for phrase in phrases:
            first, last = spans[phrase.words[0]][0], spans[phrase.words[1] - 1][1]
            maps = {
                name: found[way].phrase_map(first, last, pooling) if last > first else found[way].maps[0].mean(axis=0)
                for name, (way, pooling) in METHODS.items()
            }
            yield phrase, {name: enlarge(scores, (SIDE, SIDE)) for name, scores in maps.items()}


def judge_baselines(records: Sequence[Any], notes: Any) -> dict[str, list[Any]]:
    """Judge methods that never read: a random point, the middle, and a bottom-up map of the picture."""
    from eval.metrics.pointing_game import centre_map, point, point_at_random

    middle = centre_map(SIDE, SIDE)
    found: dict[str, list[Any]] = {"random": [], "centre": []}
    for number, record in enumerate(records):
        phrases = [phrase for phrase in notes[record.image_id].phrases if len(phrase.boxes)]
        maps = bottom_up(record.path) if phrases and record.path else {}
        for phrase in phrases:
            found["random"].append(point_at_random(number, phrase.kind, phrase.boxes))
            found["centre"].append(point(number, phrase.kind, middle, phrase.boxes))
            for name, scores in maps.items():
                found.setdefault(name, []).append(point(number, phrase.kind, scores, phrase.boxes))
    return found


def bottom_up(path: Path) -> dict[str, Any]:
    """Give OpenCV's bottom-up maps of a picture, each [SIDE, SIDE]; none without OpenCV."""
    import numpy as np

    from eval.tasks.bottom_up_saliency import bottom_up_maps, opencv
    from vislang.images.decode import decode_image

    cv2 = opencv()
    if cv2 is None:
        return {}
    maps = {}
    for name, scores in bottom_up_maps(np.asarray(decode_image(path))).items():
        smooth = cv2.GaussianBlur(scores, (0, 0), 0.03 * scores.shape[1])
        maps[name] = cv2.resize(smooth, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return maps


def write_page(args: argparse.Namespace, dataset: str, records: Sequence[Any], model: Any) -> None:
    """Write a page of pictures picked at random, with the words of their first captions explained."""
    from saliency.grid_features import cached_cells
    from saliency.page import explained_image, word_maps_page
    from saliency.word_maps import explain_cells
    from vislang.core.files import file_name
    from vislang.core.seeds import stream
    from vislang.features.cache.reader import open_cache
    from vislang.images.decode import decode_image

    readable = [record for record in records if record.path is not None]
    chosen = [readable[row] for row in stream(0, "gallery", "pointing").permutation(len(readable))[:_SHOWN]]
    if not chosen:
        return
    with open_cache(args.cache) as cache:
        cells = list(cached_cells(model, cache, [record.image_id for record in chosen]))
    cards = []
    for of_image, record in zip(cells, chosen, strict=True):
        explanation = explain_cells(model, of_image[None], record.captions[0])
        cards.append(explained_image(decode_image(record.path), record.image_id, explanation, side=480))
    tags = [f"{dataset}, {args.split}", "picked at random", f"words explained by {model.description.get('preset')}"]
    path = args.out / file_name(f"pointing-{dataset}-{args.split}.html")
    word_maps_page("Where the words of captions come from", cards, tags=tags).write(path)
    print(f"wrote {path}", file=sys.stderr)


def word_evidence(model: Any, cells: Any, records: Sequence[Any], number: int) -> tuple[list[float], list[float]]:
    """Give the evidence of the words of the picture's own first caption, and of those of another picture's.

    The other picture is the next one of the split. Only words that mean something are asked, and of the other's only
    those that no caption of this picture holds.
    """
    from captioner.alignment.noun_phrases import DETERMINERS, JOINS
    from saliency.word_maps import evidence, read_sentence, unknown
    from vislang.text.tokenizer import tokenize

    whole = cells.reshape(-1, cells.shape[-1])
    there = {word for caption in records[number].captions for word in tokenize(caption)}
    found: list[list[float]] = []
    for record in (records[number], records[(number + 1) % len(records)]):
        words, numbers = read_sentence(model, record.captions[0])
        told = zip(words, unknown(numbers), evidence(model, whole, numbers), strict=True)
        found.append(
            [
                float(value)
                for word, strange, value in told
                if not strange and word not in JOINS | DETERMINERS | {"and"} and (word in there) == (not found)
            ]
        )
    return found[0], found[1]
