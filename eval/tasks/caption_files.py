"""The captions half of eval.run: score anyone's captions from a file, or hand trained captioners on."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vislang.core.cli import DONE
from vislang.core.errors import ConfigError, ToolkitError

if TYPE_CHECKING:
    from eval.metrics.captions.coco_files import ImageId
    from eval.metrics.captions.score import Captions, CaptionScores, References

KIND = "caption-scores"


def score_file(args: argparse.Namespace) -> int:
    """Score the captions of a file, compare them with a second one, write it all, and print a table.

    Raises:
        ToolkitError: of the first file nothing is done; of the second, the first one's scores are kept.
    """
    import json

    from eval.metrics.captions.coco_files import read_results
    from eval.metrics.captions.document_frequencies import find_table
    from eval.metrics.captions.score import score_systems
    from vislang.core.files import file_name, require_writable_folder, write_json

    captions = read_results(args.results)
    references, training = read_truth(args)
    df = find_table(args.df) if args.df else None
    require_writable_folder(args.out)
    systems: dict[str, Captions] = {"results": captions}
    other, trouble = read_other(args.against, references)
    if other is not None:
        systems["against"] = other
    scores = score_systems(systems, references, df=df, tokenizer=args.tokenizer)
    document = describe(args, captions, scores["results"], training)
    try:
        if "against" in scores:
            document["comparison"] = compared(args, scores)
    except ToolkitError as error:
        trouble = error
    path = args.out / file_name(f"captions-{document['name']}-scores.json")
    write_json(path, document)
    shown = {name: value for name, value in document.items() if name != "per_image"}
    print(json.dumps(shown, indent=1) if args.json else score_table(shown))
    print(f"wrote {path}", file=sys.stderr)
    if trouble is not None:
        raise trouble
    return DONE


def read_truth(args: argparse.Namespace) -> "tuple[References, list[str] | None]":
    """Give the references, from a file or a data set, and the training captions where there is a data set.

    Raises:
        ConfigError: neither was named.
        ToolkitError: they cannot be read.
    """
    from datasets.records import of_split
    from datasets.registry import read_dataset, reader_options
    from eval.metrics.captions.coco_files import read_references

    training, records = None, None
    if args.dataset and args.data:
        records = read_dataset(args.dataset, args.data, **reader_options(args.option))
        training = training_captions(records) or None
    if args.references:
        return read_references(args.references), training
    if records is None:
        raise ConfigError(
            "nothing to score against was given, expected --references FILE, or --dataset NAME --data DIR --split NAME"
        )
    return {record.image_id: list(record.captions) for record in of_split(records, args.split)}, training


def training_captions(records: Any) -> list[str]:
    """Give every caption that a captioner may have learned from."""
    return [caption for record in records if record.split in ("train", "restval") for caption in record.captions]


def read_other(
    path: Path | None, references: "References"
) -> "tuple[Mapping[ImageId, str] | None, ToolkitError | None]":
    """Read the second file; what is wrong with it comes back, so that the first one is still scored."""
    from eval.metrics.captions.coco_files import read_results, references_of

    if path is None:
        return None, None
    try:
        captions = read_results(path)
        references_of(captions, references)
    except ToolkitError as error:
        return None, error
    return captions, None


def describe(
    args: argparse.Namespace, captions: "Mapping[ImageId, str]", scores: "CaptionScores", training: list[str] | None
) -> dict[str, Any]:
    """Give everything about one file's captions as plain JSON values; scores are times 100."""
    from eval.metrics.bootstrap import RESAMPLES
    from eval.metrics.captions.bootstrap import caption_intervals
    from eval.metrics.captions.diversity import caption_diversity
    from eval.tables.captions import OF_REFERENCES, percent
    from vislang.core.provenance import provenance

    several = len(scores.image_ids) > 1  # one image has no interval
    intervals = caption_intervals(scores) if several else {}
    return {
        "kind": KIND,
        "name": args.name or args.results.stem,
        "results": args.results.name,
        "references": args.references.name if args.references else f"{args.dataset}, {args.split}",
        "num_images": len(scores.image_ids),
        "unused_references": scores.unused_references,
        "metrics": percent(scores.corpus),
        "intervals": {name: [100 * end for end in ends] for name, ends in intervals.items()},
        "interval_method": f"95 % percentile bootstrap over images, {RESAMPLES} resamples" if several else None,
        "diversity": caption_diversity(list(captions.values()), training).to_json(),
        "tokenizer": scores.tokenizer,
        "document_frequencies": args.df or OF_REFERENCES,
        "skipped": scores.skipped,
        **provenance(),
        "per_image": {
            "image_id": list(scores.image_ids),
            **{name: [round(100 * float(value), 6) for value in values] for name, values in scores.per_image.items()},
        },
    }


def compared(args: argparse.Namespace, scores: "Mapping[str, CaptionScores]") -> dict[str, Any]:
    """Give the paired differences, results minus against, times 100 but for the p-values."""
    from eval.metrics.captions.bootstrap import compare_captions

    differences = {}
    for name, one in compare_captions(scores["against"], scores["results"]).items():
        values = one.to_json()
        p_value = values.pop("p_value")
        differences[name] = {**{part: 100 * value for part, value in values.items()}, "p_value": p_value}
    return {"a": args.against.name, "b": args.results.name, "differences": differences}


def score_table(document: Mapping[str, Any]) -> str:
    """Write a document of `describe` for people."""
    lines = [
        f"{document['results']}: {document['num_images']:,} images, tokenizer {document['tokenizer']}, scores x 100"
    ]
    lines.append(f"{'metric':<10}{'score':>9}   95 % interval")
    for name, score in document["metrics"].items():
        low, high = document["intervals"].get(name, (None, None))
        lines.append(f"{name:<10}{score:>9.2f}" + (f"   [{low:.2f}, {high:.2f}]" if low is not None else ""))
    said = document["diversity"]
    new = "" if said["novelty"] is None else f", {100 * said['novelty']:.1f} % new"
    lines.append(
        f"{said['distinct']:,} different captions{new}, {said['vocabulary']:,} words, {said['mean_length']:.1f} each"
    )
    if document["unused_references"]:
        lines.append(f"note: {document['unused_references']:,} more images have references and no caption here")
    lines += [f"not measured, {name}: {why}" for name, why in document["skipped"].items()]
    if comparison := document.get("comparison"):
        lines += ["", f"A = {comparison['a']}", f"B = {comparison['b']}"]
        lines.append(f"{'metric':<10}{'A':>9}{'B':>9}{'B - A':>9}   95 % interval        p")
        for name, one in comparison["differences"].items():
            numbers = f"{one['a']:>9.2f}{one['b']:>9.2f}{one['difference']:>+9.2f}"
            interval = f"[{one['low']:+.2f}, {one['high']:+.2f}]"
            lines.append(f"{name:<10}{numbers}   {interval:<19}{one['p_value']:>7.4f}")
    return "\n".join(lines)
