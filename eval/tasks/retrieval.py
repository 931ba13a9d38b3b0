"""Rank the sentences of a split for each image and the images for each sentence, with trained rankers."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.metrics.retrieval import ranks_by_protocol
from eval.metrics.row_file import RowFile, in_blocks
from eval.pages.retrieval import retrieval_page
from eval.pages.retrieval_gallery import Collection, build_gallery
from eval.results.kinds import RetrievalResult
from eval.results.models import ModelInfo, group_by_row, model_info
from eval.results.ranks import SavedRanks, queries_fingerprint, ranks_path, save_ranks
from eval.results.result import read_table
from eval.tables.retrieval import RetrievalRun, retrieval_result
from eval.tasks.output import report, write_page
from eval.tasks.split import Split, names_released_model, read_released_split, read_split
from vislang.core.cli import DONE, progress_is_shown
from vislang.features.cache.reader import open_cache
from vse.api import encode_images, load_model

KIND = "vse"


_ENCODED = 20_000  # images or sentences between two writes to a file
_IN_MEMORY = 2**28  # bytes of embeddings; more lie in files


@dataclass(frozen=True)
class Embeddings:
    """A split encoded by one ranker: images float32 [N, D], captions float32 [M, D]; arrays, or files where large."""

    images: np.ndarray | RowFile
    captions: np.ndarray | RowFile
    model: ModelInfo
    seconds: float


def run(args: argparse.Namespace) -> int:
    """Rank with every model, and write results, tables and a page."""
    data = read_released_split(args) if names_released_model(args) else read_split(args, KIND)
    runs = []
    embeddings = {}
    for index, checkpoint in enumerate(args.models, start=1):
        if progress_is_shown():
            print(f"encoding with {checkpoint} ({index} of {len(args.models)})", file=sys.stderr)
        embedded = embed_split(checkpoint, data, args.out)
        embeddings[embedded.model.weights_fingerprint] = embedded
        runs.append(rank_split(args, checkpoint, data, embedded))
    results = []
    for name, row in group_by_row(runs, args.name, KIND).items():
        results.append(retrieval_result(data.row(name, KIND, row), row, protocol=args.protocol))
    report(args, results)
    best = max(results, key=RetrievalResult.sort_key)
    write_gallery(args, data, best, embeddings[best.per_seed[0].weights_fingerprint])
    return DONE


def embed_split(checkpoint: Path, data: Split, folder: Path) -> Embeddings:
    """Encode the images and captions of a split with one ranker; large embeddings lie in files in a folder."""
    started = time.perf_counter()
    model = load_model(checkpoint)
    sentences, _ = data.captions
    is_large = 4 * model.width * (len(data.records) + len(sentences)) > _IN_MEMORY
    images: np.ndarray | RowFile
    if data.features is not None:
        images = encode_images(model, data.features).vectors
    else:
        with open_cache(data.cache) as cache:
            images = _encoded(lambda ids: model.encode_cached(cache, ids), data.image_ids, is_large, folder)
    captions = _encoded(model.encode_sentences, sentences, is_large, folder)
    info = model_info(checkpoint, model.description, model.fingerprint)
    return Embeddings(images, captions, info, time.perf_counter() - started)


def _encoded(
    encode: Callable[[Sequence[str]], np.ndarray], items: Sequence[str], is_large: bool, folder: Path
) -> np.ndarray | RowFile:
    """Encode images or sentences, all at once or, where there are many, part by part into a file."""
    if not is_large:
        return encode(items)
    file: RowFile | None = None
    for block in in_blocks(len(items), _ENCODED):
        rows = encode(items[block])
        file = file or RowFile(rows.shape[1], folder)
        file.append(rows)
    assert file is not None  # a split that is large is not empty
    return file


def rank_split(args: argparse.Namespace, checkpoint: Path, data: Split, embeddings: Embeddings) -> RetrievalRun:
    """Rank with one ranker, all images or fold by fold, and keep the ranks beside the results for eval.compare."""
    started = time.perf_counter()
    sentences, owners = data.captions
    folds = ranks_by_protocol(args.protocol, embeddings.images, embeddings.captions, owners)
    path = ranks_path(args.out, checkpoint, dataset=data.dataset, split=data.name, protocol=args.protocol)
    save_ranks(path, SavedRanks(folds, queries_fingerprint(data.image_ids, sentences)))
    seconds = embeddings.seconds + time.perf_counter() - started
    return RetrievalRun(model=embeddings.model, seconds=seconds, folds=folds)


def write_gallery(args: argparse.Namespace, data: Split, best: RetrievalResult, embeddings: Embeddings) -> None:
    """Write the page of all results of this data set and split, with what the best new row finds."""
    sentences, owners = data.captions
    paths = [record.path for record in data.records]
    collection = Collection(data.image_ids, paths, sentences, owners.tolist())
    gallery = build_gallery(embeddings.images, embeddings.captions, owners)
    page = retrieval_page(read_table(args.out, best), best, gallery=gallery, collection=collection)
    write_page(args, f"retrieval-{data.dataset}-{data.name}", page)
