"""Command: align the words of captions with regions, and write the pairs as training data of a region captioner.

Writes a folder that `captioner.train --dataset karpathy` reads: `dataset.json`, in which every region with aligned
words is an image and those words are its sentences, and `features.h5` with the features of each region.

References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, sections 3.1.4 and 3.2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vislang.core import cli

_BATCH = 128
_FILES = ("features.h5", "dataset.json")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = cli.command_parser("captioner.make_snippets", __doc__)
    cli.add_model(parser, "aligner")
    parser.add_argument("--dataset", default="flickr8k", help="name of the reader (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, help="folder of the data set; its test split is not used")
    parser.add_argument("--cache", required=True, type=Path, help="feature cache with the aligner's regions")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--ranker", type=Path, metavar="NAME|DIR", help="a ranker whose maps of the words choose regions too"
    )
    parser.add_argument("--beta", type=float, metavar="B", help="coupling of adjacent words (default: the preset's)")
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        help="lowest score of a snippet, see captioner.alignment.segments (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: write_snippets(args))


def write_snippets(args: argparse.Namespace) -> int:
    """Align, cut, and write both files."""
    from captioner.alignment.noun_phrases import JOINS, learned_joins
    from captioner.api import load_aligner
    from datasets import registry
    from datasets.records import of_split, with_features
    from vislang.backbones.feature_name import FeatureName
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.files import check_outputs
    from vislang.features.cache.reader import open_cache
    from vislang.text.tokenizer import tokenize
    from vse.api import load_model as load_ranker

    check_outputs({f"file of --out {name}": args.out / name for name in _FILES}, [args.cache, *args.data.glob("*")])
    say_which("aligner", args.model)
    model = load_aligner(args.model)
    if FeatureName.parse(model.config.layers[0]).kind != "regions":
        raise ConfigError(f"the aligner reads {model.config.layers[0]}; snippets need one trained on regions-KIND")
    ranker = None
    if args.ranker is not None:
        ranker = load_ranker(args.ranker)
    records = registry.read(args.dataset, args.data)
    with open_cache(args.cache) as cache:
        splits = {name: with_features(of_split(records, name), cache) for name in ("train", "dev")}
        joins = JOINS | learned_joins(tokenize(text) for record in splits["train"] for text in record.captions)
        entries = []
        for name, some in splits.items():
            entries += align(model, ranker, cache, some, name, joins, args)
        if not entries:
            raise DataError(f"no part of a caption scores {args.min_score:g} or more; lower --min-score")
        write_data_set(args.out, entries, model, cache)
    count = sum(len(entry["sentences"]) for entry in entries)
    print(f"{args.out}: {count:,} snippets of {len(entries):,} regions")
    return cli.DONE


def align(
    model: Any,
    ranker: Any,
    cache: Any,
    records: Sequence[Any],
    split: str,
    joins: frozenset[str],
    args: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Return an entry of dataset.json for each region of a split with aligned words."""
    import numpy as np
    from tqdm import tqdm

    from captioner.alignment.noun_phrases import noun_phrases, with_determiners
    from captioner.alignment.segments import segment_sentences
    from vislang.text.tokenizer import tokenize

    entries: dict[tuple[str, int], list[str]] = {}
    with tqdm(total=len(records), desc=f"aligning {split}", unit="image", disable=not cli.progress_is_shown()) as bar:
        for start in range(0, len(records), _BATCH):
            some = records[start : start + _BATCH]
            images = model.encode_cached(cache, [record.image_id for record in some])
            sentences = [tokenize(caption) for record in some for caption in record.captions]
            owners = np.array([row for row, record in enumerate(some) for _ in record.captions])
            added = None
            if ranker is not None:
                added = map_priors_of_captions(ranker, model.cached_boxes(cache, [one.image_id for one in some]), some)
            found = segment_sentences(model, images[owners], sentences, args.beta, added)
            for row, words, segments in zip(owners, sentences, found, strict=True):
                for segment in with_determiners(words, segments):
                    if segment.strength >= args.min_score:
                        key = some[row].image_id, segment.region
                        entries.setdefault(key, []).extend(noun_phrases(words[slice(*segment.words)], joins))
            bar.update(len(some))
    named = {"train": "train", "dev": "val"}[split]
    return [
        {"image": image, "region": region, "split": named, "sentences": texts}
        for (image, region), texts in sorted(entries.items())
        if texts
    ]


def map_priors_of_captions(ranker: Any, boxes: Any, records: Sequence[Any]) -> list[Any]:
    """Return what the maps of a ranker add to the regions of each word, float32 [T, R] for each caption.

    Args:
        ranker: from `vse.load_model`.
        boxes: float [N, R, 5] of N images.
        records: the images.

    Raises:
        DataError: an image has no file.
    """
    from captioner.alignment.region_maps import priors_of_words
    from datasets.records import image_paths
    from vislang.text.tokenizer import tokenize

    found = []
    all_cells = ranker.encode_cells(image_paths(records))
    for record, cells, regions in zip(records, all_cells, boxes, strict=True):
        for caption in record.captions:
            found.append(priors_of_words(ranker, cells, regions[:, :4], tokenize(caption)))
    return found


def write_data_set(folder: Path, entries: list[dict[str, Any]], model: Any, cache: Any) -> None:
    """Write dataset.json and features.h5."""
    import numpy as np

    from vislang.backbones.feature_name import FeatureName
    from vislang.core.files import whole_file, write_json
    from vislang.features.cache.reader import FeatureKey, import_rows
    from vislang.features.regions.region_features import boxes_beside, described

    backbone = model.description["backbone"]["name"]
    layer = model.config.layers[0]
    regions = FeatureName.parse(layer).in_cache(backbone)
    boxes = boxes_beside(cache, backbone, layer)
    key = cache.key(*regions)
    ids = sorted({entry["image"] for entry in entries})
    row_of = {name: row for row, name in enumerate(ids)}
    vectors = cache.read(*regions, ids)
    corners = cache.read(*boxes, ids)
    rows = np.array([row_of[entry["image"]] for entry in entries])
    indices = np.array([entry["region"] for entry in entries])
    features = described(vectors[rows, indices][:, None], corners[rows, indices][:, None], vectors[rows, 0])[:, 0]
    names = [f"{entry['image']}#{entry['region']}" for entry in entries]
    images = []
    for index, (name, entry) in enumerate(zip(names, entries, strict=True)):
        images.append(
            {
                "imgid": index,
                "filename": name,
                "split": entry["split"],
                "sentences": [{"raw": text, "tokens": text.split()} for text in entry["sentences"]],
            }
        )
    path = folder / "features.h5"
    layer = str(FeatureName.parse(key.layer).of_kind("described"))
    with whole_file(path) as part:
        part.unlink()  # a cache is made, and not added to
        import_rows(part, names, features, FeatureKey(key.backbone, layer, key.preprocessing, key.weights))
    write_json(folder / "dataset.json", {"dataset": "snippets", "images": images})


if __name__ == "__main__":
    sys.exit(main())
