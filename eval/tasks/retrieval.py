"""Rank the sentences of a split for each image and the images for each sentence, with trained rankers.

Writes JSON, a table with published numbers, and an HTML page; models with equal settings and other seeds share a row.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.tasks.arguments import add_cache, add_data, add_output, add_required_models
from eval.tasks.output import report, write_page
from eval.tasks.split import Split, is_bundled, read_split, resolve_models
from vislang.core.cli import DONE, progress_is_shown

if TYPE_CHECKING:
    import numpy as np

    from eval.metrics.ranking import Ranks
    from eval.results.kinds import RetrievalResult
    from eval.results.models import ModelInfo
    from eval.tables.retrieval import RetrievalRun

KIND = "vse"
PROTOCOLS = ("full", "five-folds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the task."""
    add_required_models(parser, "ranker")
    add_data(parser)
    add_cache(parser)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="full", help="(default: %(default)s)")
    add_output(parser)


@dataclass(frozen=True)
class Embeddings:
    """A split encoded by one ranker.

    Attributes:
        images: float32 [N, D].
        captions: float32 [M, D].
        model: the ranker.
        seconds: spent.
    """

    images: "np.ndarray"
    captions: "np.ndarray"
    model: "ModelInfo"
    seconds: float


def run(args: argparse.Namespace) -> int:
    """Rank with every model, and write results, tables and a page."""
    from eval.results.models import group_by_row
    from eval.tables.retrieval import retrieval_result
    from vislang.core.files import require_writable_folder

    resolve_models(args, KIND)
    data = read_split(args, KIND)
    require_writable_folder(args.out)
    runs = []
    embeddings = {}
    for index, checkpoint in enumerate(args.models, start=1):
        if progress_is_shown():
            print(f"encoding with {checkpoint} ({index} of {len(args.models)})", file=sys.stderr)
        embedded = embed_split(checkpoint, data)
        embeddings[embedded.model.weights_fingerprint] = embedded
        runs.append(rank_split(checkpoint, data, embedded, args.protocol))
    rows = group_by_row(runs, args.name, KIND)
    results = []
    for name, row in rows.items():
        results.append(retrieval_result(data.row(name, KIND, row), row, protocol=args.protocol))
    report(args, results)
    best = max(results, key=lambda result: result.metrics["rsum"])
    write_gallery(args, data, best, embeddings[best.per_seed[0].weights_fingerprint])
    return DONE


def embed_split(checkpoint: Path, data: Split) -> Embeddings:
    """Encode the images and captions of a split with one ranker."""
    from datasets.records import captions_of
    from eval.results.models import model_info
    from vislang.core.cli import import_backend_quietly
    from vislang.features.cache.reader import open_cache
    from vse.api import load_model

    started = time.perf_counter()
    import_backend_quietly()
    model = load_model(checkpoint)
    with open_cache(data.cache) as cache:
        images = model.encode_cached(cache, data.image_ids)
    captions = model.encode_sentences(captions_of(data.records)[0])
    epochs = model.description["config"].get("epochs")
    info = model_info(checkpoint, model.description, model.fingerprint, epochs)
    return Embeddings(images, captions, info, time.perf_counter() - started)


def rank_split(checkpoint: Path, data: Split, embeddings: Embeddings, protocol: str) -> "RetrievalRun":
    """Rank with one ranker, one fold or five, and keep the ranks beside it for eval.compare."""
    from datasets.records import captions_of
    from eval.metrics.ranking import retrieval_ranks
    from eval.metrics.retrieval import five_folds
    from eval.tables.retrieval import RetrievalRun

    started = time.perf_counter()
    sentences, owners = captions_of(data.records)
    if protocol == "five-folds":
        folds = five_folds(embeddings.images, embeddings.captions, owners)
    else:
        folds = (retrieval_ranks(embeddings.images, embeddings.captions, owners),)
    keep_ranks(checkpoint, data, protocol, folds, sentences)
    seconds = embeddings.seconds + time.perf_counter() - started
    return RetrievalRun(model=embeddings.model, seconds=seconds, folds=folds)


def keep_ranks(
    checkpoint: Path, data: Split, protocol: str, folds: "tuple[Ranks, ...]", sentences: Sequence[str]
) -> None:
    """Write the ranks beside the model; a note says where that fails, since the results do not depend on it."""
    from eval.results.ranks import SavedRanks, queries_fingerprint, ranks_path, save_ranks
    from vislang.core.errors import DataError

    if is_bundled(checkpoint):
        return
    try:
        path = ranks_path(checkpoint, dataset=data.dataset, split=data.name, protocol=protocol)
        save_ranks(path, SavedRanks(folds, queries_fingerprint(data.image_ids, sentences)))
    except DataError as error:  # such as a checkpoint on a read-only disk
        print(f"note: eval.compare will not find these ranks: {error}", file=sys.stderr)


def write_gallery(args: argparse.Namespace, data: Split, best: "RetrievalResult", embeddings: Embeddings) -> None:
    """Write the page of all results of this data set and split, with what the best new row finds."""
    from datasets.records import captions_of
    from eval.pages.retrieval import retrieval_page
    from eval.pages.retrieval_gallery import Collection, build_gallery
    from eval.results.result import read_table

    sentences, owners = captions_of(data.records)
    paths = [record.path for record in data.records]
    collection = Collection(data.image_ids, paths, sentences, owners.tolist())
    gallery = build_gallery(embeddings.images, embeddings.captions, owners)
    page = retrieval_page(read_table(args.out, best), best, gallery=gallery, collection=collection)
    write_page(args, f"retrieval-{data.dataset}-{data.name}", page)
