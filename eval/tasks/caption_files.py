"""Score captions of any origin from a file, and compare two files."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from datasets.records import ImageRecord, of_split
from datasets.registry import read, reader_options
from eval.metrics.bootstrap import RESAMPLES, difference_lines
from eval.metrics.captions.bootstrap import compare_captions, mean_intervals
from eval.metrics.captions.coco_files import read_references, read_results, references_of
from eval.metrics.captions.diversity import caption_diversity
from eval.metrics.captions.document_frequencies import find_table
from eval.metrics.captions.score import Captions, CaptionScores, References, score_systems
from eval.results.kinds import OF_REFERENCES, CaptionComparison, CaptionFileResult
from eval.results.result import write_result
from eval.tables.captions import percent, percent_intervals
from vislang.core.cli import DONE, print_written
from vislang.core.errors import ConfigError, ToolkitError
from vislang.core.files import require_writable_folder


def score_file(args: argparse.Namespace) -> int:
    """Score the captions of a file, compare them with a second one, write it all, and print a table.

    Raises:
        ToolkitError: of the first file, and nothing was written; or of the second, and the first one's scores were.
    """
    captions = read_results(args.results)
    references, training = read_references_and_training(args)
    weights = None
    if args.df:
        weights = find_table(args.df)
    require_writable_folder(args.out)
    systems: dict[str, Captions] = {"results": captions}
    trouble = None
    try:
        if args.against:
            other = read_results(args.against)
            references_of(other, references)
            systems["against"] = other
    except ToolkitError as error:
        trouble = error
    scores = score_systems(systems, references, df=weights, tokenizer=args.tokenizer)
    result = file_result(args, captions, scores["results"], training)
    try:
        if "against" in scores:
            result = replace(result, comparison=compare_files(args, scores))
    except ToolkitError as error:
        trouble = error
    path = write_result(args.out, result)
    if args.json:
        print(json.dumps(replace(result, per_image={}).to_json(), indent=1))
    else:
        print(score_table(result))
    print_written(path)
    if trouble is not None:
        raise trouble
    return DONE


def read_references_and_training(args: argparse.Namespace) -> tuple[References, list[str] | None]:
    """Read the references, from a file or a data set, and the training captions where there is a data set.

    Raises:
        ConfigError: neither was named.
        ToolkitError: they cannot be read.
    """
    training = None
    records: tuple[ImageRecord, ...] | None = None
    if args.dataset and args.data:
        records = read(args.dataset, args.data, options=reader_options(args.option))
        training = training_captions(records) or None
    if args.references:
        return read_references(args.references), training
    if records is None:
        raise ConfigError("got no references, expected --references FILE, or --dataset NAME --data DIR --split NAME")
    return {record.image_id: list(record.captions) for record in of_split(records, args.split)}, training


def training_captions(records: Sequence[ImageRecord]) -> list[str]:
    """Return every caption that a captioner may have been trained on."""
    captions: list[str] = []
    for record in records:
        if record.split in ("train", "restval"):
            captions.extend(record.captions)
    return captions


def file_result(
    args: argparse.Namespace, captions: Captions, scores: CaptionScores, training: list[str] | None
) -> CaptionFileResult:
    """Return everything about one file's captions; scores are times 100."""
    intervals = {}
    method = ""
    if len(scores.image_ids) > 1:  # one image has no interval
        method = f"95 % percentile bootstrap over images, {RESAMPLES} resamples"
        intervals = percent_intervals(mean_intervals([scores]))
    references = f"{args.dataset}, {args.split}"
    if args.references:
        references = args.references.name
    per_image: dict[str, list[Any]] = {"image_id": list(scores.image_ids)}
    for name, values in scores.per_image.items():
        per_image[name] = [round(100 * float(value), 6) for value in values]
    return CaptionFileResult(
        name=args.name or args.results.stem,
        system="file",
        metrics=percent(scores.corpus),
        intervals=intervals,
        interval_method=method,
        num_images=len(scores.image_ids),
        diversity=asdict(caption_diversity(list(captions.values()), training)),
        tokenizer=scores.tokenizer,
        document_frequencies=args.df or OF_REFERENCES,
        skipped=scores.skipped,
        results=args.results.name,
        references=references,
        unused_references=scores.unused_references,
        per_image=per_image,
    )


def compare_files(args: argparse.Namespace, scores: Mapping[str, CaptionScores]) -> CaptionComparison:
    """Return the paired differences, results minus against, times 100 but for the p-values."""
    differences = {}
    for name, one in compare_captions(scores["against"], scores["results"]).items():
        differences[name] = replace(
            one, a=100 * one.a, b=100 * one.b, difference=100 * one.difference, low=100 * one.low, high=100 * one.high
        )
    return CaptionComparison(args.against.name, args.results.name, differences)


def score_table(result: CaptionFileResult) -> str:
    """Format the scores of a file as plain text."""
    lines = [
        f"{result.results}: {result.num_images:,} images, tokenizer {result.tokenizer}, scores x 100",
        f"{'metric':<10}{'score':>9}   95 % interval",
    ]
    for name, score in result.metrics.items():
        line = f"{name:<10}{score:>9.2f}"
        if name in result.intervals:
            low, high = result.intervals[name]
            line += f"   [{low:.2f}, {high:.2f}]"
        lines.append(line)
    diversity = result.diversity
    new = ""
    if diversity["novelty"] is not None:
        new = f", {100 * diversity['novelty']:.1f} % new"
    lines.append(
        f"{diversity['distinct']:,} different captions{new}, {diversity['vocabulary']:,} words,"
        f" {diversity['mean_length']:.1f} each"
    )
    if result.unused_references:
        lines.append(f"note: {result.unused_references:,} more images have references and no caption here")
    lines.extend(f"not measured, {name}: {reason}" for name, reason in result.skipped.items())
    if result.comparison is not None:
        comparison = result.comparison
        lines += ["", *difference_lines(comparison.a, comparison.b, comparison.differences, digits=2)]
    return "\n".join(lines)
