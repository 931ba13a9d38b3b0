"""Score captions: those of trained captioners on a split, with two baselines, or those of a file in COCO's format."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from captioner import api
from captioner.decoding.options import DecodeOptions
from eval.metrics.captions.coco_files import write_results
from eval.metrics.captions.document_frequencies import find_table
from eval.metrics.captions.score import Captions, CaptionScores, References, score_systems
from eval.pages.captions import CaptionedImage, caption_results_page, pick_captions
from eval.results.kinds import OF_REFERENCES, CaptionResult
from eval.results.models import by_image_name, group_by_row, model_info
from eval.results.ranks import BY_IMAGE
from eval.results.result import read_table
from eval.tables.captions import CaptionRun, caption_result
from eval.tasks.caption_baselines import copy_captions
from eval.tasks.caption_files import score_file, training_captions
from eval.tasks.output import report, write_page
from eval.tasks.split import Split, open_split, read_split
from vislang.core.cli import DONE, progress_is_shown
from vislang.core.config import override
from vislang.core.errors import ConfigError, ToolkitError
from vislang.core.files import file_name
from vislang.features.cache.reader import open_cache

KIND = "captioner"
_REPETITION = ("forbid_repeats", "no_repeat_ngram", "repetition_weight")
_WEIGHTS = ("scorer_weight", "consensus_weight")  # decoding options that only a model with such parts has


def run(args: argparse.Namespace) -> int:
    """Score a file, or trained captioners and the baselines.

    Raises:
        ConfigError: options that do not go together.
    """
    if args.results and args.models:
        raise ConfigError("--results and --model were both given, expected one of them; use two runs")
    if not args.results and (args.against or args.references):
        raise ConfigError("--against and --references need --results FILE, the captions to score")
    if args.results:
        return score_file(args)
    return score_captioners(args)


def score_captioners(args: argparse.Namespace) -> int:
    """Caption a split with every model, copy the baselines' captions, score, and write results, tables and a page."""
    data = _read_data(args)
    weights = None
    if args.df:
        weights = find_table(args.df)
    runs = [caption_split(args, checkpoint, data) for checkpoint in args.models]
    rows = {run.key: [run] for run in baseline_runs(args, runs, data)}
    for name, same in group_by_row(runs, args.name, KIND).items():
        rows[name + decoding_suffix(args)] = same
    systems = {run.key: run.captions for row in rows.values() for run in row}
    references: References = {record.image_id: record.captions for record in data.records}
    scores = score_systems(systems, references, df=weights, tokenizer=args.tokenizer)
    training = training_captions(data.all_records) or None
    weights_name = args.df or OF_REFERENCES
    results = {}
    for name, row in rows.items():
        about = data.row(name, row[0].system, row)
        results[name] = caption_result(about, row, scores, training=training, document_frequencies=weights_name)
    report(args, list(results.values()))
    best = max(results, key=lambda name: results[name].sort_key())
    _write_gallery(args, data, results[best], rows[best][0], scores[rows[best][0].key])
    return DONE


def _read_data(args: argparse.Namespace) -> Split:
    if args.models:
        return read_split(args, KIND)
    if not (args.dataset and args.data and args.cache):
        raise ConfigError("got neither --model nor --results; the baselines alone need --dataset, --data and --cache")
    return open_split(args, args.dataset, args.data, args.cache, args.option)


def caption_split(args: argparse.Namespace, checkpoint: Path, data: Split) -> CaptionRun:
    """Caption a split with one captioner, and keep the captions beside the results in COCO's format."""
    if progress_is_shown():
        print(f"captioning {len(data.records):,} images with {checkpoint}", file=sys.stderr)
    started = time.perf_counter()
    model = api.load_model(checkpoint)
    info = model_info(checkpoint, model.description, model.fingerprint)
    options = model.complete(override(DecodeOptions(method=args.decode, width=args.beam), args.set))
    with open_cache(data.cache) as cache:
        found = model.caption_cached(cache, data.image_ids, options=options)
    captions: Captions = dict(zip(data.image_ids, (best[0].text for best in found), strict=True))
    shown = ["method", "max_words", *(name for name in _REPETITION if getattr(options, name))]
    if args.decode == "beam":
        shown += ["width", "length_power", *(name for name in _WEIGHTS if getattr(options, name))]
    decoding = {name: getattr(options, name) for name in shown}
    keep_captions(args, data, captions, by_image_name(checkpoint) + decoding_suffix(args))
    seconds = time.perf_counter() - started
    return CaptionRun(model=info, seconds=seconds, key=str(checkpoint), captions=captions, decoding=decoding)


def keep_captions(args: argparse.Namespace, data: Split, captions: Captions, name: str) -> None:
    """Write captions in COCO's format, so that `eval.run captions --results` can compare them with others later."""
    write_results(args.out / BY_IMAGE / file_name(f"captions-{name}-{data.dataset}-{data.name}.json"), captions)


def decoding_suffix(args: argparse.Namespace) -> str:
    """Return the part of row names for decoding other than the preset's, such as "-beam1"; "" for the preset's."""
    words = ""
    if args.decode != "beam" or args.beam is not None:
        words = f"-{args.decode}"
    if args.beam is not None:
        words += str(args.beam)
    return "-".join([words, *args.set])


def baseline_runs(args: argparse.Namespace, runs: Sequence[CaptionRun], data: Split) -> list[CaptionRun]:
    """Return the captions of the baselines; none, with a note, where the cache lacks their features.

    Raises:
        ToolkitError: the cache lacks them, and there is no captioner to score either.
    """
    backbone = None
    if runs:
        backbone = runs[0].model.backbone
    try:
        copied = copy_captions(data, backbone)
    except ToolkitError as error:
        if not runs:
            raise
        print(f"note: no baselines: {error}", file=sys.stderr)
        return []
    for run in copied:
        keep_captions(args, data, run.captions, run.key)
    return copied


def _write_gallery(
    args: argparse.Namespace, data: Split, best: CaptionResult, run: CaptionRun, scores: CaptionScores
) -> None:
    """Write the page of all results of this data set and split, with captions of the best new row."""
    gallery: dict[str, list[CaptionedImage]] = {}
    for heading, picked in pick_captions(scores).items():
        gallery[heading] = []
        for index in picked:
            record = data.records[index]
            cider = None
            if "cider" in scores.per_image:
                cider = 100 * float(scores.per_image["cider"][index])
            caption = run.captions[record.image_id]
            gallery[heading].append(CaptionedImage(record.image_id, record.path, caption, record.captions, cider))
    page = caption_results_page(read_table(args.out, best), best, gallery=gallery)
    write_page(args, f"captions-{data.dataset}-{data.name}", page)
