"""Command: rank a split with trained models; write JSON, a Markdown table and an HTML page beside published numbers."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.commands import DONE, progress_is_shown, run_command


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m eval.run", description=__doc__)
    parser.add_argument(
        "--checkpoint", required=True, action="append", type=Path, metavar="DIR",
        help="a trained ranker; several with equal settings and other seeds become one row, mean and deviation",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder of the data set (default: where it was trained from)")
    parser.add_argument("--dataset", help="name of the reader (default: the one it was trained with)")
    parser.add_argument("--called", metavar="NAME", help="name in the tables, such as coco (default: --dataset)")
    parser.add_argument("--split", default="test", help="(default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="feature cache (default: the one it was trained from)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as restval=train"
    )
    parser.add_argument("--protocol", choices=("full", "five-folds"), default="full", help="(default: %(default)s)")
    parser.add_argument("--out", default=Path("results"), type=Path, help="folder to write (default: %(default)s)")
    parser.add_argument("--name", help="name of the row (default: preset and backbone)")
    parser.add_argument("--json", action="store_true", help="print the results as a JSON list")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `common.commands` for exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> int:
    """Rank, write and say what was written."""
    import json

    from common.files import require_writable_folder, write_json
    from datasets.catalog import read_dataset, reader_options
    from datasets.records import of_split
    from eval.report import markdown_table

    fill_in_from_training(args)
    records = of_split(read_dataset(args.dataset, args.data, **reader_options(args.option)), args.split)
    require_writable_folder(args.out)
    embedded = []
    for number, checkpoint in enumerate(args.checkpoint, start=1):
        if progress_is_shown():
            print(f"encoding with {checkpoint} ({number} of {len(args.checkpoint)})", file=sys.stderr)
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


def fill_in_from_training(args: argparse.Namespace) -> None:
    """Take what the command line leaves open from the first checkpoint."""
    from common.checkpoints import read_description
    from common.errors import CheckpointError

    if args.dataset and args.data and args.cache:
        return
    trained_on = read_description(args.checkpoint[0], "vse")[0].get("data", {})
    try:
        args.dataset = args.dataset or trained_on["dataset"]
        args.data = args.data or Path(trained_on["folder"])
        args.cache = args.cache or Path(trained_on["cache"])
    except KeyError as error:
        raise CheckpointError(
            f"{args.checkpoint[0]} does not say what it was trained on; give --dataset, --data and --cache"
        ) from error
    if args.dataset == trained_on["dataset"]:
        args.option = args.option or trained_on.get("options", [])


def embed_split(checkpoint: Path, records: Sequence[Any], cache_path: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Encode a split with one trained ranker; the only place here that touches a model.

    Args:
        checkpoint: what `vse.api.load_model` reads.
        records: N image records.
        cache_path: a feature cache that holds their images.

    Returns:
        image embeddings float32 [N, D], caption embeddings float32 [M, D], and what to say about the model: its
        "config", "preset", "backbone", "seed", "weights_fingerprint", "training_seconds" and "trained_on".
    """
    from common.commands import import_backend_quietly
    from datasets.records import captions_of
    from features.cache import open_cache
    from vse.api import load_model

    import_backend_quietly()
    model = load_model(checkpoint)
    with open_cache(cache_path) as cache:
        images = model.encode_cached(cache, [record.image_id for record in records])
    captions = model.encode_sentences(captions_of(records)[0])
    about = model.description
    info = {
        "config": {**about["config"], "backbone": about["backbone"]},
        "preset": about.get("preset", "unnamed"),
        "backbone": about["backbone"]["name"],
        "seed": about.get("seed"),
        "weights_fingerprint": model.fingerprint,
        "training_seconds": training_seconds(checkpoint, about["config"].get("epochs")),
        "trained_on": about.get("data", {}).get("fingerprint"),
    }
    return images, captions, info


def training_seconds(checkpoint: Path, epochs: int | None) -> float | None:
    """Add up what the epochs of a checkpoint's history took; None for a model without one.

    Raises:
        CheckpointError: it has not been trained to the end, so that its numbers would mean something else.
    """
    from common.checkpoints import HISTORY
    from common.errors import CheckpointError
    from common.files import read_json

    if not (checkpoint / HISTORY).is_file():
        return None
    rows = read_json(checkpoint / HISTORY, "training history", "train on, or copy the checkpoint anew")
    if epochs is not None and len(rows) < epochs:
        raise CheckpointError(
            f"{checkpoint} was trained for {len(rows)} of {epochs} epochs, expected all; run its training "
            "command again, or leave it out"
        )
    return round(sum(row["seconds"] for row in rows), 1)


def ranked(args: argparse.Namespace, checkpoint: Path, records: Sequence[Any]) -> dict[str, Any]:
    """Encode and rank with one model, keep its ranks beside it for eval.compare, and give all that a row needs."""
    from common.errors import DataError
    from datasets.records import captions_of
    from eval.report import SeedRun
    from eval.retrieval import PROTOCOLS
    from eval.saved_ranks import SavedRanks, queries_fingerprint, ranks_path, save_ranks

    started = time.perf_counter()
    images, captions, info = embed_split(checkpoint, records, args.cache)
    sentences, owners = captions_of(records)
    folds = PROTOCOLS[args.protocol](images, captions, owners)
    seconds = time.perf_counter() - started
    queries = queries_fingerprint([record.image_id for record in records], sentences)
    try:
        path = ranks_path(checkpoint, dataset=args.called or args.dataset, split=args.split, protocol=args.protocol)
        save_ranks(path, SavedRanks(folds, queries))
    except DataError as error:  # a checkpoint on a read-only disk can still be ranked
        print(f"note: eval.compare will not find these ranks: {error}", file=sys.stderr)
    run = SeedRun(folds, info["seed"], checkpoint.name, info["weights_fingerprint"], info["training_seconds"])
    return {"run": run, "info": info, "images": images, "captions": captions, "seconds": seconds}


def grouped(embedded: list[dict[str, Any]], name: str | None) -> dict[str, list[dict[str, Any]]]:
    """Put models with equal settings into one row, by seed; give each row a name of its own.

    Raises:
        EvalError: the same model twice, or one name for several rows.
    """
    import hashlib
    import json

    from common.errors import EvalError

    rows: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(embedded, key=lambda one: (one["info"]["seed"] is None, one["info"]["seed"])):
        rows.setdefault(
            json.dumps([one["info"][what] for what in ("preset", "config", "trained_on")], sort_keys=True), []
        ).append(one)
    fingerprints = [one["info"]["weights_fingerprint"] for one in embedded]
    if len(set(fingerprints)) < len(fingerprints):
        raise EvalError("two checkpoints hold the same weights, so they are no two seeds; give each --checkpoint once")
    for runs in rows.values():
        seeds = [one["info"]["seed"] for one in runs]
        if len(set(seeds)) < len(seeds):
            raise EvalError(f"seeds {seeds} of one row hold a seed twice, expected different ones; leave one run out")
    if name is not None and len(rows) > 1:
        raise EvalError(f"--name {name} was given for {len(rows)} different settings; leave it out or run them apart")
    usual = {key: f"vse-{runs[0]['info']['preset']}-{runs[0]['info']['backbone']}" for key, runs in rows.items()}
    named = {}
    for key, runs in rows.items():
        alone = list(usual.values()).count(usual[key]) == 1
        digest = hashlib.sha256(key.encode()).hexdigest()[:6]  # same preset, other --set
        named[name or (usual[key] if alone else f"{usual[key]}-{digest}")] = runs
    return named


def build_row(args: argparse.Namespace, name: str, runs: list[dict[str, Any]], records: Sequence[Any]) -> tuple:
    """Give the result of one row, and the run whose finds stand for it."""
    from datasets.records import data_fingerprint
    from eval.report import Setup, build_result

    setup = Setup(
        name=name,
        dataset=args.called or args.dataset,
        split=args.split,
        protocol=args.protocol,
        config=runs[0]["info"]["config"],
        data_fingerprint=data_fingerprint(records),
    )
    seconds = sum(run["seconds"] for run in runs)
    return build_result(setup, [run["run"] for run in runs], seconds=seconds), runs[0]


def file_name(text: str) -> str:
    """Make one file name of a text that may hold the path of a backbone."""
    import re

    return re.sub(r"[^\w.@+-]+", "_", text).strip("_")


def write_tables(args: argparse.Namespace, rows: list[tuple], records: Sequence[Any]) -> None:
    """Write the Markdown table and the page over all results of this data set and split."""
    from common.files import write_text
    from datasets.records import captions_of
    from eval.gallery import build_gallery
    from eval.page import render_page
    from eval.page_gallery import Collection
    from eval.report import markdown_table, read_results

    sentences, owners = captions_of(records)
    dataset = args.called or args.dataset
    results = read_results(args.out, dataset, args.split)
    best, shown = max(rows, key=lambda row: row[0]["metrics"]["rsum"])
    collection = Collection([r.image_id for r in records], [r.path for r in records], sentences, owners.tolist())
    gallery = build_gallery(shown["images"], shown["captions"], owners)
    stem = args.out / file_name(f"retrieval-{dataset}-{args.split}")
    write_text(f"{stem}.md", markdown_table(results))
    write_text(f"{stem}.html", render_page(results, best, gallery=gallery, collection=collection))
    print(f"wrote {stem}.md and {stem}.html", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
