"""Command: align the words of captions with regions, and write the pairs as training data of a region captioner.

Writes a folder that `captioner.train --dataset karpathy` reads: `dataset.json`, in which every region with aligned
words is an image and those words are its sentences, and `features.h5` with the features of each region.

References: Karpathy and Fei-Fei 2015, arXiv:1412.2306, sections 3.1.4 and 3.2.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vislang.core import cli

_BATCH = 128
_MIN_SCORE = 0.5
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
        "--cut", choices=("phrases", "segments"), default="phrases",
        help="noun phrases, each with its best region, or as published the segments of the MRF (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ranker", metavar="NAME|DIR|none",
        help="of phrases: a ranker whose maps of them choose regions too (default: the bundled one)",
    )  # fmt: skip
    parser.add_argument(
        "--beta", type=float, metavar="B", help="of segments: coupling of adjacent words (default: the preset's)"
    )
    parser.add_argument(
        "--min-score", type=float, metavar="S",
        help=f"of segments: lowest score, see captioner.alignment.segments (default: {_MIN_SCORE})",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; see `vislang.core.cli` for exit codes."""
    args = build_parser().parse_args(argv)
    return cli.run_command(lambda: write_snippets(args))


def write_snippets(args: argparse.Namespace) -> int:
    """Align, cut, and write both files."""
    from captioner.api import load_aligner
    from datasets import registry
    from datasets.records import of_split, with_features
    from vislang.backbones.feature_name import FeatureName
    from vislang.core.bundled_models import say_which
    from vislang.core.errors import ConfigError, DataError
    from vislang.core.files import check_outputs
    from vislang.features.cache.reader import open_cache

    check_options(args)
    check_outputs({f"file of --out {name}": args.out / name for name in _FILES}, [args.cache, *args.data.glob("*")])
    say_which("aligner", args.model)
    model = load_aligner(args.model)
    if FeatureName.parse(model.config.layers[0]).kind != "regions":
        raise ConfigError(f"the aligner reads {model.config.layers[0]}; snippets need one trained on regions-KIND")
    records = registry.read(args.dataset, args.data)
    with open_cache(args.cache) as cache:
        splits = {name: with_features(of_split(records, name), cache) for name in ("train", "dev")}
        snippets_of = cutter(args, model, cache, splits["train"])
        entries = []
        for name, some in splits.items():
            entries += align(snippets_of, some, name)
        if not entries:
            missing = 'no caption of the training images holds a noun phrase, such as "a red ball"'
            if args.cut == "segments":
                missing = "no segment of a caption fits a region; lower --min-score, or train the aligner for longer"
            raise DataError(missing)
        write_data_set(args.out, entries, model, cache)
    count = sum(len(entry["sentences"]) for entry in entries)
    print(f"{args.out}: {count:,} snippets of {len(entries):,} regions")
    return cli.DONE


def check_options(args: argparse.Namespace) -> None:
    """Refuse options of the other way to cut.

    Raises:
        ConfigError: there are some.
    """
    from vislang.core.errors import ConfigError

    others = {"segments": {"ranker": args.ranker}, "phrases": {"beta": args.beta, "min-score": args.min_score}}
    for name, value in others[args.cut].items():
        if value is not None:
            raise ConfigError(f"--{name} got {value} with --cut {args.cut}, which does not use it; leave one out")


def cutter(args: argparse.Namespace, model: Any, cache: Any, training: Sequence[Any]) -> Callable[[Any], Iterator[Any]]:
    """Return the function that yields (image, region, words) of some images, as `--cut` says."""
    from captioner.alignment.noun_phrases import learn_chunker
    from vislang.text.tokenizer import tokenize
    from vse.api import load_model as load_ranker

    if args.cut == "segments":
        least = _MIN_SCORE if args.min_score is None else args.min_score
        return lambda some: segments_of(model, cache, some, args.beta, least)
    ranker = None
    if args.ranker != "none":
        ranker = load_ranker(args.ranker)
    chunker = learn_chunker(tokenize(text) for record in training for text in record.captions)
    return lambda some: phrases_of(model, ranker, cache, some, chunker)


def align(snippets_of: Callable[[Any], Iterator[Any]], records: Sequence[Any], split: str) -> list[dict[str, Any]]:
    """Return an entry of dataset.json for each region of a split with words."""
    from tqdm import tqdm

    entries: dict[tuple[str, int], list[str]] = {}
    with tqdm(total=len(records), desc=f"aligning {split}", unit="image", disable=not cli.progress_is_shown()) as bar:
        for start in range(0, len(records), _BATCH):
            some = records[start : start + _BATCH]
            for image, region, words in snippets_of(some):
                entries.setdefault((image, region), []).append(" ".join(words))
            bar.update(len(some))
    named = {"train": "train", "dev": "val"}[split]
    return [
        {"image": image, "region": region, "split": named, "sentences": texts}
        for (image, region), texts in sorted(entries.items())
    ]


def phrases_of(model: Any, ranker: Any, cache: Any, records: Sequence[Any], chunker: Any) -> Iterator[Any]:
    """Yield each noun phrase with its best region, by the aligner and, if there is one, the maps of a ranker.

    Raises:
        DataError: an image has no file for the ranker.
    """
    from captioner.alignment.phrase_grounding import Notes, Phrase, phrase_map_priors, phrase_scores
    from datasets.records import image_paths
    from vislang.text.tokenizer import tokenize

    ids = [record.image_id for record in records]
    notes = {}
    for record in records:
        sentences = [tokenize(caption) for caption in record.captions]
        phrases = [Phrase(row, span) for row, words in enumerate(sentences) for span in chunker.spans(words)]
        notes[record.image_id] = Notes(sentences, phrases)
    added = None
    if ranker is not None:
        cells = ranker.encode_cells(image_paths(records))
        added = phrase_map_priors(ranker, cells, model.cached_boxes(cache, ids)[..., :4], notes.values())
    for image, of_image in zip(ids, phrase_scores(model, cache, ids, notes, added), strict=True):
        note = notes[image]
        for phrase, scores in zip(note.phrases, of_image, strict=True):
            yield image, int(scores.argmax()), note.sentences[phrase.sentence][slice(*phrase.words)]


def segments_of(model: Any, cache: Any, records: Sequence[Any], beta: float | None, least: float) -> Iterator[Any]:
    """Yield the segments of captions by the MRF that score `least` or more, each with its region."""
    import numpy as np

    from captioner.alignment.noun_phrases import with_determiners
    from captioner.alignment.segments import segment_sentences
    from vislang.text.tokenizer import tokenize

    images = model.encode_cached(cache, [record.image_id for record in records])
    sentences = [tokenize(caption) for record in records for caption in record.captions]
    owners = np.array([row for row, record in enumerate(records) for _ in record.captions])
    found = segment_sentences(model, images[owners], sentences, beta)
    for row, words, segments in zip(owners, sentences, found, strict=True):
        for segment in with_determiners(words, segments):
            if segment.strength >= least:
                yield records[row].image_id, segment.region, words[slice(*segment.words)]


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
