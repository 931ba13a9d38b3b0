"""Score saliency maps against eye fixations: maps of any origin, and unnaturalness maps of trained models.

Bottom-up saliency, the centre and the observers themselves stand beside them; without --maps and --model these alone.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.tasks.arguments import add_output, add_reader_options
from eval.tasks.output import report, write_page
from vislang.core.cli import DONE, SKIPPED_SOME, add_models, progress_is_shown
from vislang.core.errors import ConfigError

if TYPE_CHECKING:
    from datasets.fixations.records import FixationRecord
    from eval.metrics.fixations.evaluate import FixationProtocol, FixationScores
    from eval.pages.fixations import MapRow
    from eval.results.kinds import FixationResult
    from eval.results.result import Row
    from eval.tables.fixations import ScoredImages
    from eval.tasks.saliency_maps import MapMethod, MapOf

KIND = "naturalness"
_SHOWN = 12  # images on the page
_SIDE = 320  # pixels of their longer side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the task."""
    add_models(parser, "trained models of natural images")
    parser.add_argument(
        "--maps", action="append", default=[], metavar="[NAME=]DIR",
        help="score these maps: one .npy or grey .png for each image, named as it; repeatable",
    )  # fmt: skip
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--dataset", default="osie", help="name of its reader (default: %(default)s)")
    parser.add_argument("--dataset-name", metavar="NAME", help="name in the tables (default: --dataset)")
    add_reader_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    parser.add_argument(
        "--blur", type=float, default=0.03, metavar="SHARE",
        help="smooth every map by a Gaussian of this share of the width (default: %(default)s; 0: not)",
    )  # fmt: skip
    parser.add_argument(
        "--centre-prior", choices=("none", "multiply", "log-add"), default="none",
        help="also score every map with a centre prior (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of random negatives (default: %(default)s)")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Score every method and the baselines on a data set of fixations, and write results, a table and a page."""
    from datasets.registry import read_fixations
    from eval.metrics.fixations.evaluate import FixationProtocol, evaluate_observers
    from eval.tables.fixations import OBSERVERS, fixation_result
    from eval.tasks.saliency_maps import baseline_methods, find_methods
    from vislang.core.files import require_writable_folder

    started = time.perf_counter()
    protocol = FixationProtocol(blur=args.blur, centre_prior=args.centre_prior, seed=args.seed)
    methods = find_methods(args)
    require_writable_folder(args.out)
    data = read_fixations(args.dataset, args.data, options=_reader_options(args))
    records = data.records[: args.limit]
    baselines = baseline_methods(protocol)
    everyone = join_methods(methods, baselines)
    scores = score_methods(records, everyone, protocol)
    of_baselines = select_rows(scores, baselines, protocol)
    of_baselines[OBSERVERS] = evaluate_observers(records, protocol, progress=_progress_bar("observers"))
    seconds = time.perf_counter() - started
    images = _count(args, records)
    results = []
    for name in methods or ["baselines"]:
        row = _row(args, name, records, seconds)
        rows = select_rows(scores, [name], protocol)
        result = fixation_result(row, protocol, rows, of_baselines, images)
        method = methods.get(name)
        if method is not None and method.model is not None:
            result = replace(result, config=method.model.config, per_seed=(method.model.seed_run(result.metrics),))
        results.append(result)
    report(args, results)
    _write_examples(args, results[0], records, everyone, protocol)
    return report_skipped(data.skipped, scores)


def join_methods(methods: "Mapping[str, MapMethod]", baselines: "Mapping[str, MapMethod]") -> "dict[str, MapMethod]":
    """Return methods and baselines together.

    Raises:
        ConfigError: a method has the name of a baseline.
    """
    from eval.tables.fixations import OBSERVERS

    taken = sorted(set(methods) & {*baselines, OBSERVERS, "baselines"})
    if taken:
        raise ConfigError(f"--maps got the name {taken[0]!r} of a baseline; pass another: NAME=DIR")
    return {**methods, **baselines}


def score_methods(
    records: "Sequence[FixationRecord]", methods: "Mapping[str, MapMethod]", protocol: "FixationProtocol"
) -> "dict[str, FixationScores]":
    """Return the scores of every row; with a centre prior all methods but centre and uniform have a second row."""
    from eval.metrics.fixations.evaluate import evaluate_maps

    functions = {name: method.map_of for name, method in methods.items()}
    scores = evaluate_maps(records, functions, protocol.without_prior(), progress=_progress_bar("maps"))
    if protocol.centre_prior == "none":
        return scores
    for name in ("centre", "uniform"):
        functions.pop(name, None)
    centred = evaluate_maps(records, functions, protocol, progress=_progress_bar("maps with the centre prior"))
    for name, one in centred.items():
        scores[_centred_name(name, protocol)] = one
    return scores


def select_rows(
    scores: "Mapping[str, FixationScores]", names: Iterable[str], protocol: "FixationProtocol"
) -> "dict[str, FixationScores]":
    """Return the rows of some methods: each as it is, then with the centre prior where it has that row."""
    rows = {}
    for name in names:
        for title in (name, _centred_name(name, protocol)):
            if title in scores:
                rows[title] = scores[title]
    return rows


def _centred_name(name: str, protocol: "FixationProtocol") -> str:
    return f"{name} + centre ({protocol.centre_prior})"


def _row(args: argparse.Namespace, name: str, records: "Sequence[FixationRecord]", seconds: float) -> "Row":
    from datasets.fixations.records import fixations_fingerprint
    from eval.results.result import Row

    return Row(
        name=name,
        system=KIND,
        dataset=args.dataset_name or args.dataset,
        data_fingerprint=fixations_fingerprint(records),
        seconds=round(seconds, 1),
    )


def _count(args: argparse.Namespace, records: "Sequence[FixationRecord]") -> "ScoredImages":
    from eval.tables.fixations import ScoredImages

    fixations = 0
    for record in records:
        fixations += sum(map(len, record.subjects))
    outside = sum(record.outside for record in records)
    return ScoredImages(len(records), fixations, outside, _reader_options(args))


def _reader_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the reader's options; drop_first is yes or no."""
    from datasets.registry import reader_options

    options: dict[str, Any] = {}
    for name, value in reader_options(args.option).items():
        if name != "drop_first" or value not in ("yes", "no"):
            raise ConfigError(f"--option got {name}={value}, expected drop_first=yes or drop_first=no")
        options[name] = value == "yes"
    return options


def _write_examples(
    args: argparse.Namespace,
    result: "FixationResult",
    records: "Sequence[FixationRecord]",
    methods: "Mapping[str, MapMethod]",
    protocol: "FixationProtocol",
) -> None:
    """Write a page of random images, each beside its fixations and its maps."""
    from eval.pages.fixations import fixations_page
    from vislang.core.seeds import stream

    chosen = stream(0, "gallery", "fixations").permutation(len(records))[:_SHOWN]
    shown = {}
    for name, method in methods.items():
        if name != "uniform":
            shown[name] = method.map_of
    rows = [draw_maps(records[row], shown, protocol) for row in chosen]
    tags = [result.dataset, "random images", f"maps smoothed by {protocol.blur:.1%} of the width"]
    stem = "-".join(filter(None, ("fixations", result.dataset, protocol.suffix())))
    write_page(args, stem, fixations_page("Where people look", rows, tags=tags))


def draw_maps(record: "FixationRecord", methods: "Mapping[str, MapOf]", protocol: "FixationProtocol") -> "MapRow":
    """Return the row of one image; a missing map is left out."""
    import numpy as np

    from eval.metrics.fixations.auc import pixels_inside
    from eval.metrics.fixations.evaluate import prepare_map
    from eval.metrics.fixations.maps import fixation_map, unit_range
    from eval.pages.fixations import MapRow
    from vislang.core.errors import ToolkitError
    from vislang.draw.heatmap import overlay
    from vislang.draw.html.thumbnails import data_uri
    from vislang.images.decode import decode_image

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
    return MapRow(record.image_id, shown)


def report_skipped(files: Sequence[tuple[str, str]], scores: "Mapping[str, FixationScores]") -> int:
    """Print on stderr the first few files and maps that were left out, and return the exit code."""
    missing = list(files)
    for name, one in scores.items():
        missing.extend((f"{name}, {image}", reason) for image, reason in one.skipped)
    for name, reason in missing[:5]:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if len(missing) > 5:
        print(f"left out: {len(missing) - 5} more", file=sys.stderr)
    if missing:
        return SKIPPED_SOME
    return DONE


def _progress_bar(what: str) -> Callable[[Any], Any]:
    from tqdm import tqdm

    return lambda records: tqdm(records, desc=what, disable=not progress_is_shown())
