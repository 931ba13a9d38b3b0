"""Score saliency maps against eye fixations: maps of any origin, and unnaturalness maps of trained models."""

import argparse
import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from datasets.fixations.records import FixationRecord, fixations_fingerprint
from datasets.registry import read_fixations, reader_options
from eval.metrics.fixations.auc import pixels_inside
from eval.metrics.fixations.evaluate import (
    FixationProtocol,
    FixationScores,
    MapOf,
    evaluate_maps,
    evaluate_observers,
    prepare_map,
)
from eval.metrics.fixations.maps import fixation_map, unit_range
from eval.results.kinds import FixationResult
from eval.results.result import Row
from eval.tables.fixations import OBSERVERS, ScoredImages, fixation_result
from eval.tasks.output import report, write_page
from eval.tasks.saliency_maps import MapMethod, baseline_methods, find_methods
from vislang.core.cli import DONE, SKIPPED_SOME, print_skipped, progress_is_shown
from vislang.core.errors import ConfigError, ToolkitError
from vislang.core.files import require_writable_folder
from vislang.core.seeds import stream
from vislang.draw.heatmap import overlay
from vislang.draw.html.elements import figure_card, note
from vislang.draw.html.page import LARGE_VIEW_SCRIPT, LARGE_VIEW_STYLE, Page
from vislang.draw.html.thumbnails import data_uri
from vislang.images.decode import decode_image

_SHOWN = 12  # images on the page
_SIDE = 320  # pixels of their longer side
_BASELINES = "baselines"  # name of the row where no method is scored


def run(args: argparse.Namespace) -> int:
    """Score every method and the baselines on a data set of fixations, and write results, a table and a page."""
    started = time.perf_counter()
    protocol = FixationProtocol(blur=args.blur, centre_prior=args.centre_prior, seed=args.seed)
    require_writable_folder(args.out)
    options = _reader_options(args.option)
    data = read_fixations(args.dataset, args.data, options=options)
    methods = find_methods(args, [record.image_id for record in data.records])
    records = data.records[: args.limit]
    baselines = baseline_methods(protocol)
    everyone = join_methods(methods, baselines)
    scores = score_methods(records, everyone, protocol)
    of_baselines = select_rows(scores, baselines, protocol)
    of_baselines[OBSERVERS] = evaluate_observers(records, protocol, progress=_bar("observers"))
    row = Row(
        name=_BASELINES,
        system="naturalness",
        dataset=args.dataset_name or args.dataset,
        data_fingerprint=fixations_fingerprint(records),
        seconds=round(time.perf_counter() - started, 1),
    )
    fixations = 0
    outside = 0
    for record in records:
        fixations += sum(map(len, record.subjects))
        outside += record.outside
    images = ScoredImages(len(records), fixations, outside, options)
    results = []
    for name in methods or [_BASELINES]:
        rows = select_rows(scores, [name], protocol)
        result = fixation_result(replace(row, name=name), protocol, rows, of_baselines, images)
        model = methods[name].model if name in methods else None
        if model is not None:
            result = replace(result, config=model.config, per_seed=(model.seed_run(result.metrics),))
        results.append(result)
    report(args, results)
    _write_examples(args, results[0], records, everyone, protocol)
    return report_skipped(data.skipped, scores)


def join_methods(methods: Mapping[str, MapMethod], baselines: Mapping[str, MapMethod]) -> dict[str, MapMethod]:
    """Return methods and baselines together.

    Raises:
        ConfigError: a method has the name of a baseline.
    """
    taken = sorted(set(methods) & {*baselines, OBSERVERS, _BASELINES})
    if taken:
        raise ConfigError(f"--maps got the name {taken[0]!r} of a baseline; pass another: NAME=DIR")
    return {**methods, **baselines}


def score_methods(
    records: Sequence[FixationRecord], methods: Mapping[str, MapMethod], protocol: FixationProtocol
) -> dict[str, FixationScores]:
    """Return the scores of every row; with a centre prior all methods but centre and uniform have a second row."""
    functions = {name: method.map_of for name, method in methods.items()}
    scores = evaluate_maps(records, functions, protocol.without_prior(), progress=_bar("maps"))
    if protocol.centre_prior == "none":
        return scores
    for name in ("centre", "uniform"):
        functions.pop(name, None)
    centred = evaluate_maps(records, functions, protocol, progress=_bar("maps with the centre prior"))
    for name, one in centred.items():
        scores[_centred_name(name, protocol)] = one
    return scores


def select_rows(
    scores: Mapping[str, FixationScores], names: Iterable[str], protocol: FixationProtocol
) -> dict[str, FixationScores]:
    """Return the rows of some methods: each as it is, then with the centre prior where it has that row."""
    rows = {}
    for name in names:
        for title in (name, _centred_name(name, protocol)):
            if title in scores:
                rows[title] = scores[title]
    return rows


def _centred_name(name: str, protocol: FixationProtocol) -> str:
    return f"{name} + centre ({protocol.centre_prior})"


def _reader_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the reader's options; drop_first is yes or no."""
    options: dict[str, Any] = {}
    for name, value in reader_options(words).items():
        if name != "drop_first" or value not in ("yes", "no"):
            raise ConfigError(f"--option got {name}={value}, expected drop_first=yes or drop_first=no")
        options[name] = value == "yes"
    return options


def _write_examples(
    args: argparse.Namespace,
    result: FixationResult,
    records: Sequence[FixationRecord],
    methods: Mapping[str, MapMethod],
    protocol: FixationProtocol,
) -> None:
    """Write a page of random images, each with its fixations and its maps."""
    chosen = stream(0, "gallery", "fixations").permutation(len(records))[:_SHOWN]
    shown = {name: method.map_of for name, method in methods.items() if name != "uniform"}
    cards = []
    for row in chosen:
        cards.append(figure_card(records[row].image_id, draw_maps(records[row], shown, protocol)))
    tags = [result.dataset, "random images", f"maps smoothed by {protocol.blur:.1%} of the width"]
    stem = "-".join(filter(None, ("fixations", result.dataset, protocol.suffix())))
    write_page(args, stem, fixations_page("Where people look", cards, tags=tags))


def fixations_page(title: str, cards: Sequence[str], *, tags: Sequence[str] = ()) -> Page:
    """Return the page of images, each a card with where people looked and where maps predict that they look."""
    text = (
        "Red: most fixations predicted; blue: fewest. Each map is stretched to its own range."
        " Observers: their fixations, smoothed."
    )
    style = "main { padding-top: 26px; }\n" + LARGE_VIEW_STYLE
    return Page(title, tags, [note(text), *cards], style, LARGE_VIEW_SCRIPT, "eval.run fixations")


def draw_maps(
    record: FixationRecord, methods: Mapping[str, MapOf], protocol: FixationProtocol
) -> list[tuple[str, str]]:
    """Return (name, data URI) of an image, its fixations and its maps; a missing map is left out."""
    image = decode_image(record.path)
    pixels, _ = pixels_inside(np.concatenate(record.subjects), record.size)
    maps = {"observers": fixation_map(pixels, record.size[::-1], protocol.fixation_blur * record.size[0])}
    for name, map_of in methods.items():
        try:
            maps[name] = prepare_map(map_of(record), record.size, protocol.without_prior())
        except ToolkitError:
            continue
    shown = [("image", data_uri(image, side=_SIDE))]
    for name, scores in maps.items():
        drawn = overlay(image, unit_range(scores), alpha=0.6)
        shown.append((name, data_uri(drawn, side=_SIDE)))
    return shown


def report_skipped(files: Sequence[tuple[str, str]], scores: Mapping[str, FixationScores]) -> int:
    """Print on stderr the first few files and maps that were left out, and return the exit code."""
    missing = list(files)
    for name, one in scores.items():
        missing.extend((f"{name}, {image}", reason) for image, reason in one.skipped)
    for name, reason in missing[:5]:
        print_skipped(f"{name}: {reason}")
    if len(missing) > 5:
        print_skipped(f"{len(missing) - 5} more")
    if missing:
        return SKIPPED_SOME
    return DONE


def _bar(what: str) -> Any:
    return functools.partial(tqdm, desc=what, disable=not progress_is_shown())
