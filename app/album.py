"""Command: caption a folder of images on one page, which finds them again by meaning, offline."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vislang.core.cli import (
    DONE,
    SKIPPED_SOME,
    add_images,
    add_models,
    add_strict,
    command_parser,
    print_skipped,
    printable,
    progress_is_shown,
    run_command,
    shown_name,
)

_LARGE = 1200  # pixels of the longer side of the images on the page
_SMALL = 640  # where there are many
_MANY = 150


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = command_parser("app.album", __doc__)
    add_images(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/album.html"), help="(default: %(default)s)")
    add_models(parser, "a trained captioner, a trained ranker, or both (default: the bundled ones)")
    parser.add_argument("--title", help="of the page (default: the name of the first folder)")
    add_strict(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; `vislang.core.cli` has the exit codes."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: write_album(args))


def write_album(args: argparse.Namespace) -> int:
    """Caption and encode the images, then write the page."""
    from captioner.api import load_model as load_captioner
    from captioner.page import captions_page
    from vislang.core.errors import DataError
    from vislang.core.files import check_outputs
    from vislang.images.sources import find_images
    from vse.api import load_model as load_ranker

    paths, missing = find_images(args.images, strict=args.strict)
    for one in missing:
        print_skipped(one.reason)
    models = models_by_kind(args.models)
    check_outputs({"--out": args.out}, paths)
    started = time.monotonic()
    captioner = load_captioner(models.get("captioner"))
    ranker = load_ranker(models.get("vse"))
    encoded = caption_and_encode(captioner, ranker, paths, strict=args.strict)
    images = encoded.images
    skipped = [*missing, *encoded.skipped]
    if not images:
        raise DataError(f"none of {len(paths)} images could be used; the first: {skipped[0].reason}")
    seconds = time.monotonic() - started
    title = args.title or f"{len(images):,} images in {shown_name(Path(args.images[0]).name)}"
    tags = [f"backbone {ranker.backbone}", f"{seconds:.0f} s on this machine", "captions and search without a network"]
    reasons = [shown_name(one.short_reason) for one in skipped]
    side = _LARGE if len(images) <= _MANY else _SMALL
    scores = word_scores(ranker, encoded.vectors)
    page = captions_page(title, tags, images, reasons, side=side, scores=scores, command="app.album")
    page.write(args.out)
    print(f"{len(images)} images, {len(skipped)} left out; open in a browser:\n  {printable(str(args.out.resolve()))}")
    return SKIPPED_SOME if skipped else DONE


def models_by_kind(given: Sequence[Path]) -> dict[str, Path]:
    """Return the checkpoints of a command that takes one captioner and one ranker, by kind: "captioner", "vse"."""
    from vislang.core.bundled_models import find_checkpoint
    from vislang.core.errors import ConfigError, shown
    from vislang.core.files import read_json
    from vislang.training.checkpoints import CONFIG

    models: dict[str, Path] = {}
    for folder in given:
        file = find_checkpoint("captioner", folder) / CONFIG
        description = read_json(file, "checkpoint settings", "name a folder that training wrote")
        kind = description.get("kind") if isinstance(description, dict) else None
        if kind not in ("captioner", "vse") or kind in models:
            raise ConfigError(
                f"--model {folder} is of kind {shown(kind)}, expected one captioner and one ranker at most"
            )
        models[kind] = folder
    return models


@dataclass(frozen=True)
class AlbumImages:
    """The images of an album with captions and embeddings."""

    images: list[Any]  # `captioner.output_formats.Captioned`, one for each of the K usable images
    vectors: Any  # float32 [K, D] of the ranker, of length 1; None without images
    skipped: list[Any]  # the others, as `vislang.images.sources.Skipped`


def caption_and_encode(captioner: Any, ranker: Any, paths: Sequence[Path], *, strict: bool = False) -> AlbumImages:
    """Run the CNN once over each image, and a captioner and a ranker, which must have one backbone, on its features.

    `strict` raises for the first unreadable image instead of leaving it out.
    """
    import numpy as np

    from captioner.decoding.options import DecodeOptions
    from captioner.output_formats import Captioned
    from vislang.core.errors import ConfigError
    from vislang.features.descriptors import join_layers
    from vislang.features.model_inputs import encode_layers
    from vislang.features.reading_options import ReadingOptions

    backbone = captioner.description["backbone"]
    if backbone["name"] != ranker.backbone:
        raise ConfigError(
            f"the captioner reads features of {backbone['name']}, the ranker those of {ranker.backbone}; give two"
            " models of one backbone"
        )
    layers = list(dict.fromkeys([*captioner.config.layers, *ranker.config.layers]))
    weights = backbone["weights"] | ranker.description["backbone"]["weights"]
    trained_on = {"name": ranker.backbone, "weights": weights}
    images: list[Any] = []
    vectors: list[Any] = []
    skipped: list[Any] = []
    options = ReadingOptions(strict=strict, progress=progress_is_shown())
    for batch in encode_layers(paths, layers, trained_on, options):
        for one in batch.skipped:
            print_skipped(one.reason)
        skipped += batch.skipped
        if not batch.kept:
            continue
        descriptors = join_layers([batch.features[layer] for layer in captioner.config.layers])
        captions = captioner.caption_descriptors(descriptors, options=DecodeOptions(num=3))
        vectors.append(ranker.encode_features(batch.features))
        for index, of_image in zip(batch.kept, captions, strict=True):
            images.append(Captioned(paths[index], of_image))
    return AlbumImages(images, np.concatenate(vectors) if vectors else None, skipped)


def word_scores(ranker: Any, vectors: Any) -> Any:
    """Return the cosine of each word of a ranker's vocabulary with images float32 [K, D], as `WordScores`."""
    from vislang.draw.html.search_field import WordScores
    from vislang.text.vocabulary import SPECIAL

    words = []
    for word in ranker.vocabulary.words:
        if word not in SPECIAL and word.isalnum():
            words.append(word)
    return WordScores(words, ranker.encode_sentences(words) @ vectors.T)


if __name__ == "__main__":
    sys.exit(main())
