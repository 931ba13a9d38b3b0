"""Command: measure trained models on a split, or score anyone's captions or maps of where people look.

Writes JSON, and for trained models a Markdown table and an HTML page beside published numbers.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captioner.decoding.options import DecodeOptions
from eval.results.runs import fill_in_from_training, grouped, model_info, require_kind, training_seconds
from vislang.core.cli import (
    DONE,
    add_json,
    add_models,
    add_settings,
    command_parser,
    progress_is_shown,
    run_command,
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("eval.run", __doc__)
    tasks = ("ranking", "captions", "alignment", "regions", "pointing", "fixations", "classification")
    parser.add_argument("--task", choices=tasks, default="ranking", help="(default: %(default)s)")
    add_models(parser, "trained models; those that differ in their seed alone become one row: mean and std")
    parser.add_argument("--data", type=Path, help="folder of the data set (default: where it was trained from)")
    parser.add_argument("--dataset", help="name of the reader (default: the one it was trained with)")
    parser.add_argument("--dataset-name", metavar="NAME", help="name in the tables, such as coco (default: --dataset)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="feature cache (default: the one it was trained from)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )
    parser.add_argument("--protocol", choices=("full", "five-folds"), default="full", help="(default: %(default)s)")
    parser.add_argument("--out", default=Path("results"), type=Path, help="folder to write (default: %(default)s)")
    parser.add_argument("--name", help="name of the row (default: preset and backbone)")
    add_json(parser)
    parser.add_argument("--entities", type=Path, metavar="DIR", help="alignment, regions, pointing: Flickr30k Entities")
    captions = parser.add_argument_group("captions only", "without --model and --results: the baselines alone")
    captions.add_argument("--results", type=Path, metavar="FILE", help="score these captions, in COCO's results form")
    captions.add_argument(
        "--references", type=Path, metavar="FILE", help="COCO annotations or {id: [captions]} (default: the data set)"
    )
    captions.add_argument("--against", type=Path, metavar="FILE", help="captions of the same images to compare with")
    captions.add_argument("--df", metavar="NAME", help="n-gram weights of CIDEr: flickr8k-train or a file (make df)")
    captions.add_argument("--tokenizer", choices=("ptb", "treebank"), help="(default: ptb where there is Java)")
    captions.add_argument("--decode", default="beam", help="as in captioner.generate (default: %(default)s)")
    captions.add_argument("--beam", type=int, metavar="N", help="width (default: the preset's own)")
    note = "another decoding option, such as consensus_weight=0; goes into the row's name"
    add_settings(captions, {"decoding": DecodeOptions()}, note)
    fixations = parser.add_argument_group("fixations only", "without --maps and --model: the baselines alone")
    fixations.add_argument(
        "--maps", action="append", default=[], metavar="[NAME=]DIR",
        help="judge these maps: one .npy or grey .png for each picture, named as it; can be given again",
    )  # fmt: skip
    fixations.add_argument(
        "--blur", type=float, default=0.03, metavar="SHARE",
        help="smooth every map by a Gaussian of this share of the width (default: %(default)s; 0: not)",
    )  # fmt: skip
    fixations.add_argument(
        "--centre-prior", choices=("none", "multiply", "log-add"), default="none",
        help="also judge every map with the middle made likelier (default: %(default)s)",
    )  # fmt: skip
    fixations.add_argument("--seed", type=int, default=0, help="of random negatives (default: %(default)s)")
    fixations.add_argument("--limit", type=int, metavar="N", help="the first N pictures only")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.task == "captions":
        from eval.tasks.captions import evaluate_captions

        return run_command(lambda: evaluate_captions(args))
    if args.task in ("alignment", "regions", "pointing", "classification") and not args.models:
        parser.error("the following arguments are required: --model")
    if args.task == "alignment":
        from eval.tasks.alignment import evaluate_alignment

        return run_command(lambda: evaluate_alignment(args))
    if args.task == "classification":
        from eval.tasks.classification import evaluate_classification

        return run_command(lambda: evaluate_classification(args))
    if args.task == "pointing":
        from eval.tasks.pointing import evaluate_pointing

        return run_command(lambda: evaluate_pointing(args))
    if args.task == "fixations":
        if args.data is None:
            parser.error("--task fixations needs a data set, expected --data DIR; then --model or --maps DIR")
        from eval.tasks.fixations import evaluate_fixations

        return run_command(lambda: evaluate_fixations(args))
    if args.task == "regions":
        from eval.tasks.region_captions import evaluate_regions

        return run_command(lambda: evaluate_regions(args))
    if args.results or args.references or args.against:
        parser.error("--results, --references and --against score captions, expected --task captions with them")
    if not args.models:
        parser.error("the following arguments are required: --model")
    return run_command(lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> int:
    """Rank, write and say what was written."""
    import json

    from datasets.records import of_split
    from datasets.registry import read_dataset, reader_options
    from eval.tables.retrieval import markdown_table
    from vislang.core.files import file_name, require_writable_folder, write_json

    require_kind(args.models, "vse")
    fill_in_from_training(args, "vse")
    records = of_split(read_dataset(args.dataset, args.data, **reader_options(args.option)), args.split)
    require_writable_folder(args.out)
    embedded = []
    for number, checkpoint in enumerate(args.models, start=1):
        if progress_is_shown():
            print(f"encoding with {checkpoint} ({number} of {len(args.models)})", file=sys.stderr)
        embedded.append(ranked(args, checkpoint, records))
    rows = [build_row(args, name, runs, records) for name, runs in grouped(embedded, args.name).items()]
    for result, _ in rows:
        suffix = "" if args.protocol == "full" else f"-{args.protocol}"
        stem = file_name(f"{result['name']}-{result['dataset']}-{args.split}{suffix}")
        write_json(args.out / f"{stem}.json", result)
    write_tables(args, rows, records)
    results = [result for result, _ in rows]
    print(json.dumps(results, indent=1) if args.json else markdown_table(results), end="\n" if args.json else "")
    return DONE


def embed_split(checkpoint: Path, records: Sequence[Any], cache_path: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Encode a split with one trained ranker; the only place here that touches a model.

    Args:
        checkpoint: what `vse.api.load_model` reads.
        records: N image records.
        cache_path: a feature cache that holds their images.

    Returns:
        image embeddings float32 [N, D], caption embeddings float32 [M, D], and what `model_info` says of the model.
    """
    from datasets.records import captions_of
    from vislang.core.cli import import_backend_quietly
    from vislang.features.cache.reader import open_cache
    from vse.api import load_model

    import_backend_quietly()
    model = load_model(checkpoint)
    with open_cache(cache_path) as cache:
        images = model.encode_cached(cache, [record.image_id for record in records])
    captions = model.encode_sentences(captions_of(records)[0])
    seconds = training_seconds(checkpoint, model.description["config"].get("epochs"))
    return images, captions, model_info(model.description, model.fingerprint, seconds)


def ranked(args: argparse.Namespace, checkpoint: Path, records: Sequence[Any]) -> dict[str, Any]:
    """Encode and rank with one model, keep its ranks beside it for eval.compare, and give all that a row needs."""
    from datasets.records import captions_of
    from eval.metrics.retrieval import PROTOCOLS
    from eval.results.ranks import SavedRanks, queries_fingerprint, ranks_path, save_ranks
    from eval.tables.retrieval import SeedRun
    from vislang.core.errors import DataError

    started = time.perf_counter()
    images, captions, info = embed_split(checkpoint, records, args.cache)
    sentences, owners = captions_of(records)
    folds = PROTOCOLS[args.protocol](images, captions, owners)
    seconds = time.perf_counter() - started
    queries = queries_fingerprint([record.image_id for record in records], sentences)
    try:
        dataset = args.dataset_name or args.dataset
        path = ranks_path(checkpoint, dataset=dataset, split=args.split, protocol=args.protocol)
        save_ranks(path, SavedRanks(folds, queries))
    except DataError as error:  # a checkpoint on a read-only disk can still be ranked
        print(f"note: eval.compare will not find these ranks: {error}", file=sys.stderr)
    run = SeedRun(folds, info["seed"], checkpoint.name, info["weights_fingerprint"], info["training_seconds"])
    return {"run": run, "info": info, "images": images, "captions": captions, "seconds": seconds}


def build_row(args: argparse.Namespace, name: str, runs: list[dict[str, Any]], records: Sequence[Any]) -> tuple:
    """Give the result of one row, and the run whose finds stand for it."""
    from datasets.records import data_fingerprint
    from eval.tables.retrieval import Setup, build_result

    setup = Setup(
        name=name,
        dataset=args.dataset_name or args.dataset,
        split=args.split,
        protocol=args.protocol,
        config=runs[0]["info"]["config"],
        data_fingerprint=data_fingerprint(records),
    )
    seconds = sum(run["seconds"] for run in runs)
    return build_result(setup, [run["run"] for run in runs], seconds=seconds), runs[0]


def write_tables(args: argparse.Namespace, rows: list[tuple], records: Sequence[Any]) -> None:
    """Write the Markdown table and the page over all results of this data set and split."""
    from datasets.records import captions_of
    from eval.pages.retrieval import retrieval_page
    from eval.pages.retrieval_gallery import Collection, build_gallery
    from eval.tables.retrieval import markdown_table, read_results
    from vislang.core.files import file_name, write_text

    sentences, owners = captions_of(records)
    dataset = args.dataset_name or args.dataset
    results = read_results(args.out, dataset, args.split)
    best, shown = max(rows, key=lambda row: row[0]["metrics"]["rsum"])
    collection = Collection([r.image_id for r in records], [r.path for r in records], sentences, owners.tolist())
    gallery = build_gallery(shown["images"], shown["captions"], owners)
    stem = args.out / file_name(f"retrieval-{dataset}-{args.split}")
    write_text(f"{stem}.md", markdown_table(results))
    retrieval_page(results, best, gallery=gallery, collection=collection).write(f"{stem}.html")
    print(f"wrote {stem}.md and {stem}.html", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
